//! The figures behind a decision, as values: who is the primary and by whose report, how each standby
//! stands, the votes by name, ages with their limits, and what would have to change. Built once per
//! decision; nothing is decided by them.

use std::time::Duration;

use super::candidate::{Contender, contenders};
use super::change::changes;
use super::quorum::Votes;
use super::{Decision, Evidence, Snapshot, lag, quorum};
use crate::cluster::{ProbeFailure, Witness};
use crate::config::NodeName;

/// What a decision was made on.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Every node that is, was or may be the primary.
    pub primaries: Vec<PrimaryFigure>,
    /// Every known standby: the candidates, the best first, then the others.
    pub standbys: Vec<Contender>,
    /// Who has a vote, and whose is known.
    pub votes: Votes,
    /// The last evidence that a primary lives.
    pub evidence: Option<EvidenceFigure>,
    /// The lag of our own node, if this daemon has one.
    pub lag: Option<LagFigure>,
    /// After how long the mere passing of time makes it come out differently.
    pub look_again_in: Option<Duration>,
    /// What would have to change for another verdict, everything that hinders now included.
    pub changes: Vec<String>,
    /// That the cluster is paused, which keeps it from any failover.
    pub pause: Option<String>,
    /// What an operator should know while all is well, besides.
    pub warnings: Vec<String>,
}

/// A node in the role of the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryFigure {
    /// Its name.
    pub node: NodeName,
    /// Is it the remembered primary.
    pub remembered: bool,
    /// How it is known.
    pub standing: PrimaryStanding,
}

/// How a primary is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrimaryStanding {
    /// Somebody reaches it.
    Reached {
        /// Who.
        witness: Witness,
    },
    /// Nobody does.
    Lost {
        /// What came of our own last attempt.
        failure: Option<ProbeFailure>,
    },
    /// It was the primary, and is a standby now.
    Standby,
    /// It was the primary, and is no longer in `remote_conns`.
    Removed,
    /// It was the primary, and reports no role now.
    RoleUnknown,
}

impl PrimaryStanding {
    /// The standing's name, from a closed list.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reached { .. } => "reached",
            Self::Lost { .. } => "lost",
            Self::Standby => "standby",
            Self::Removed => "removed",
            Self::RoleUnknown => "role_unknown",
        }
    }
}

/// The last evidence that a primary lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceFigure {
    /// What it is.
    pub evidence: Evidence,
    /// How long ago it was.
    pub age: Duration,
    /// How long ago it has to be for a failover.
    pub limit: Duration,
}

/// Our own node's lag and what it is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagFigure {
    /// As last known.
    pub lag: Option<Duration>,
    /// It is restoring or catching up: lag is not looked at.
    pub catching_up: bool,
    /// `warning_replication_time_lag`.
    pub warning_limit: Duration,
    /// `max_failover_replication_time_lag`.
    pub failover_limit: Duration,
}

impl Figures {
    /// The figures behind `decision`, which was made on `snapshot`.
    pub fn new(snapshot: &Snapshot<'_>, decision: &Decision) -> Self {
        let evidence = snapshot.evidence();
        let standbys = contenders(snapshot, evidence.as_ref().map(|evidence| evidence.at));
        let votes = quorum::count(snapshot, &standbys);
        let look_again_at = decision.verdict.look_again_at();
        Self {
            primaries: primaries(snapshot),
            evidence: evidence.map(|evidence| EvidenceFigure {
                age: snapshot.now.since(evidence.at),
                limit: snapshot.evidence_limit(),
                evidence,
            }),
            lag: own_lag(snapshot),
            look_again_in: look_again_at.map(|at| at.since(snapshot.now)),
            changes: changes(snapshot, &decision.verdict, &standbys, &votes),
            pause: snapshot.paused().map(|paused| paused.to_string()),
            warnings: snapshot.warnings(),
            standbys,
            votes,
        }
    }
}

fn primaries(snapshot: &Snapshot<'_>) -> Vec<PrimaryFigure> {
    let Snapshot {
        map,
        state,
        remembered,
        ..
    } = snapshot;
    let figure = |node: &NodeName, standing| {
        let is_remembered = *remembered == Some(node);
        PrimaryFigure {
            node: node.clone(),
            remembered: is_remembered,
            standing,
        }
    };
    let reached = map.connected_primaries.iter();
    let reached = reached.map(|(node, witness)| {
        figure(
            node,
            PrimaryStanding::Reached {
                witness: witness.clone(),
            },
        )
    });
    let lost = map
        .disconnected_primaries
        .iter()
        .filter(|node| !map.connected_primaries.contains_key(*node));
    let failure = |node: &NodeName| state.nodes.get(node).and_then(|node| node.failure.clone());
    let lost = lost.map(|node| {
        figure(
            node,
            PrimaryStanding::Lost {
                failure: failure(node),
            },
        )
    });
    let mut primaries: Vec<_> = reached.chain(lost).collect();
    if let Some(node) = remembered.filter(|_| !primaries.iter().any(|primary| primary.remembered)) {
        let standing = match snapshot.config.nodes.contains_key(node) {
            false => PrimaryStanding::Removed,
            true if map.standbys.contains_key(node) => PrimaryStanding::Standby,
            true => PrimaryStanding::RoleUnknown,
        };
        primaries.push(figure(node, standing));
    }
    primaries
}

fn own_lag(snapshot: &Snapshot<'_>) -> Option<LagFigure> {
    let config = snapshot.config;
    let own = snapshot.state.nodes.get(config.own_db.as_ref()?)?;
    own.answer.as_ref().filter(|answer| answer.in_recovery)?;
    Some(LagFigure {
        lag: own.replication_lag,
        catching_up: lag::is_catching_up(config, own, snapshot.now),
        warning_limit: config.warning_lag,
        failover_limit: config.failover_lag,
    })
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
