//! The referee: may this daemon promote its node now, by what it was told? Written from the rules
//! once more, plainly and without a line of the core, so that the two can be held against each
//! other.

use std::fmt;

use pglookout::config::{Config, NodeName, QuorumRule};
use pglookout::simulation::{Micros, NodeId, Setup, micros};

use crate::told::{Entry, Moment, ObserverTold, Told};

/// The settings that matter, by number.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The node that would be promoted.
    pub(crate) own: NodeId,
    /// `db_poll_interval`.
    pub(crate) poll: Micros,
    /// `max_failover_replication_time_lag`.
    pub(crate) limit: Micros,
    /// More than half must be known, not half.
    pub(crate) majority: bool,
    /// Is it configured, by node.
    pub(crate) configured: Vec<bool>,
    /// Is it configured, by observer.
    pub(crate) observers: Vec<bool>,
    /// `known_gone_nodes`, by node.
    pub(crate) gone: Vec<bool>,
    /// `never_promote_these_nodes`, by node.
    pub(crate) never: Vec<bool>,
    /// `failover_priorities`, by node.
    pub(crate) priorities: Vec<i64>,
}

/// What of the daemon's own standing matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The primary that it remembers.
    pub(crate) remembered: Option<NodeId>,
    /// The maintenance file exists.
    pub(crate) maintenance: bool,
    /// Its failover command is running.
    pub(crate) is_running: bool,
    /// Its failover command has succeeded, and its own node has answered no later poll.
    pub(crate) is_unsettled: bool,
    /// When the daemon last woke after having been stopped.
    pub(crate) woke: Option<Moment>,
    /// The time.
    pub(crate) now: Moment,
}

/// Why there must be no promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// Somebody sees this primary, connected and just now.
    PrimarySeen(NodeId),
    /// This primary lives and turns us away.
    PrimaryRefuses(NodeId),
    /// WAL arrives at this standby.
    WalArrives(NodeId),
    /// This primary was reached less than the limit ago: how long.
    ContactTooRecent(NodeId, Micros),
    /// The candidate that goes first is another one, or there is none.
    NotFirst(Option<NodeId>),
    /// The maintenance file exists.
    Maintenance,
    /// Too few votes: known, all.
    NoQuorum(usize, usize),
    /// The command is running already.
    Running,
    /// It has succeeded, and nobody has looked since.
    Unsettled,
    /// This node was last asked before the daemon was stopped.
    NotAskedSinceWaking(NodeId),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Rules {
    /// Those of a daemon with this configuration.
    pub(crate) fn of(setup: &Setup, own: NodeId, config: &Config) -> Self {
        let of_nodes = |test: &dyn Fn(&NodeName) -> bool| setup.nodes.iter().map(test).collect();
        let observers = setup.observers.iter();
        let priority = |node| config.failover_priorities.get(node).copied();
        let priorities = setup.nodes.iter().map(priority);
        Self {
            own,
            poll: micros(config.poll_interval),
            limit: micros(config.failover_lag),
            majority: config.quorum == QuorumRule::Majority,
            configured: of_nodes(&|node| config.nodes.contains_key(node)),
            observers: observers
                .map(|(name, _)| config.observers.contains_key(name))
                .collect(),
            gone: of_nodes(&|node| config.known_gone.contains(node)),
            never: of_nodes(&|node| config.never_promote.contains(node)),
            priorities: priorities.map(Option::unwrap_or_default).collect(),
        }
    }

    /// The same nodes and observers, and the same of them gone.
    pub(crate) fn knows_the_same_cluster(&self, other: &Self) -> bool {
        (&self.configured, &self.observers, &self.gone)
            == (&other.configured, &other.observers, &other.gone)
    }
}

/// Everything that forbids a promotion.
pub(crate) fn objections(told: &Told, rules: &Rules, standing: &Standing) -> Vec<Objection> {
    let case = Case {
        told,
        rules,
        standing,
    };
    let mut found: Vec<_> = case.vital_signs().collect();
    let candidates = case.candidates();
    let first = candidates
        .iter()
        .max_by_key(|(node, position)| (*position, rules.priorities[*node], *node));
    if first.map(|(node, _)| *node) != Some(rules.own) {
        found.push(Objection::NotFirst(first.map(|(node, _)| *node)));
    }
    if standing.maintenance {
        found.push(Objection::Maintenance);
    }
    let (known, all) = case.votes(candidates.len());
    if (rules.majority && known * 2 <= all) || known * 2 < all {
        found.push(Objection::NoQuorum(known, all));
    }
    if standing.is_running {
        found.push(Objection::Running);
    }
    if standing.is_unsettled {
        found.push(Objection::Unsettled);
    }
    let is_old = |node: &NodeId| {
        standing
            .woke
            .is_some_and(|woke| told.nodes[*node].asked.is_some_and(|at| at < woke))
    };
    found.extend(
        case.nodes()
            .filter(is_old)
            .map(Objection::NotAskedSinceWaking),
    );
    found
}

/// The candidate that goes first by what was told.
pub(crate) fn first_candidate(told: &Told, rules: &Rules, standing: &Standing) -> Option<NodeId> {
    let candidates = Case {
        told,
        rules,
        standing,
    }
    .candidates();
    candidates
        .into_iter()
        .max_by_key(|(node, position)| (*position, rules.priorities[*node], *node))
        .map(|(node, _)| node)
}

/// The primaries that somebody sees, connected and just now.
pub(crate) fn seen_primaries(told: &Told, rules: &Rules, standing: &Standing) -> Vec<NodeId> {
    let case = Case {
        told,
        rules,
        standing,
    };
    case.nodes().filter(|node| case.is_seen(*node)).collect()
}

struct Case<'a> {
    told: &'a Told,
    rules: &'a Rules,
    standing: &'a Standing,
}

impl Case<'_> {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.told.nodes.len()).filter(|node| self.rules.configured[*node])
    }

    fn since(&self, moment: Moment) -> Micros {
        u64::try_from(self.standing.now.saturating_sub(moment)).unwrap_or(0)
    }

    /// Those that are configured.
    fn observers(&self) -> impl Iterator<Item = &ObserverTold> {
        let observers = self.told.observers.iter().zip(&self.rules.observers);
        observers
            .filter(|(_, configured)| **configured)
            .map(|(observer, _)| observer)
    }

    /// What the observers say of a node, each entry with its observer.
    fn words(&self, node: NodeId) -> impl Iterator<Item = Entry> {
        self.observers()
            .filter_map(move |observer| observer.entries[node])
    }

    fn reaches(&self, node: NodeId) -> bool {
        matches!(self.told.nodes[node].attempt, Some((_, true)))
    }

    fn is_seen(&self, node: NodeId) -> bool {
        let by_us = self.reaches(node)
            && self.told.nodes[node]
                .answer
                .is_some_and(|answer| answer.is_primary);
        let is_fresh = |entry: Entry| {
            entry.is_primary == Some(true)
                && entry.connected
                && self.since(entry.at) < 2 * self.rules.poll
        };
        by_us || (node != self.rules.own && self.words(node).any(is_fresh))
    }

    /// Rules 3a to 3d.
    fn vital_signs(&self) -> impl Iterator<Item = Objection> {
        let seen = self
            .nodes()
            .filter(|node| self.is_seen(*node))
            .map(Objection::PrimarySeen);
        let refusing = self
            .nodes()
            .filter(|node| self.refuses(*node))
            .map(Objection::PrimaryRefuses);
        let wal = self.wal_arrives().into_iter().map(Objection::WalArrives);
        let counted = self.nodes().filter(|node| !self.rules.gone[*node]);
        let recent = counted.filter_map(|node| {
            let age = self.since(self.told.last_contact(node)?);
            (age < self.rules.limit).then_some(Objection::ContactTooRecent(node, age))
        });
        seen.chain(refusing).chain(wal).chain(recent)
    }

    fn refuses(&self, node: NodeId) -> bool {
        let told = &self.told.nodes[node];
        let may_be_primary = match told.answer {
            Some(answer) => answer.is_primary,
            None => {
                let is_remembered = self
                    .standing
                    .remembered
                    .is_none_or(|primary| primary == node);
                let is_untold = self.words(node).all(|word| word.is_primary.is_none());
                self.words(node).any(|word| word.is_primary == Some(true))
                    || (is_untold && is_remembered)
            }
        };
        told.refused && may_be_primary && !self.rules.gone[node]
    }

    fn wal_arrives(&self) -> Option<NodeId> {
        let is_over = |primary: NodeId| !self.rules.configured[primary] || self.rules.gone[primary];
        if self.standing.remembered.is_some_and(is_over) {
            return None;
        }
        self.nodes().find(|node| {
            let heard = self
                .observers()
                .filter_map(|observer| observer.received[*node]);
            heard
                .chain(self.told.nodes[*node].received)
                .any(|at| self.since(at) < self.rules.poll)
        })
    }

    /// A node's word of being a standby, or the best that an observer has: connected, when,
    /// position.
    fn standby(&self, node: NodeId) -> Option<(bool, Moment, u64)> {
        let position = |receive: Option<u64>, replay: Option<u64>| receive.max(replay).unwrap_or(0);
        let answer = self.told.nodes[node].answer;
        let ours = answer.filter(|answer| !answer.is_primary);
        let ours = ours.map(|ours| {
            (
                self.reaches(node),
                ours.at,
                position(ours.receive, ours.replay),
            )
        });
        if node == self.rules.own || ours.is_some_and(|(connected, ..)| connected) {
            return ours;
        }
        // Who cannot be asked is no way to anybody.
        let words = self.observers().filter_map(|observer| {
            let word = observer.entries[node]
                .as_ref()
                .filter(|word| word.is_primary == Some(false))?;
            let reaches = word.connected && self.has_vote(observer);
            Some((reaches, word.at, position(word.receive, word.replay)))
        });
        let newer = words.filter(|(_, at, _)| answer.is_none_or(|answer| *at >= answer.at));
        newer
            .max_by_key(|(reaches, at, _)| (*reaches, *at))
            .or(ours)
    }

    /// Rule 3e: node and position.
    fn candidates(&self) -> Vec<(NodeId, u64)> {
        let oldest = (2 * self.rules.poll).max(20_000_000);
        let able = self.nodes().filter(|node| !self.rules.never[*node]);
        able.filter_map(|node| {
            let (connected, at, position) = self.standby(node)?;
            (connected && self.since(at) <= oldest).then_some((node, position))
        })
        .collect()
    }

    /// Rule 3f: known and all.
    fn votes(&self, candidates: usize) -> (usize, usize) {
        let told_nothing = |node: NodeId| {
            self.told.nodes[node].answer.is_none()
                && self.words(node).all(|word| word.is_primary.is_none())
        };
        let is_former = |node: NodeId| {
            let remembered = self.standing.remembered == Some(node);
            self.told.previous_standbys[node]
                && told_nothing(node)
                && !self.rules.gone[node]
                && !remembered
        };
        let voters = self.nodes().filter(|node| !self.rules.never[*node]);
        let standbys = voters
            .filter(|node| self.standby(*node).is_some() || is_former(*node))
            .count();
        let asked: Vec<_> = self
            .observers()
            .filter(|observer| observer.attempt.is_some())
            .collect();
        let connected = asked
            .iter()
            .filter(|observer| self.has_vote(observer))
            .count();
        (candidates + connected, standbys + 1 + asked.len())
    }

    fn has_vote(&self, observer: &ObserverTold) -> bool {
        let young = |at| self.since(at) < 2 * self.rules.poll;
        observer
            .attempt
            .is_some_and(|(at, answered)| answered && young(at))
            && !observer.is_skewed
    }
}
