//! What reaches the core, written down as the lines of a live timeline: one line per event, in
//! order, and what is needed to replay it to the microsecond. Makes text; where it is kept is not
//! here.
//!
//! Never a secret: passwords are numbers that change with them. What no decision looks at is left
//! out: the slots of a primary, and what observers say of servers that are not ours.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::timeline::Clocks;
use super::words::{
    PREVIOUS_COMMAND, previous_name, purpose_name, seconds, since, write_failure, write_follow,
    write_outcome,
};
use crate::cluster::{ClusterState, Lsn, NodeReport, ObserverReport, ProbeFailure, RoleReport};
use crate::compat;
use crate::config::{self, Config, Placeholders};
use crate::failover::Verdict;
use crate::lookout::{CommandId, CommandPurpose, Effect, Event, Lookout, Memory, Process};
use crate::time::{Monotonic, Now, WallTime};

/// Writes a live timeline.
#[derive(Debug)]
pub struct Recorder {
    start: Now,
    clocks: Clocks,
    maintenance: bool,
    /// What the commands that are running were run for.
    running: BTreeMap<CommandId, CommandPurpose>,
    placeholders: Placeholders,
    lines: String,
}

impl Recorder {
    /// A recorder without a timeline yet.
    pub fn new(now: Now) -> Self {
        Self {
            start: now,
            clocks: Clocks::new(now),
            maintenance: false,
            running: BTreeMap::new(),
            placeholders: Placeholders::default(),
            lines: String::new(),
        }
    }

    /// Begins a timeline, now. What was not taken before is dropped: the new timeline begins with
    /// all that came of it.
    pub fn begin(&mut self, config: &Config, memory: &Memory, now: Now) {
        (self.start, self.clocks) = (now, Clocks::new(now));
        self.lines.clear();
        let epoch = crate::time::timestamp::format(now.wall);
        let who = config
            .own_db
            .as_ref()
            .map_or("observer", |own| own.as_str());
        let header = json!({
            "timeline": format!("{who} {epoch}"),
            "epoch": epoch,
            "monotonic": seconds(micros_of(now.mono)),
            "version": env!("CARGO_PKG_VERSION"),
            "config": config::render(config, &mut self.placeholders),
            "memory": memory_json(memory, now),
        });
        self.push(header);
        if self.maintenance {
            self.push(json!({"t": 0.0, "maintenance": true}));
        }
    }

    /// Writes down what is about to be handed to this core in one turn. An answer that nobody waits
    /// for changes nothing, and there would be no telling it from one that does: it is left out.
    pub fn events(&mut self, events: &[Event], lookout: &Lookout, now: Now) {
        for event in events.iter().filter(|event| lookout.awaits(event)) {
            self.push_event(event, lookout.state(), now);
        }
    }

    /// Writes down that the core has looked at its deadlines, and what it decided, if it did.
    pub fn turn(&mut self, maintenance: bool, effects: &[Effect], now: Now) {
        let round = effects.iter().find_map(Effect::decided);
        self.push_turn(maintenance, round.map(|round| &round.decision.verdict), now);
    }

    fn push_event(&mut self, event: &Event, state: &ClusterState, now: Now) {
        let mut line = Map::new();
        match event {
            Event::ConfigLoaded(config) => {
                line.insert(
                    "config".to_owned(),
                    config::render(config, &mut self.placeholders),
                );
            }
            Event::NodeProbed { node, outcome, .. } => {
                line.insert("node".to_owned(), json!(node.as_str()));
                write_result(outcome, &mut line, |report| self.node_report(report));
            }
            Event::NodeLost { node, failure } => {
                line.insert("lost".to_owned(), json!(node.as_str()));
                write_failure(failure, &mut line);
            }
            Event::ObserverProbed {
                observer, outcome, ..
            } => {
                line.insert("observer".to_owned(), json!(observer.as_str()));
                write_result(outcome, &mut line, |report| {
                    self.observer_report(report, state)
                });
            }
            Event::CheckRequested => {
                line.insert("check_requested".to_owned(), json!(true));
            }
            Event::CommandExited { id, outcome } => {
                let Some(purpose) = self.running.remove(id) else {
                    return;
                };
                line.insert("command".to_owned(), json!(purpose_name(purpose)));
                write_outcome(outcome, &mut line);
            }
            Event::PreviousCommand(news) => {
                line.insert(PREVIOUS_COMMAND.to_owned(), json!(previous_name(*news)));
            }
            Event::FollowPrepared(outcome) => write_follow(outcome, &mut line),
            // Of no consequence for any decision of this process.
            Event::CommandStarted { .. } | Event::Stopping => return,
            // A turn has its own line.
            Event::Turn(_) => return,
        }
        self.push_at(line, now);
    }

    fn push_turn(&mut self, maintenance: bool, decided: Option<&Verdict>, now: Now) {
        if maintenance != self.maintenance {
            self.maintenance = maintenance;
            self.push_at(
                Map::from_iter([("maintenance".to_owned(), json!(maintenance))]),
                now,
            );
        }
        let mut line = Map::from_iter([("turn".to_owned(), json!(true))]);
        if let Some(verdict) = decided {
            line.insert("verdict".to_owned(), json!(verdict.name()));
            line.insert("reason".to_owned(), json!(verdict.reason()));
        }
        self.push_at(line, now);
    }

    /// Notes which commands are started, so that their ends can be told by what they were for.
    pub fn note(&mut self, effects: &[Effect]) {
        let started = effects.iter().filter_map(Effect::purpose);
        self.running
            .extend(started.map(|(purpose, id)| (id, purpose)));
    }

    /// Writes down that the process ends.
    pub fn end(&mut self, now: Now) {
        self.push_at(Map::from_iter([("end".to_owned(), json!(true))]), now);
    }

    /// The lines since they were last taken.
    pub fn take_lines(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    fn push_at(&mut self, mut line: Map<String, Value>, now: Now) {
        self.clocks.go_to(self.clocks.t_of(now.mono));
        let t = json!(self.clocks.t().as_secs_f64());
        // The wall clock goes as it went, unless it was set.
        if self.clocks.now().wall != now.wall {
            self.clocks.set_wall(now.wall);
            self.push(json!({"t": t, "wall": since(self.start.wall, now.wall)}));
        }
        line.insert("t".to_owned(), t);
        self.push(Value::Object(line));
    }

    /// Name or time goes first, for people; what follows has no order.
    fn push(&mut self, mut line: Value) {
        let first = ["timeline", "t"]
            .into_iter()
            .find_map(|key| Some((key, line.as_object_mut()?.remove(key)?)));
        let rest = line.to_string();
        match first {
            Some((key, value)) => {
                let comma = if rest == "{}" { "" } else { "," };
                self.lines.push_str(&format!(
                    "{{\"{key}\":{value}{comma}{}",
                    rest.get(1..).unwrap_or_default()
                ));
            }
            None => self.lines.push_str(&rest),
        }
        self.lines.push('\n');
    }

    fn node_report(&self, report: &NodeReport) -> Value {
        let db_time = self.since_epoch(report.db_time);
        match &report.role {
            RoleReport::Primary { lsn, .. } => {
                json!({"in_recovery": false, "db_time": db_time, "lsn": location(*lsn)})
            }
            RoleReport::Standby {
                receive,
                replay,
                last_replay,
            } => json!({
                "in_recovery": true,
                "db_time": db_time,
                "receive_lsn": location(*receive),
                "replay_lsn": location(*replay),
                "last_replay": last_replay.map(|time| self.since_epoch(time)),
            }),
        }
    }

    fn observer_report(&self, report: &ObserverReport, state: &ClusterState) -> Value {
        let ours = report
            .nodes
            .iter()
            .filter(|(node, _)| state.nodes.contains_key(*node) || state.former.contains(*node));
        let nodes: Map<_, _> = ours
            .map(|(node, observed)| (node.to_string(), compat::observed::entry(observed)))
            .collect();
        json!({"date": self.since_epoch(report.date), "nodes": nodes})
    }

    fn since_epoch(&self, time: WallTime) -> f64 {
        since(self.start.wall, time)
    }
}

fn write_result<T>(
    outcome: &Result<T, ProbeFailure>,
    line: &mut Map<String, Value>,
    report: impl Fn(&T) -> Value,
) {
    match outcome {
        Ok(told) => {
            line.insert("report".to_owned(), report(told));
        }
        Err(failure) => write_failure(failure, line),
    }
}

fn location(lsn: Option<Lsn>) -> Value {
    json!(lsn.map(|lsn| lsn.to_string()))
}

/// Contacts are moments before the start, by either clock.
fn memory_json(memory: &Memory, now: Now) -> Value {
    let t = |at: Monotonic| seconds(micros_of(at).saturating_sub(micros_of(now.mono)));
    let contacts: Map<_, _> = memory
        .contacts
        .iter()
        .map(|(node, seen)| {
            (
                node.to_string(),
                json!({"t": seen.mono.map(t), "wall": since(now.wall, seen.wall)}),
            )
        })
        .collect();
    let failover = memory.failover.as_ref().map(|last| {
        let primary = last.primary.as_ref().map(|primary| primary.as_str());
        let process = last
            .process
            .map(|Process { pid, started }| json!({"pid": pid, "started": started}));
        json!({
            "primary": primary,
            "outcome": last.outcome.name(),
            "t": last.mono.map(t),
            "wall": since(now.wall, last.wall),
            "process": process,
        })
    });
    json!({
        "restart_owed": memory.restart_owed,
        "failover": failover,
        "failover_failed": memory.failover_failed,
        "primary": memory.primary.as_ref().map(|primary| primary.as_str()),
        "contacts": contacts,
        "standbys": memory.standbys.iter().map(|node| node.as_str()).collect::<Vec<_>>(),
    })
}

fn micros_of(at: Monotonic) -> i64 {
    i64::try_from(at.since_boot().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
