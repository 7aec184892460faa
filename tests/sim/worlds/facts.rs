//! What worlds are made of, and the cluster state that they come to.

use std::time::Duration;

use pglookout::cluster::{
    Attempt, ClusterState, Identity, Lsn, NodeAnswer, NodeState, ObserverState, PrimaryContact,
    ProbeFailure, Role, Sighting, Witness,
};
use pglookout::config::{NodeName, ObserverName};
use pglookout::time::{Monotonic, WallTime};

use super::Facts;

/// What we know of a node ourselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Own {
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
        contact_age: Option<u64>,
    },
    LostStandby,
}

/// What an observer says of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Word {
    Nothing,
    Primary { age: u64 },
    LostPrimary { age: u64 },
    Standby { position: u64, age: u64 },
    LostStandby,
}

/// How an observer stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Observer {
    NeverAsked,
    Failed,
    Answered { age: u64 },
}

pub(super) const POLL: u64 = 5;
pub(super) const LIMIT: u64 = 60;
pub(super) const OURS: u64 = 100;
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];
/// We are b: one name sorts before us and one behind.
pub(super) const B: usize = 1;
pub(super) const NOW: u64 = 100_000;

pub(super) const fn standby(position: u64) -> Own {
    Own::Standby {
        position,
        poll_age: 0,
        contact_age: None,
    }
}

/// At the edges: exactly the limit is over it, exactly one poll interval is no longer within it.
pub(super) const NODES: [Own; 15] = [
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
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 21,
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        contact_age: None,
    },
    Own::Standby {
        position: OURS,
        poll_age: 0,
        contact_age: Some(LIMIT - 1),
    },
    Own::LostStandby,
];

pub(super) const OURSELVES: [Own; 5] = [
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
        contact_age: None,
    },
];

pub(super) const WORDS: [Word; 9] = [
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

pub(super) const OBSERVERS: [Observer; 4] = [
    Observer::NeverAsked,
    Observer::Failed,
    Observer::Answered { age: 2 * POLL - 1 },
    Observer::Answered { age: 2 * POLL },
];

impl Facts {
    pub(super) fn state(&self, names: &[NodeName]) -> ClusterState {
        let mut state = ClusterState::default();
        for (node, own) in self.nodes.into_iter().enumerate() {
            let known = node_state(own);
            if let Some(answer) = &known.answer {
                let role = Role {
                    is_primary: !answer.in_recovery,
                    at: answer.at,
                    witness: Witness::Ourselves,
                };
                state.history.roles.insert(names[node].clone(), role);
            }
            state.nodes.insert(names[node].clone(), known);
        }
        for (number, (standing, words)) in self.observers.iter().enumerate() {
            add_observer(&mut state, names, number, *standing, *words);
        }
        state
    }
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
        Own::RefusesUntold => {
            state.failure = refused();
            (state.refused, state.refused_as_primary) = (Some(mono(0)), Some(mono(0)));
        }
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
            state.refused_as_primary = refuses.then(|| mono(0));
            state.refused = state.refused_as_primary;
            state.answer = Some(answer(age, false, OURS));
            state.primary_contact = Some(mono(age));
        }
        Own::Standby {
            position,
            poll_age,
            contact_age,
        } => {
            state = NodeState {
                attempt: attempt(poll_age, true),
                ..NodeState::default()
            };
            state.answer = Some(answer(poll_age, true, position));
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

/// Puts an observer into the state.
fn add_observer(
    state: &mut ClusterState,
    names: &[NodeName],
    number: usize,
    standing: Observer,
    words: [Word; 3],
) {
    let (age, connected) = match standing {
        Observer::NeverAsked => (None, false),
        Observer::Failed => (Some(0), false),
        Observer::Answered { age } => (Some(age), true),
    };
    let mut observer = ObserverState {
        attempt: age.map(|age| Attempt {
            at: mono(age),
            fetch_time: wall(age),
            connected,
        }),
        ..ObserverState::default()
    };
    for (node, word) in words.into_iter().enumerate() {
        let (is_primary, age, asked, connected, position) = match word {
            Word::Nothing => continue,
            Word::Primary { age } => (true, age, age, true, OURS),
            Word::LostPrimary { age } => (true, age, 1, false, OURS),
            Word::Standby { position, age } => (false, age, age, true, position),
            Word::LostStandby => (false, 10, 1, false, OURS),
        };
        let name = &names[node];
        if is_primary {
            let contact = PrimaryContact {
                at: mono(age),
                reported_at: mono(age),
                db_time: Some(wall(age)),
            };
            observer.primary_contacts.insert(name.clone(), contact);
            observer.seen_primaries.insert(name.clone());
        }
        let position = Lsn::from_bytes(position);
        observer.nodes.insert(
            name.clone(),
            Sighting {
                at: mono(asked),
                reported_at: mono(age),
                resolution: Duration::from_micros(1),
                fetch_time: wall(asked),
                connected,
                db_time: Some(wall(age)),
                in_recovery: Some(!is_primary),
                receive: (!is_primary).then_some(position),
                replay: Some(position),
                last_replay: None,
                identity: Identity::default(),
                daemons: None,
            },
        );
        let role = Role {
            is_primary,
            at: mono(age),
            witness: Witness::Observer(ObserverName::from(["o1", "o2"][number])),
        };
        let known = state
            .history
            .roles
            .entry(name.clone())
            .or_insert(role.clone());
        if known.at < role.at {
            *known = role;
        }
    }
    let name = ObserverName::from(["o1", "o2"][number]);
    state.observers.insert(name, observer);
}

pub(super) fn mono(age: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(NOW - age))
}

fn wall(age: u64) -> WallTime {
    WallTime::from_unix_micros(i64::try_from((NOW - age) * 1_000_000).unwrap())
}
