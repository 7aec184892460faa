//! All worlds of up to three database nodes and two observers over the facts that matter: whatever
//! else the decision considers, it never promotes beside a primary of which anybody has recent
//! evidence, never a server that is behind another one that could be, never with too little of the
//! cluster in sight.

mod facts;

use pglookout::cluster::{ClusterState, NodeMap};
use pglookout::config::{self, Config, Environment, NodeName, QuorumRule};
use pglookout::failover::{Snapshot, Verdict, decide};

use facts::{
    B, LIMIT, NAMES, NODES, NOW, OBSERVERS, OURSELVES, Observer, Own, POLL, WORDS, Word, mono,
};

/// Everything of a world.
struct Facts {
    nodes: [Own; 3],
    observers: Vec<(Observer, [Word; 3])>,
}

struct Worlds {
    config: Config,
    names: Vec<NodeName>,
    seen: u64,
    promoted: u64,
}

#[test]
fn in_no_world_is_a_node_promoted_against_the_facts() {
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

    /// One observer with all that it can report of both others; a second one that reports one thing
    /// of both.
    fn with_observers(&mut self, nodes: [Own; 3]) {
        let mut facts = Facts {
            nodes,
            observers: Vec::new(),
        };
        self.judge(&facts);
        let pairs = WORDS.map(|of_a| WORDS.map(|of_c| (of_a, of_c)));
        for first in OBSERVERS {
            for (of_a, of_c) in pairs.into_iter().flatten() {
                // One that never answered can have reported nothing.
                if first == Observer::NeverAsked && (of_a, of_c) != (Word::Nothing, Word::Nothing) {
                    continue;
                }
                facts.observers = vec![(first, [of_a, Word::Nothing, of_c])];
                self.judge(&facts);
                if matches!(first, Observer::Answered { .. }) && of_c == Word::Nothing {
                    for word in WORDS {
                        let second = (Observer::Answered { age: 0 }, [word, Word::Nothing, word]);
                        facts.observers.push(second);
                        self.judge(&facts);
                        facts.observers.pop();
                    }
                }
            }
        }
    }

    fn judge(&mut self, facts: &Facts) {
        let state = facts.state(&self.names);
        for remembered in [None, Some(0), Some(B)] {
            let promotes = |worlds: &mut Self, rule, maintenance| {
                worlds.promotes(&state, remembered, rule, maintenance)
            };
            let by_half = promotes(self, QuorumRule::Half, false);
            let by_majority = promotes(self, QuorumRule::Majority, false);
            let in_maintenance = promotes(self, QuorumRule::Half, true);
            self.seen += 3;
            self.promoted += u64::from(by_half) + u64::from(by_majority);
            assert!(!in_maintenance && (by_half || !by_majority), "{state:#?}");
            if by_half {
                let against = facts.against(remembered);
                assert!(against.is_none(), "{remembered:?} {against:?}: {state:#?}");
            }
            // If we were the primary ourselves, others that never reported a role are not counted.
            let is_enough = remembered == Some(B) || facts.in_sight() >= 2;
            assert!(!by_majority || is_enough, "{remembered:?} {state:#?}");
        }
    }

    fn promotes(
        &mut self,
        state: &ClusterState,
        remembered: Option<usize>,
        rule: QuorumRule,
        maintenance: bool,
    ) -> bool {
        let primary = remembered.map(|node| self.names[node].clone());
        let map = NodeMap::new(&self.config, state, primary.as_ref(), mono(0));
        self.config.quorum = rule;
        let decision = decide(&Snapshot {
            config: &self.config,
            state,
            map: &map,
            remembered: primary.as_ref(),
            previous_contacts: &[],
            nodes_changed_at: mono(NOW),
            started_at: mono(NOW),
            memory_is_old: false,
            went_first: None,
            announced: None,
            fresh: true,
            maintenance,
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
        matches!(decision.verdict, Verdict::Promote { .. })
    }
}

impl Facts {
    /// What stands against a promotion of our node.
    fn against(&self, remembered: Option<usize>) -> Option<&'static str> {
        let Own::Standby {
            position: ours,
            poll_age: 0..=20,
            ..
        } = self.nodes[B]
        else {
            return Some("our own node is no standby that we reach");
        };
        for (node, own) in self
            .nodes
            .into_iter()
            .enumerate()
            .filter(|(node, _)| *node != B)
        {
            match own {
                Own::Primary => return Some("a primary is reached"),
                Own::LostPrimary { age, .. } if age < LIMIT => {
                    return Some("a primary answered less than the limit ago");
                }
                Own::LostPrimary { refuses: true, .. } => return Some("a primary refuses us"),
                Own::RefusesUntold if remembered == Some(node) => {
                    return Some("the remembered primary refuses us");
                }
                Own::Standby {
                    position,
                    poll_age: 0..=20,
                    ..
                } if position > ours => return Some("another standby is further ahead"),
                Own::Standby {
                    contact_age: Some(age),
                    ..
                } if age < LIMIT => return Some("a standby was a primary less than the limit ago"),
                _ => {}
            }
        }
        let fresh = self
            .observers
            .iter()
            .filter(|(standing, _)| is_fresh(*standing));
        let mut words = fresh.flat_map(|(_, words)| [words[0], words[2]]);
        let lives = words.any(|word| match word {
            Word::Primary { age } | Word::LostPrimary { age } => age < LIMIT,
            _ => false,
        });
        // That a node which is a standby by our own later poll was one does not hold for ever, but
        // its contact does.
        lives.then_some("an observer reached a primary less than the limit ago")
    }

    /// How many voters there are in sight at best.
    fn in_sight(&self) -> usize {
        let standby = |own: &&Own| {
            matches!(
                own,
                Own::Standby {
                    poll_age: 0..=20,
                    ..
                }
            )
        };
        let observers = self.observers.iter();
        let relayed = |node: usize| {
            let mut words = self.observers.iter().map(|(_, words)| words[node]);
            words.any(|word| matches!(word, Word::Standby { .. }))
        };
        let relayed = [0, 2].into_iter().filter(|node| {
            !matches!(
                self.nodes[*node],
                Own::Standby {
                    poll_age: 0..=20,
                    ..
                }
            ) && relayed(*node)
        });
        self.nodes.iter().filter(standby).count()
            + relayed.count()
            + observers
                .filter(|(standing, _)| is_fresh(*standing))
                .count()
    }
}

fn is_fresh(observer: Observer) -> bool {
    matches!(observer, Observer::Answered { age } if age < 2 * POLL)
}
