//! All worlds of up to three database nodes and two observers over the facts that matter: in each,
//! the decision promotes exactly if the rules, written down once more without a line of the core,
//! have nothing against it.

use std::collections::BTreeSet;
use std::time::Duration;

use pglookout::cluster::{
    Attempt, ClusterState, Identity, Lsn, NodeAnswer, NodeMap, NodeState, ObserverState,
    PrimaryContact, ProbeFailure, Sighting,
};
use pglookout::config::{self, Config, Environment, NodeName, ObserverName, QuorumRule};
use pglookout::failover::{Snapshot, Verdict, decide};
use pglookout::time::{Monotonic, WallTime};

use crate::rules::{Objection, Rules, Standing, first_candidate, objections, seen_primaries};
use crate::told::{Answer, Entry, Told};

/// What we know of a node ourselves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Own {
    Silent,
    RefusesUntold,
    Primary,
    LostPrimary {
        age: u64,
        refuses: bool,
    },
    Standby {
        position: u64,
        poll_age: u64,
        wal_age: Option<u64>,
        contact_age: Option<u64>,
    },
    LostStandby,
}

/// What an observer says of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Nothing,
    Primary { age: u64 },
    LostPrimary { age: u64 },
    Standby { position: u64, age: u64 },
    LostStandby,
}

/// How an observer stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Observer {
    NeverAsked,
    Failed,
    Answered { age: u64 },
    Skewed,
}

const POLL: u64 = 5;
const LIMIT: u64 = 60;
const OURS: u64 = 100;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// We are b: one name sorts before us and one behind.
const B: usize = 1;
const NOW: u64 = 100_000;

const fn standby(position: u64) -> Own {
    Own::Standby {
        position,
        poll_age: 0,
        wal_age: None,
        contact_age: None,
    }
}

/// At the edges: exactly the limit is over it, exactly one poll interval is no longer within it.
const NODES: [Own; 15] = [
    Own::Silent,
    Own::RefusesUntold,
    Own::Primary,
    Own::LostPrimary {
        age: LIMIT,
        refuses: false,
    },
    Own::LostPrimary {
        age: LIMIT - 1,
        refuses: false,
    },
    Own::LostPrimary {
        age: LIMIT,
        refuses: true,
    },
    standby(OURS - 1),
    standby(OURS),
    standby(OURS + 1),
    Own::Standby {
        position: OURS,
        poll_age: 20,
        wal_age: None,
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 21,
        wal_age: None,
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        wal_age: Some(POLL - 1),
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        wal_age: Some(POLL),
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        wal_age: None,
        contact_age: Some(LIMIT - 1),
    },
    Own::LostStandby,
];

const OURSELVES: [Own; 5] = [
    standby(OURS),
    Own::LostStandby,
    Own::Silent,
    Own::LostPrimary {
        age: LIMIT,
        refuses: false,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        wal_age: Some(0),
        contact_age: None,
    },
];

const WORDS: [Word; 9] = [
    Word::Nothing,
    Word::Primary { age: 2 * POLL - 1 },
    Word::Primary { age: 2 * POLL },
    Word::LostPrimary { age: LIMIT - 1 },
    Word::LostPrimary { age: LIMIT },
    Word::Standby {
        position: OURS + 1,
        age: 1,
    },
    Word::Standby {
        position: OURS - 1,
        age: 1,
    },
    Word::Standby {
        position: OURS + 1,
        age: 30,
    },
    Word::LostStandby,
];

const OBSERVERS: [Observer; 5] = [
    Observer::NeverAsked,
    Observer::Failed,
    Observer::Answered { age: 2 * POLL - 1 },
    Observer::Answered { age: 2 * POLL },
    Observer::Skewed,
];

struct Worlds {
    config: Config,
    names: Vec<NodeName>,
    seen: u64,
    promoted: u64,
}

#[test]
fn in_every_world_the_decision_is_the_rules() {
    let mut worlds = Worlds::new();
    for ours in OURSELVES {
        for a in NODES {
            for c in NODES {
                worlds.with_observers([a, ours, c]);
            }
        }
    }
    println!("{} worlds, {} promotions", worlds.seen, worlds.promoted);
    assert!(
        worlds.seen > 1_000_000 && worlds.promoted > 1_000,
        "{} {}",
        worlds.seen,
        worlds.promoted
    );
}

impl Worlds {
    fn new() -> Self {
        let text = r#"{"own_db": "b", "remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c"},
            "observers": {"o1": "http://o1", "o2": "http://o2"}, "failover_command": "promote",
            "max_failover_replication_time_lag": 60}"#;
        let config = config::parse(text, &Environment::default()).unwrap().config;
        Self {
            config,
            names: NAMES.map(NodeName::from).to_vec(),
            seen: 0,
            promoted: 0,
        }
    }

    /// One observer with all that it can say of both others; a second one that says one thing of
    /// one of them.
    fn with_observers(&mut self, nodes: [Own; 3]) {
        let (mut state, mut told) = base(&self.names, nodes);
        self.judge(&state, &told);
        for first in OBSERVERS {
            for (of_a, of_c) in WORDS
                .into_iter()
                .flat_map(|of_a| WORDS.map(|of_c| (of_a, of_c)))
            {
                // One that never answered can have said nothing, and one that is skewed is heard on
                // primaries only.
                if first == Observer::NeverAsked && (of_a, of_c) != (Word::Nothing, Word::Nothing) {
                    continue;
                }
                add_observer(
                    &mut state,
                    &mut told,
                    &self.names,
                    0,
                    first,
                    [of_a, Word::Nothing, of_c],
                );
                self.judge(&state, &told);
                if matches!(first, Observer::Answered { .. }) && of_c == Word::Nothing {
                    for word in WORDS {
                        let second = Observer::Answered { age: 0 };
                        add_observer(
                            &mut state,
                            &mut told,
                            &self.names,
                            1,
                            second,
                            [word, Word::Nothing, word],
                        );
                        self.judge(&state, &told);
                        state.observers.remove("o2");
                        told.observers[1] = Told::nothing(3, 1).observers.remove(0);
                    }
                }
            }
        }
    }

    fn judge(&mut self, state: &ClusterState, told: &Told) {
        for remembered in [None, Some(0), Some(B)] {
            let memories = if state.observers.is_empty() { 3 } else { 1 };
            for memory in 0..memories {
                self.judge_one(state, told, remembered, memory);
            }
        }
    }

    fn judge_one(
        &mut self,
        state: &ClusterState,
        told: &Told,
        remembered: Option<usize>,
        memory: usize,
    ) {
        let previous_standbys: BTreeSet<_> = (memory == 1)
            .then(|| self.names[2].clone())
            .into_iter()
            .collect();
        let previous_contacts: Vec<_> = (memory == 2)
            .then(|| (self.names[0].clone(), mono(LIMIT - 1)))
            .into_iter()
            .collect();
        let mut told = std::borrow::Cow::Borrowed(told);
        if memory > 0 {
            let told = told.to_mut();
            told.previous_standbys[2] = memory == 1;
            told.previous_contacts[0] = (memory == 2).then(|| moment(LIMIT - 1));
        }
        let primary = remembered.map(|node| self.names[node].clone());
        let map = NodeMap::new(&self.config, state, primary.as_ref(), mono(0));
        for (rule, maintenance) in [
            (QuorumRule::Half, false),
            (QuorumRule::Majority, false),
            (QuorumRule::Half, true),
        ] {
            self.config.quorum = rule;
            let decision = decide(&Snapshot {
                config: &self.config,
                state,
                map: &map,
                remembered: primary.as_ref(),
                previous_contacts: &previous_contacts,
                previous_standbys: &previous_standbys,
                nodes_changed_at: Monotonic::from_duration(Duration::ZERO),
                fresh: true,
                maintenance,
                lag_warning: false,
                promoting: false,
                held_off_until: None,
                tried_until: None,
                unsettled: false,
                now: mono(0),
            });
            self.compare(state, &told, remembered, maintenance, &decision.verdict);
        }
    }

    fn compare(
        &mut self,
        state: &ClusterState,
        told: &Told,
        remembered: Option<usize>,
        maintenance: bool,
        verdict: &Verdict,
    ) {
        let rules = Rules {
            own: B,
            poll: POLL * 1_000_000,
            limit: LIMIT * 1_000_000,
            majority: self.config.quorum == QuorumRule::Majority,
            configured: vec![true; 3],
            observers: vec![true; 2],
            gone: vec![false; 3],
            never: vec![false; 3],
            priorities: vec![0; 3],
        };
        let standing = Standing {
            remembered,
            maintenance,
            is_running: false,
            is_unsettled: false,
            woke: None,
            now: moment(0),
        };
        let against = objections(told, &rules, &standing);
        let promotes = matches!(verdict, Verdict::Promote { .. });
        self.seen += 1;
        self.promoted += u64::from(promotes);
        let agree = promotes == against.is_empty();
        let same_candidate = match verdict {
            Verdict::OtherCandidate { winner, .. } => {
                first_candidate(told, &rules, &standing).map(|first| &self.names[first])
                    == Some(&winner.node)
            }
            _ => true,
        };
        // That a primary is seen is not left to the limit on the last contact to notice: it goes
        // first.
        let seen = !seen_primaries(told, &rules, &standing).is_empty();
        let says = match verdict {
            Verdict::PrimaryReachable { .. } | Verdict::SeveralPrimaries { .. } => true,
            Verdict::PrimaryItself { .. } | Verdict::NoStandby { .. } => seen,
            _ => false,
        };
        assert_eq!(says, seen, "{verdict:?}\n{told:#?}");
        assert!(
            agree && same_candidate,
            "{verdict:?}\nagainst it: {:?}\n{told:#?}\n{state:#?}",
            shown(&against)
        );
    }
}

fn shown(against: &[Objection]) -> Vec<String> {
    against.iter().map(ToString::to_string).collect()
}

fn base(names: &[NodeName], nodes: [Own; 3]) -> (ClusterState, Told) {
    let mut state = ClusterState::default();
    let mut told = Told::nothing(3, 2);
    for (node, own) in nodes.into_iter().enumerate() {
        state.nodes.insert(names[node].clone(), node_state(own));
        tell_of_node(&mut told, node, own);
    }
    (state, told)
}

fn node_state(own: Own) -> NodeState {
    let attempt = |age, connected| {
        Some(Attempt {
            at: mono(age),
            fetch_time: wall(age),
            connected,
        })
    };
    let silent = || {
        Some(ProbeFailure::Unreachable {
            reason: String::new(),
        })
    };
    let refused = || {
        Some(ProbeFailure::Refused {
            message: String::new(),
        })
    };
    let mut state = NodeState {
        attempt: attempt(0, false),
        failure: silent(),
        ..NodeState::default()
    };
    match own {
        Own::Silent => {}
        Own::RefusesUntold => state.failure = refused(),
        Own::Primary => {
            state = NodeState {
                attempt: attempt(0, true),
                primary_contact: Some(mono(0)),
                ..NodeState::default()
            };
            state.answer = Some(answer(0, false, OURS));
        }
        Own::LostPrimary { age, refuses } => {
            state.failure = if refuses { refused() } else { silent() };
            state.answer = Some(answer(age, false, OURS));
            state.primary_contact = Some(mono(age));
        }
        Own::Standby {
            position,
            poll_age,
            wal_age,
            contact_age,
        } => {
            state = NodeState {
                attempt: attempt(poll_age, true),
                ..NodeState::default()
            };
            state.answer = Some(answer(poll_age, true, position));
            state.wal_arrived = wal_age.map(mono);
            state.primary_contact = contact_age.map(mono);
        }
        Own::LostStandby => state.answer = Some(answer(10, true, OURS)),
    }
    state
}

fn answer(age: u64, in_recovery: bool, position: u64) -> NodeAnswer {
    NodeAnswer {
        at: mono(age),
        in_recovery,
        db_time: wall(age),
        receive: in_recovery.then_some(Lsn::from_bytes(position)),
        replay: Some(Lsn::from_bytes(position)),
        last_replay: None,
        slots: Vec::new(),
        identity: Identity::default(),
        daemons: None,
    }
}

fn tell_of_node(told: &mut Told, node: usize, own: Own) {
    let answer = |age, is_primary, position| {
        Some(Answer {
            at: moment(age),
            is_primary,
            receive: (!is_primary).then_some(position),
            replay: Some(position),
        })
    };
    let told = &mut told.nodes[node];
    told.attempt = Some((moment(0), false));
    match own {
        Own::Silent => {}
        Own::RefusesUntold => told.refused = true,
        Own::Primary => {
            told.attempt = Some((moment(0), true));
            (told.answer, told.contact) = (answer(0, true, OURS), Some(moment(0)));
        }
        Own::LostPrimary { age, refuses } => {
            told.refused = refuses;
            (told.answer, told.contact) = (answer(age, true, OURS), Some(moment(age)));
        }
        Own::Standby {
            position,
            poll_age,
            wal_age,
            contact_age,
        } => {
            told.attempt = Some((moment(poll_age), true));
            told.answer = answer(poll_age, false, position);
            (told.received, told.contact) = (wal_age.map(moment), contact_age.map(moment));
        }
        Own::LostStandby => told.answer = answer(10, false, OURS),
    }
}

/// Puts an observer into both, in place of what it said before.
fn add_observer(
    state: &mut ClusterState,
    told: &mut Told,
    names: &[NodeName],
    number: usize,
    standing: Observer,
    words: [Word; 3],
) {
    let mut observer = ObserverState::default();
    let mut observed = Told::nothing(3, 1).observers.remove(0);
    let (age, connected) = match standing {
        Observer::NeverAsked => (None, false),
        Observer::Failed => (Some(0), false),
        Observer::Answered { age } => (Some(age), true),
        Observer::Skewed => (Some(0), true),
    };
    observer.attempt = age.map(|age| Attempt {
        at: mono(age),
        fetch_time: wall(age),
        connected,
    });
    observed.attempt = age.map(|age| (moment(age), connected));
    if standing == Observer::Skewed {
        observer.clock_skew = Some(Duration::from_secs(9));
        observed.is_skewed = true;
    }
    for (node, word) in words.into_iter().enumerate() {
        let is_primary = matches!(word, Word::Primary { .. } | Word::LostPrimary { .. });
        if word == Word::Nothing || (standing == Observer::Skewed && !is_primary) {
            continue;
        }
        let (age, connected, position) = match word {
            Word::Primary { age } => (age, true, OURS),
            Word::LostPrimary { .. } => (1, false, OURS),
            Word::Standby { position, age } => (age, true, position),
            _ => (1, false, OURS),
        };
        let reported_at = if let Word::LostPrimary { age } = word {
            age
        } else {
            age
        };
        if is_primary {
            let sighted = connected.then(|| mono(age));
            let contact = PrimaryContact {
                at: mono(reported_at),
                sighted,
                lost_db_time: None,
            };
            observer
                .primary_contacts
                .insert(names[node].clone(), contact);
            observed.contacts[node] = Some(moment(reported_at));
        }
        let (receive, replay) = ((!is_primary).then_some(position), Some(position));
        observer.nodes.insert(
            names[node].clone(),
            Sighting {
                at: mono(age),
                reported_at: mono(reported_at),
                fetch_time: wall(age),
                connected,
                db_time: Some(wall(reported_at)),
                in_recovery: Some(!is_primary),
                receive: receive.map(Lsn::from_bytes),
                replay: replay.map(Lsn::from_bytes),
                last_replay: None,
                identity: Identity::default(),
                daemons: None,
            },
        );
        let db_time = Some((moment(reported_at), 0));
        let entry = Entry {
            at: moment(age),
            connected,
            is_primary: Some(is_primary),
            db_time,
            receive,
            replay,
        };
        observed.entries[node] = Some(entry);
    }
    state
        .observers
        .insert(ObserverName::from(["o1", "o2"][number]), observer);
    told.observers[number] = observed;
}

fn mono(age: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(NOW - age))
}

fn moment(age: u64) -> i64 {
    i64::try_from((NOW - age) * 1_000_000).unwrap()
}

fn wall(age: u64) -> WallTime {
    WallTime::from_unix_micros(moment(age))
}
