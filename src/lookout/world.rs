//! A small world for tests: nodes and observers that answer after a delay, fail or stay silent, a
//! command that ends, and a clock that jumps from one deadline to the next. A scenario is a script
//! in and a transcript out.
//!
//! A script has one line per happening, `SECONDS WHO WHAT`, in order:
//! ```text
//! 0 p primary            p answers as a primary from now on; "in 2": after 2 s instead of 10 ms
//! 0 s1 standby 0/50      s1 answers as a standby at this position; "lag 40": so far behind;
//!                        "timeline 2", "system x": what it tells of its identity
//! 0 s1 standby shows s1=ok   and shows sessions: ours as it is polled, and these; "s1=ok~20": last used 20 s ago
//! 9 p unreachable        also refused, authentication, not_ready; "in 5": after 5 s
//! 9 p silent             p never answers
//! 9 p lost               its idle connection is closed
//! 0 o1 sees p s1=standby o1 answers that it reaches p as a primary and s1 as a standby; "p=lost": not p;
//!                        "s1=standby,s1=ok": what s1 shows; o1 unreachable, silent
//! 9 command 1 in 3       commands end with 1 after 3 s from now on; "fails": cannot be started
//! 9 follow unchanged     the recovery settings are right; also changed, failed, unknown, nostandby; "in 3": after 3 s
//! 9 check                POST /check
//! 9 reload {...}         these keys of the configuration are others now
//! 9 maintenance on       also off
//! 9 pause 1              an operator sets this mark here: odd is a pause, even its end, "1.a": until then
//! 9 sleep 30             the process is stopped for 30 s; what comes in lies there until it wakes
//! 9 restart              a new process with the old one's memory; "elsewhere": after a boot of the machine; "watching": it
//!                        sees the command that was left running; "gone": it sees that there is none any more;
//!                        "after 70": 70 s after the old one has ended
//! ```
//! Whatever the script: the clock never stands still, and nothing is promoted while the primary p
//! was reached less than the limit ago. A transcript has one line per deed that is looked for:
//! `SECONDS ask p`, `session p STATE` where our session on p shows another state from now on, `run promote`, `raise failover_failed`, `clear ...`, `decide VERDICT REASON`
//! and what is behind it (`primary`, `place`, `votes`, `would`), `measure ...`, `log ...`.

mod answers;
mod behind;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use self::answers::{failure, follow_outcome, timed};
use self::behind::behind;
use super::{
    CommandOutcome, Contact, Effect, Event, FollowOutcome, Lookout, Memory, PastFailover,
    PreviousCommand, ProbeId, Process,
};
use crate::cluster::{Presence, RoleReport};
use crate::config::{self, Config, Environment};
use crate::format;
use crate::time::{Monotonic, Now, WallTime};

/// Runs `script` on the usual cluster (primary p, standbys s1 and s2, we are s2) with other
/// `settings`, up to its last line `SECONDS end`, and compares what is looked for (`watched`:
/// beginnings of deeds, with commas between) with `expected`. What comes before the script's first
/// line is not looked at.
#[track_caller]
pub(super) fn check(settings: &str, script: &str, watched: &str, expected: &str) {
    let expected: Vec<_> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let watched: Vec<_> = watched.split(',').map(str::trim).collect();
    let seconds = |line: &str| {
        line.trim()
            .split(' ')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let begin = script
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(seconds)
        .unwrap();
    let shown = |line: &&str| {
        watched
            .iter()
            .any(|deed| line.split_once(' ').unwrap().1.starts_with(deed))
    };
    let transcript = run(settings, script);
    let found: Vec<_> = transcript
        .lines()
        .filter(|line| seconds(line) >= begin)
        .filter(shown)
        .collect();
    assert_eq!(found, expected, "{script}\n-----\n{}", found.join("\n"));
}

/// The whole transcript.
pub(super) fn run(settings: &str, script: &str) -> String {
    let mut world = World::new(settings);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (seconds, happening) = line.split_once(' ').unwrap();
        world.run_until(Duration::from_secs_f64(seconds.parse().unwrap()));
        world.happen(happening);
    }
    world.transcript
}

struct World {
    settings: Value,
    lookout: Lookout,
    t: Duration,
    habits: BTreeMap<String, Habit>,
    command: (Option<i32>, Duration),
    follow: (FollowOutcome, Duration),
    /// Events on their way, by time of arrival and order of sending.
    coming: BTreeMap<(Duration, usize), Event>,
    sent: usize,
    turns: (Duration, usize),
    maintenance: bool,
    /// When p last answered as a primary.
    reached: Option<Duration>,
    /// Polls whose answer must be dropped.
    outdated: Vec<ProbeId>,
    /// What our session on each node shows.
    sessions: BTreeMap<String, String>,
    transcript: String,
}

#[derive(Clone)]
struct Habit {
    does: String,
    after: Duration,
}

impl World {
    fn new(settings: &str) -> Self {
        let mut world = Self {
            settings: serde_json::from_str(USUAL).unwrap(),
            lookout: Lookout::new(
                Arc::new(parse("{}")),
                &Memory::default(),
                now(Duration::ZERO),
            ),
            t: Duration::ZERO,
            habits: BTreeMap::new(),
            command: (Some(0), Duration::from_millis(100)),
            follow: (FollowOutcome::Changed, Duration::from_millis(20)),
            coming: BTreeMap::new(),
            sent: 0,
            turns: (Duration::ZERO, 0),
            maintenance: false,
            reached: None,
            outdated: Vec::new(),
            sessions: BTreeMap::new(),
            transcript: String::new(),
        };
        let config = world.config(settings);
        world.lookout = Lookout::new(config, &Memory::default(), now(Duration::ZERO));
        for (node, habit) in [
            ("p", "primary"),
            ("s1", "standby"),
            ("s2", "standby"),
            ("o1", "sees"),
        ] {
            world.habit(node, habit);
        }
        world
    }

    /// The configuration with these keys changed.
    fn config(&mut self, settings: &str) -> Arc<Config> {
        let changes: Value = serde_json::from_str(&format!("{{{settings}}}")).unwrap();
        let all = self.settings.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        Arc::new(parse(&self.settings.to_string()))
    }

    fn happen(&mut self, happening: &str) {
        let (who, what) = happening.split_once(' ').unwrap_or((happening, ""));
        match (who, what) {
            ("end", _) => {}
            ("check", _) => self.deliver(Event::CheckRequested),
            // The last turn: nothing is due any more.
            ("stop", _) => {
                self.deliver(Event::Stopping);
                self.turn();
            }
            ("reload", settings) => {
                let old = Arc::clone(self.lookout.config());
                let config = self.config(settings);
                // What an old address still answers is reported all the same, to see it dropped.
                self.outdated
                    .extend(self.coming.values().filter_map(|event| match event {
                        Event::NodeProbed { node, probe, .. }
                            if old.nodes.get(node) != config.nodes.get(node) =>
                        {
                            *probe
                        }
                        _ => None,
                    }));
                self.deliver(Event::ConfigLoaded(config));
            }
            ("maintenance", what) => self.maintenance = what == "on",
            ("pause", mark) => self.deliver(Event::PauseSet(mark.parse().unwrap())),
            ("sleep", seconds) => self.t += Duration::from_secs_f64(seconds.parse().unwrap()),
            ("restart", what) => self.restart(what),
            ("command", what) => {
                let (status, after) = timed(what, self.command.1);
                self.command = (status.parse().ok(), after);
            }
            ("follow", what) => {
                let (outcome, after) = timed(what, self.follow.1);
                self.follow = (follow_outcome(outcome), after);
            }
            (node, "lost") => {
                self.deliver(Event::NodeLost {
                    node: node.into(),
                    failure: failure("unreachable").unwrap(),
                });
            }
            (who, what) => self.habit(who, what),
        }
    }

    /// A new process with the memory of the old one.
    fn restart(&mut self, what: &str) {
        let mut memory = self.lookout.memory(now(self.t));
        if what == "elsewhere" {
            let contacts = memory.contacts.values_mut();
            let last = memory.last_primary.iter_mut();
            let last = last.flat_map(|last| [&mut last.since, &mut last.at]);
            let contacts = contacts.chain(last).chain(&mut memory.saved);
            contacts.for_each(|contact: &mut Contact| contact.mono = None);
            let last = memory.failover.iter_mut();
            last.for_each(|last: &mut PastFailover| (last.mono, last.process) = (None, None));
        }
        if let Some(seconds) = what.strip_prefix("after ") {
            self.t += Duration::from_secs_f64(seconds.parse().unwrap());
        }
        let left = std::mem::take(&mut self.coming);
        let config = Arc::clone(self.lookout.config());
        self.lookout = Lookout::new(config, &memory, now(self.t));
        self.sessions.clear();
        let ended = Event::PreviousCommand(PreviousCommand::Ended);
        let is_end = |event: &Event| {
            matches!(
                event,
                Event::CommandExited { .. } | Event::PreviousCommand(_)
            )
        };
        match what {
            "watching" => {
                let ends = left.into_iter().filter(|(_, event)| is_end(event));
                self.coming.extend(ends.map(|(at, _)| (at, ended.clone())));
            }
            "gone" => self.deliver(ended),
            _ => self.deliver(Event::PreviousCommand(PreviousCommand::Unobservable)),
        }
    }

    fn habit(&mut self, who: &str, what: &str) {
        let (does, after) = timed(what, Duration::from_millis(10));
        self.habits.insert(
            who.to_owned(),
            Habit {
                does: does.to_owned(),
                after,
            },
        );
    }

    fn deliver(&mut self, event: Event) {
        self.send(Duration::ZERO, event);
    }

    fn send(&mut self, after: Duration, event: Event) {
        self.coming.insert((self.t + after, self.sent), event);
        self.sent += 1;
    }

    /// One turn after another, each at the earliest time at which there is something to do.
    fn run_until(&mut self, end: Duration) {
        loop {
            let deadline = self
                .lookout
                .next_deadline()
                .since(Monotonic::from_duration(START));
            let arrival = self.coming.first_key_value().map(|((at, _), _)| *at);
            let next = arrival.map_or(deadline, |at| at.min(deadline)).max(self.t);
            if next >= end {
                self.t = end;
                return;
            }
            self.turns = if self.turns.0 == next {
                (next, self.turns.1 + 1)
            } else {
                (next, 0)
            };
            assert!(
                self.turns.1 < 20,
                "the clock stands still at {next:?}\n{}",
                self.transcript
            );
            self.t = next;
            self.turn();
        }
    }

    fn turn(&mut self) {
        let (mut events, mut effects) = (Vec::new(), Vec::new());
        while let Some(entry) = self
            .coming
            .first_entry()
            .filter(|entry| entry.key().0 <= self.t)
        {
            let event = entry.remove();
            if self.is_contact_with_p(&event) {
                self.reached = Some(self.t);
            }
            events.push(event);
        }
        let (maintenance, now) = (self.maintenance, now(self.t));
        self.lookout.turn(events, maintenance, now, &mut effects);
        effects
            .into_iter()
            .for_each(|effect| self.carry_out(effect));
    }

    fn is_contact_with_p(&self, event: &Event) -> bool {
        let Event::NodeProbed {
            node,
            probe,
            outcome: Ok(report),
        } = event
        else {
            return false;
        };
        let is_primary = matches!(report.role, RoleReport::Primary { .. });
        node.as_str() == "p"
            && is_primary
            && probe.is_none_or(|probe| !self.outdated.contains(&probe))
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ProbeNode {
                node,
                probe,
                session,
            } => {
                self.note(&format!("ask {node}"));
                self.note_session(node.as_str(), &session);
                let Some((after, outcome)) = self.node_answer(node.as_str(), &session) else {
                    return;
                };
                self.send(
                    after,
                    Event::NodeProbed {
                        node,
                        probe: Some(probe),
                        outcome,
                    },
                );
            }
            Effect::ProbeObserver { observer, probe } => {
                self.note(&format!("ask {observer}"));
                let Some((after, outcome)) = self.observer_answer(observer.as_str()) else {
                    return;
                };
                self.send(
                    after,
                    Event::ObserverProbed {
                        observer,
                        probe: Some(probe),
                        outcome,
                    },
                );
            }
            Effect::RunCommand { id, command, .. } => {
                self.note(&format!("run {}", command.argv.join(" ")));
                let config = self.lookout.config();
                let p = config::NodeName::from("p");
                let waited_for = config.nodes.contains_key(&p) && !config.known_gone.contains(&p);
                let limit = config.failover_lag;
                let too_soon =
                    waited_for && self.reached.is_some_and(|reached| self.t - reached < limit);
                assert!(
                    !(too_soon && command.argv == ["promote"]),
                    "beside a primary\n{}",
                    self.transcript
                );
                let (status, after) = self.command;
                if status.is_some() {
                    let process = Some(Process { pid: 1, started: 1 });
                    self.deliver(Event::CommandStarted { id, process });
                }
                let not_started = || CommandOutcome::NotStarted("no such file".to_owned());
                self.send(
                    after,
                    Event::CommandExited {
                        id,
                        outcome: status.map_or_else(not_started, CommandOutcome::Exited),
                    },
                );
            }
            Effect::PrepareFollow {
                primary, conninfo, ..
            } => {
                self.note(&format!(
                    "follow {primary} by {}",
                    conninfo.to_conninfo_string()
                ));
                let (outcome, after) = self.follow.clone();
                self.send(after, Event::FollowPrepared(outcome));
            }
            Effect::RaiseAlert { alert, .. } => {
                self.note(&format!("raise {}", format::alert_file(alert)))
            }
            Effect::ClearAlert(alert) => self.note(&format!("clear {}", format::alert_file(alert))),
            Effect::Decided {
                round, repeated, ..
            } => {
                let verdict = &round.decision.verdict;
                if let Some(repeated) = repeated {
                    self.note(&format!("log {repeated}"));
                }
                self.note(&format!("log {verdict}"));
                self.note(&format!("decide {} {}", verdict.name(), verdict.reason()));
                behind(&round).iter().for_each(|line| self.note(line));
            }
            Effect::Save(saved) => {
                let failover = saved.memory.failover.as_ref();
                let has_process = failover.is_some_and(|last| last.process.is_some());
                self.note(if has_process { "save process" } else { "save" });
            }
            Effect::Measure(metric) => self.note(&format!(
                "measure {}",
                format::metric_line(&metric, &BTreeMap::new())
            )),
            Effect::Log { text, .. } => self.note(&format!("log {text}")),
            // Nobody votes in these worlds.
            Effect::SendVote(_)
            | Effect::AnswerVote { .. }
            | Effect::SaveVote { .. }
            | Effect::ArmGuard(_)
            | Effect::ReadControl(_)
            | Effect::EndCommand(_) => {}
        }
    }

    /// Notes what our session on this node shows from now on, if it is something else than before.
    fn note_session(&mut self, node: &str, session: &str) {
        let own = Presence::of_session(session, Duration::ZERO).unwrap();
        let mut state = own.state.to_string();
        if let Some(mark) = own.pause.shown() {
            state += &format!("+{mark}");
        }
        let before = self.sessions.insert(node.to_owned(), state.clone());
        if before.as_deref() != Some(state.as_str()) {
            self.note(&format!("session {node} {state}"));
        }
    }

    fn note(&mut self, deed: &str) {
        let seconds =
            Duration::from_micros(u64::try_from(self.t.as_micros()).unwrap()).as_secs_f64();
        writeln!(self.transcript, "{seconds} {deed}").unwrap();
    }
}

fn parse(text: &str) -> Config {
    config::parse(text, &Environment::default()).unwrap().config
}

fn now(t: Duration) -> Now {
    Now {
        mono: Monotonic::from_duration(START + t),
        wall: WallTime::from_unix_micros(1_704_067_200_000_000) + t,
    }
}

const START: Duration = Duration::from_secs(1_000_000);
const USUAL: &str = r#"{"own_db": "s2", "remote_conns": {"p": "host=p", "s1": "host=s1", "s2": "host=s2"},
    "failover_command": "promote", "max_failover_replication_time_lag": 60, "over_warning_limit_command": "warn"}"#;
