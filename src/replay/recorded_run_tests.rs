//! What is written down of a daemon in a world of chance replays to the same decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{DecisionLine, Outcome, decisions};
use super::Recorder;
use super::tests::{USUAL, config, lsn, now, timeline};
use crate::cluster::{
    DaemonState, Identity, Lsn, NodeReport, ObservedNode, ObserverReport, PauseMark, Presence,
    ProbeFailure, ProbeStep, RoleReport,
};
use crate::lookout::{CommandOutcome, Contact, Effect, Event, FollowOutcome, Lookout, Memory};
use crate::testing::draws;
use crate::time::Now;

/// A daemon in a world of chance: everything takes some time, some things fail, clocks are stepped,
/// and turns are late.
struct Daemon {
    draws: Box<dyn FnMut(usize) -> usize>,
    lookout: Lookout,
    recorder: Recorder,
    micros: u64,
    wall_ahead: u64,
    maintenance: bool,
    coming: BTreeMap<(u64, u64), Event>,
    primary: &'static str,
    /// Does the primary die.
    dies: bool,
    hides_sessions: bool,
    effects: Vec<Effect>,
    /// Since the last decision.
    since: Vec<Effect>,
    decided: Vec<(DecisionLine, String)>,
}

impl Daemon {
    fn new(seed: u64) -> Self {
        let memory = Memory {
            primary: seed.is_multiple_of(2).then(|| "p".into()),
            contacts: [(
                "p".into(),
                Contact {
                    mono: Some(now(0).mono.before(Duration::from_micros(2_000_003))),
                    wall: now(0).wall,
                },
            )]
            .into(),
            standbys: ["s1".into()].into(),
            ..Memory::default()
        };
        let mut recorder = Recorder::new(now(0));
        recorder.begin(&config(USUAL), &memory, now(0));
        Self {
            draws: Box::new(draws(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)),
            lookout: Lookout::new(Arc::new(config(USUAL)), &memory, now(0)),
            recorder,
            micros: 0,
            wall_ahead: 0,
            maintenance: false,
            coming: BTreeMap::new(),
            primary: "p",
            dies: !seed.is_multiple_of(3),
            hides_sessions: seed % 4 < 2,
            effects: Vec::new(),
            since: Vec::new(),
            decided: Vec::new(),
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        u64::try_from((self.draws)(usize::try_from(below).unwrap())).unwrap()
    }

    fn now(&self) -> Now {
        Now {
            wall: now(self.micros).wall + Duration::from_micros(self.wall_ahead),
            ..now(self.micros)
        }
    }

    fn send(&mut self, event: Event) {
        let (after, order) = (self.draw(1_000_000), self.draw(u64::MAX));
        self.coming.insert((self.micros + after, order), event);
    }

    fn run(mut self) -> (String, Vec<(DecisionLine, String)>) {
        while self.micros < 120_000_000 {
            self.turn();
        }
        (self.recorder.take_lines(), self.decided)
    }

    fn turn(&mut self) {
        let deadline = self.lookout.next_deadline().since(now(0).mono);
        let deadline = u64::try_from(deadline.as_micros()).unwrap() + 1 + self.draw(20_000);
        let arrival = self
            .coming
            .first_key_value()
            .map_or(u64::MAX, |((at, _), _)| *at);
        self.micros = deadline.min(arrival).max(self.micros + 1);
        match self.draw(100) {
            _ if self.micros > 40_000_000 && self.dies => self.primary = "",
            0 => self.chance(),
            _ => {}
        }
        let (now, mut events) = (self.now(), Vec::new());
        while let Some(entry) = self
            .coming
            .first_entry()
            .filter(|entry| entry.key().0 <= self.micros)
        {
            events.push(entry.remove());
        }
        self.recorder.events(&events, &self.lookout, now);
        let maintenance = self.maintenance;
        let looked = self
            .lookout
            .turn(events, maintenance, now, &mut self.effects);
        if looked {
            self.recorder.turn(maintenance, &self.effects, now);
        }
        let is_decision = self.effects.iter().any(|effect| effect.decided().is_some());
        self.carry_out(is_decision);
    }

    /// Something that seldom happens.
    fn chance(&mut self) {
        let failure = ProbeFailure::Unreachable {
            reason: "reset".to_owned(),
        };
        match self.draw(7) {
            0 if self.draw(3) == 0 => {
                let mark = self.mark();
                self.send(Event::PauseSet(mark));
            }
            0 => self.send(Event::CheckRequested),
            1 => self.send(Event::NodeLost {
                node: "p".into(),
                failure,
            }),
            2 => self.wall_ahead += 3_000_000,
            3 => self.maintenance = !self.maintenance,
            4 => {
                let lag = 10 + self.draw(20);
                let text = USUAL.replace("_lag\": 20", &format!("_lag\": {lag}"));
                self.send(Event::ConfigLoaded(Arc::new(config(&text))));
            }
            // The process is stopped.
            5 => self.micros += 10_000_000,
            _ => self.primary = ["p", "s1"][(self.draws)(2)],
        }
    }

    fn carry_out(&mut self, is_decision: bool) {
        let effects = std::mem::take(&mut self.effects);
        self.recorder.note(&effects);
        self.since.extend(effects.iter().cloned());
        if is_decision {
            let round = self.lookout.last_round().unwrap();
            let t = Duration::from_micros(self.micros);
            let line = DecisionLine {
                fresh_facts_wanted: round.decision.verdict.name() == "wants_fresh_facts",
                ..DecisionLine::new(
                    "s2 2024-04-30T12:34:56.789012Z",
                    t,
                    &self.lookout,
                    round,
                    &self.since,
                )
            };
            self.decided
                .push((line, round.decision.verdict.to_string()));
            self.since.clear();
        }
        for effect in &effects {
            match effect {
                Effect::ProbeNode {
                    node,
                    probe,
                    session,
                } => {
                    let outcome = self.answer(node.as_str(), session);
                    self.send(Event::NodeProbed {
                        node: node.clone(),
                        probe: Some(*probe),
                        outcome,
                    });
                }
                Effect::ProbeObserver { observer, probe } => {
                    let outcome = self.observed();
                    self.send(Event::ObserverProbed {
                        observer: observer.clone(),
                        probe: Some(*probe),
                        outcome,
                    });
                }
                Effect::RunCommand { id, .. } => {
                    let status = i32::try_from(self.draw(2)).unwrap();
                    self.send(Event::CommandExited {
                        id: *id,
                        outcome: CommandOutcome::Exited(status),
                    });
                }
                Effect::PrepareFollow { .. } => {
                    let outcome = match self.draw(4) {
                        0 => FollowOutcome::Unchanged,
                        1 => FollowOutcome::Failed("no".to_owned()),
                        _ => FollowOutcome::Changed,
                    };
                    self.send(Event::FollowPrepared(outcome));
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, node: &str, session: &str) -> Result<NodeReport, ProbeFailure> {
        let db_time = self.now().wall;
        let position = Some(Lsn::from_bytes(100 + self.draw(40) / 39));
        let role = match node {
            _ if node == self.primary => RoleReport::Primary {
                lsn: position,
                slots: Vec::new(),
            },
            "p" => {
                return Err(ProbeFailure::TimedOut {
                    step: ProbeStep::Connecting,
                });
            }
            _ if self.draw(12) == 0 => {
                return Err(ProbeFailure::Refused {
                    message: "full".to_owned(),
                });
            }
            _ => {
                let lag = Duration::from_micros(self.draw(40_000_000));
                RoleReport::Standby {
                    receive: position,
                    replay: None,
                    last_replay: Some(db_time - lag),
                }
            }
        };
        Ok(NodeReport {
            db_time,
            role,
            identity: Identity {
                system: Some("7".to_owned()),
                started: Some(now(0).wall),
                timeline: Some(1),
                ..Identity::default()
            },
            daemons: self.shown(session),
        })
    }

    fn mark(&mut self) -> PauseMark {
        const MARKS: [&str; 4] = ["1", "2", "3", "4"];
        let mark = MARKS.get((self.draws)(40)).unwrap_or(&"0");
        mark.parse().unwrap()
    }

    /// Our session, and at times another daemon's. Half of all worlds hide them.
    fn shown(&mut self, session: &str) -> Option<Vec<Presence>> {
        if self.hides_sessions {
            return None;
        }
        let age = Duration::from_millis(self.draw(2_000));
        let own = Presence::of_session(session, Duration::ZERO);
        let states = [
            DaemonState::Ok,
            DaemonState::Maintenance,
            DaemonState::Wants(lsn("0/60")),
            DaemonState::Wants(lsn("0/70")),
            DaemonState::Promoting,
        ];
        let state = states.get((self.draws)(40)).copied();
        let other = state.map(|state| Presence {
            daemon: "s1".to_owned(),
            state,
            pause: self.mark(),
            settings: "0".to_owned(),
            age,
        });
        Some(own.into_iter().chain(other).collect())
    }

    fn observed(&mut self) -> Result<ObserverReport, ProbeFailure> {
        if self.draw(5) == 0 {
            return Err(ProbeFailure::Unreachable {
                reason: "refused".to_owned(),
            });
        }
        let date = self.now().wall + Duration::from_secs(self.draw(7));
        let primary = self.primary;
        let entry = |node: &str| ObservedNode {
            fetch_time: date,
            connection: node != "p" || primary == "p",
            db_time: Some(date),
            in_recovery: Some(node != primary),
            receive: lsn("0/64"),
            replay: None,
            last_replay: None,
            identity: Identity::default(),
            daemons: None,
        };
        Ok(ObserverReport {
            date,
            nodes: ["p", "s1", "s2"]
                .map(|node| (node.into(), entry(node)))
                .into(),
        })
    }
}

#[test]
fn what_was_decided_live_is_decided_in_the_replay() {
    let (mut all, mut promotions, mut announced) = (0, 0, 0);
    for seed in 0..60 {
        let (lines, live) = Daemon::new(seed).run();
        let replayed = decisions(&timeline(&lines)).unwrap();
        assert_eq!(replayed.len(), live.len(), "seed {seed}");
        for (
            (line, sentence),
            Outcome {
                line: again,
                sentence: said_again,
                ..
            },
        ) in live.iter().zip(&replayed)
        {
            assert_eq!((line, sentence), (again, said_again), "seed {seed}");
            promotions += usize::from(line.verdict == "promote");
            announced += usize::from(line.verdict == "announce");
        }
        all += live.len();
    }
    let counts = format!("{all} decisions, {promotions} promotions, {announced} announced");
    println!("{counts}");
    assert!(all > 1_000 && promotions > 10 && announced > 10, "{counts}");
}
