//! Announce, then look, in all orders of events: two daemons, each with the real decision, the
//! sessions that their servers show, links that come and go, daemons that end. If one server is
//! reached by both throughout, they never both promote.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pglookout::cluster::{
    Attempt, ClusterState, DaemonState, Identity, Lsn, NodeAnswer, NodeMap, NodeState,
    ObserverState, PauseMark, Presence, ProbeFailure, Role, Sighting, Witness,
};
use pglookout::config::{self, Config, Environment, NodeName, ObserverName};
use pglookout::failover::{Announcement, Snapshot, Verdict, decide};
use pglookout::time::{Monotonic, WallTime};

/// How far a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Idle,
    Wants,
    /// It has looked; its sessions do not show yet that it promotes.
    Looked,
    Promotes,
    Dead,
}

/// What a session shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flag {
    None,
    Wants,
    Promotes,
}

/// Both daemons, and by server what it shows of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    phases: [Phase; 2],
    flags: [[Flag; 2]; 2],
}

/// What may happen.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    /// This server is reached by both all the time.
    common: Option<usize>,
    /// Sessions of a daemon that has announced may vanish.
    drop: bool,
    /// Daemon 0 is so much further ahead.
    ahead: u64,
}

/// What a look depends on: whose it is, whether that has announced, whether it reaches the other
/// server, what the servers show.
type Seen = (usize, bool, bool, [[Flag; 2]; 2]);

struct Enumeration {
    configs: [Config; 2],
    rules: Rules,
    looks: BTreeMap<Seen, Look>,
}

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Again,
    Promote,
    Hold,
}

#[test]
fn with_a_common_server_two_daemons_never_both_promote() {
    for common in [0, 1] {
        for (drop, ahead) in [(false, 0), (true, 0), (false, 1), (true, 1)] {
            let rules = Rules {
                common: Some(common),
                drop,
                ahead,
            };
            let (states, promoted, both) = Enumeration::new(rules).run();
            println!("{rules:?}: {states} states, {promoted} with a promotion");
            assert_eq!(both, None, "{rules:?}");
            assert!(states > 20 && promoted > 5, "{states} {promoted}");
        }
    }
}

#[test]
fn without_a_common_server_nothing_is_promised() {
    let (_, _, both) = Enumeration::new(Rules::default()).run();
    assert!(both.is_some());
}

impl Enumeration {
    fn new(rules: Rules) -> Self {
        let config = |own: &str| {
            let text = format!(
                r#"{{"own_db": "{own}", "remote_conns": {{"a": "host=a", "b": "host=b", "c": "host=c"}},
                "observers": {{"o": "http://o"}}, "failover_command": "promote"}}"#
            );
            config::parse(&text, &Environment::default())
                .unwrap()
                .config
        };
        Self {
            configs: [config("b"), config("c")],
            rules,
            looks: BTreeMap::new(),
        }
    }

    /// All states that can come about; those with a promotion; one in which both promote.
    fn run(&mut self) -> (usize, usize, Option<State>) {
        let start = State {
            phases: [Phase::Idle; 2],
            flags: [[Flag::None; 2]; 2],
        };
        let mut seen = BTreeSet::from([start]);
        let mut todo = vec![start];
        while let Some(state) = todo.pop() {
            if state.phases == [Phase::Promotes; 2] {
                return (seen.len(), 0, Some(state));
            }
            for next in self.steps(state) {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        let promoted = seen
            .iter()
            .filter(|it| it.phases.contains(&Phase::Promotes));
        (seen.len(), promoted.count(), None)
    }

    /// Everything that can happen next.
    fn steps(&mut self, state: State) -> Vec<State> {
        let mut next = Vec::new();
        for daemon in 0..2 {
            let phase = state.phases[daemon];
            let becomes = |phase, flag, reached: &[usize]| {
                let mut state = state;
                state.phases[daemon] = phase;
                for server in reached {
                    state.flags[*server][daemon] = flag;
                }
                state
            };
            for reached in self.reaches(daemon) {
                match phase {
                    Phase::Idle | Phase::Wants => {
                        let look = self.look(daemon, phase == Phase::Wants, &reached, state.flags);
                        next.push(match look {
                            Look::Again => becomes(Phase::Wants, Flag::Wants, &reached),
                            Look::Promote => becomes(Phase::Looked, Flag::Wants, &[]),
                            Look::Hold => becomes(Phase::Idle, Flag::None, &reached),
                        });
                    }
                    Phase::Looked => next.push(becomes(Phase::Promotes, Flag::Promotes, &reached)),
                    Phase::Promotes | Phase::Dead => {}
                }
            }
            match phase {
                Phase::Idle | Phase::Wants | Phase::Looked => {
                    // Its sessions linger, or end with it.
                    next.push(becomes(Phase::Dead, Flag::None, &[]));
                    next.push(becomes(Phase::Dead, Flag::None, &[0, 1]));
                }
                Phase::Dead => next.push(becomes(Phase::Dead, Flag::None, &[0, 1])),
                Phase::Promotes => {}
            }
            if phase == Phase::Wants && self.rules.drop {
                next.extend([0, 1].map(|server| becomes(phase, Flag::None, &[server])));
            }
        }
        next
    }

    /// The servers that a daemon may reach: its own always, and the common one.
    fn reaches(&self, daemon: usize) -> Vec<Vec<usize>> {
        let other = 1 - daemon;
        match self.rules.common {
            Some(common) if common == other => vec![vec![0, 1]],
            _ => vec![vec![daemon], vec![0, 1]],
        }
    }

    /// The real decision of this daemon on what the servers show that it reaches.
    fn look(
        &mut self,
        daemon: usize,
        announced: bool,
        reached: &[usize],
        flags: [[Flag; 2]; 2],
    ) -> Look {
        let reaches_other = reached.len() == 2;
        let key = (daemon, announced, reaches_other, flags);
        if let Some(look) = self.looks.get(&key) {
            return *look;
        }
        let state = self.state(daemon, reaches_other, flags);
        let (config, primary) = (&self.configs[daemon], NodeName::from("a"));
        let map = NodeMap::new(config, &state, Some(&primary), mono(0));
        let position = self.position(daemon);
        let decision = decide(&Snapshot {
            config,
            state: &state,
            map: &map,
            remembered: Some(&primary),
            previous_contacts: &[],
            nodes_changed_at: mono(NOW),
            started_at: mono(NOW),
            memory_is_old: false,
            went_first: None,
            announced: announced.then_some(Announcement {
                at: mono(1),
                position,
                by_script: false,
            }),
            fresh: true,
            maintenance: false,
            pause: None,
            lag_warning: false,
            promoting: false,
            has_failed: false,
            held_off_until: None,
            tried_until: None,
            unsettled: false,
            election: None,
            predecessor: None,
            now: mono(0),
        });
        let look = match decision.verdict {
            Verdict::Announce { .. } => Look::Again,
            Verdict::Promote { .. } => Look::Promote,
            _ => Look::Hold,
        };
        self.looks.insert(key, look);
        look
    }

    fn position(&self, daemon: usize) -> Lsn {
        Lsn::from_bytes(match daemon {
            0 => 1_000 + self.rules.ahead,
            _ => 1_000,
        })
    }

    fn state(&self, daemon: usize, reaches_other: bool, flags: [[Flag; 2]; 2]) -> ClusterState {
        let mut state = ClusterState::default();
        let standbys = [0, 1].map(|node| {
            let is_reached = node == daemon || reaches_other;
            let shown = (0..2).filter_map(|of| self.presence(of, flags[node][of]));
            node_state(is_reached, true, self.position(node), shown.collect())
        });
        let primary = node_state(false, false, Lsn::from_bytes(900), Vec::new());
        let mut observer = ObserverState {
            attempt: Some(attempt(0, true)),
            ..ObserverState::default()
        };
        observer.seen_primaries.insert(NodeName::from("a"));
        for (name, known) in NAMES.into_iter().zip([primary].into_iter().chain(standbys)) {
            let name = NodeName::from(name);
            let is_primary = name.as_str() == "a";
            let role = Role {
                is_primary,
                at: mono(LONG_AGO),
                witness: Witness::Ourselves,
            };
            observer.nodes.insert(name.clone(), lost(is_primary));
            state.history.roles.insert(name.clone(), role);
            state.nodes.insert(name, known);
        }
        state.observers.insert(ObserverName::from("o"), observer);
        state
    }

    fn presence(&self, daemon: usize, flag: Flag) -> Option<Presence> {
        let shows = match flag {
            Flag::None => return None,
            Flag::Wants => DaemonState::Wants(Some(self.position(daemon))),
            Flag::Promotes => DaemonState::Promoting,
        };
        Some(Presence {
            daemon: NAMES[daemon + 1].to_owned(),
            state: shows,
            pause: PauseMark::default(),
            settings: String::new(),
            age: Duration::ZERO,
        })
    }
}

fn node_state(reached: bool, in_recovery: bool, position: Lsn, shown: Vec<Presence>) -> NodeState {
    let age = if reached { 0 } else { LONG_AGO };
    let failure = ProbeFailure::Unreachable {
        reason: String::new(),
    };
    NodeState {
        attempt: Some(attempt(0, reached)),
        failure: (!reached).then_some(failure),
        answer: Some(NodeAnswer {
            at: mono(age),
            in_recovery,
            db_time: wall(age),
            receive: in_recovery.then_some(position),
            replay: Some(position),
            last_replay: None,
            slots: Vec::new(),
            identity: Identity::default(),
            daemons: Some(shown),
        }),
        primary_contact: (!in_recovery).then(|| mono(LONG_AGO)),
        ..NodeState::default()
    }
}

/// The observer has lost this node long ago.
fn lost(is_primary: bool) -> Sighting {
    Sighting {
        at: mono(1),
        reported_at: mono(LONG_AGO),
        resolution: Duration::ZERO,
        fetch_time: wall(1),
        connected: false,
        db_time: Some(wall(LONG_AGO)),
        in_recovery: Some(!is_primary),
        receive: None,
        replay: None,
        last_replay: None,
        identity: Identity::default(),
        daemons: None,
    }
}

fn attempt(age: u64, connected: bool) -> Attempt {
    Attempt {
        at: mono(age),
        fetch_time: wall(age),
        connected,
    }
}

fn mono(age: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(NOW - age))
}

fn wall(age: u64) -> WallTime {
    WallTime::from_unix_micros(i64::try_from((NOW - age) * 1_000_000).unwrap())
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const NOW: u64 = 100_000;
/// Longer than the limit.
const LONG_AGO: u64 = 500;
