//! What reaches the core, written down as the lines of a live timeline: one line per event, in
//! order, and what is needed to replay it to the microsecond. Makes text; where it is kept is not
//! here.
//!
//! Never a secret: passwords are numbers that change with them. What no decision looks at is left
//! out: the slots of a primary, and what observers say of servers that are not ours.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cluster::ClusterState;
use crate::config::{self, Config, NodeName, Placeholders};
use crate::failover::Verdict;
use crate::format::{Clocks, Decided, Recording, header, since, write_event, write_turn};
use crate::lookout::{CommandId, CommandPurpose, Effect, Event, Lookout, Memory};
use crate::time::{Now, timestamp};

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
        let who = config
            .own_db
            .as_ref()
            .map_or("observer", |own| own.as_str());
        let header = Header {
            timeline: format!("{who} {}", timestamp::format(now.wall)),
            header: header(config::render(config, &mut self.placeholders), memory, now),
        };
        self.push(&header);
        if self.maintenance {
            let line = Map::from_iter([("maintenance".to_owned(), json!(true))]);
            self.push(&Timed { t: 0.0, line });
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

    fn push_turn(&mut self, maintenance: bool, decided: Option<&Verdict>, now: Now) {
        if maintenance != self.maintenance {
            self.maintenance = maintenance;
            let line = Map::from_iter([("maintenance".to_owned(), json!(maintenance))]);
            self.push_at(line, now);
        }
        let decided = decided.map(|verdict| Decided {
            verdict: verdict.name().to_owned(),
            reason: verdict.reason().to_owned(),
        });
        self.push_at(write_turn(decided.as_ref()), now);
    }

    fn push_event(&mut self, event: &Event, state: &ClusterState, now: Now) {
        let Self {
            running,
            placeholders,
            ..
        } = self;
        let mut recording = Known {
            running,
            placeholders,
            state,
        };
        if let Some(line) = write_event(event, self.start.wall, &mut recording) {
            self.push_at(line, now);
        }
    }

    /// Notes which commands are started, so that their ends can be named by what they were for.
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

    fn push_at(&mut self, line: Map<String, Value>, now: Now) {
        self.clocks.go_to(self.clocks.t_of(now.mono));
        let t = self.clocks.t().as_secs_f64();
        // The wall clock goes as it went, unless it was set.
        if self.clocks.now().wall != now.wall {
            self.clocks.set_wall(now.wall);
            let wall = json!(since(self.start.wall, now.wall));
            let line = Map::from_iter([("wall".to_owned(), wall)]);
            self.push(&Timed { t, line });
        }
        self.push(&Timed { t, line });
    }

    fn push(&mut self, line: &impl Serialize) {
        self.lines += &serde_json::to_string(line).unwrap_or_default();
        self.lines.push('\n');
    }
}

/// For people, the name or the time goes first.
#[derive(Serialize)]
struct Header {
    timeline: String,
    #[serde(flatten)]
    header: Map<String, Value>,
}

#[derive(Serialize)]
struct Timed {
    t: f64,
    #[serde(flatten)]
    line: Map<String, Value>,
}

struct Known<'a> {
    running: &'a mut BTreeMap<CommandId, CommandPurpose>,
    placeholders: &'a mut Placeholders,
    state: &'a ClusterState,
}

impl Recording for Known<'_> {
    fn purpose(&mut self, id: CommandId) -> Option<CommandPurpose> {
        self.running.remove(&id)
    }

    fn config(&mut self, config: &Config) -> Value {
        config::render(config, self.placeholders)
    }

    fn is_ours(&self, node: &NodeName) -> bool {
        self.state.nodes.contains_key(node) || self.state.former.contains(node)
    }
}

#[cfg(test)]
#[path = "recorded_run_tests.rs"]
mod recorded_run_tests;
#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
