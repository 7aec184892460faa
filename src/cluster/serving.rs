//! What a server may be used for now, as a load balancer asks: by the node map and the last polls,
//! never by a role that is only remembered.

use std::fmt;

use super::state::ClusterState;
use super::{NodeMap, Reached};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// What is known of the cluster at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The facts.
    pub state: &'a ClusterState,
    /// Their node map.
    pub map: &'a NodeMap,
    /// Now.
    pub now: Monotonic,
}

/// Why a server must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The daemon has made no decision for too long.
    NotDeciding,
    /// The daemon has no server of its own, and none was named.
    NoNode,
    /// No such node is configured.
    Unknown,
    /// Not every server and observer was polled since the daemon started: another primary may be
    /// there.
    NotYetPolled,
    /// The last poll of it failed, or is too old.
    Unreachable,
    /// It is a standby, and a primary is wanted.
    Standby,
    /// It is the primary, and a standby is wanted.
    Primary,
    /// Several servers are primaries at once.
    SeveralPrimaries,
    /// Another primary came in its place.
    Superseded,
    /// Its data is of another history than the primary's.
    Diverged,
    /// It is further behind the primary than wanted, or nobody knows how far, in bytes.
    Lag(Option<u64>),
}

impl Unfit {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotDeciding => "not_deciding",
            Self::NoNode => "no_node",
            Self::Unknown => "unknown_node",
            Self::NotYetPolled => "not_yet_polled",
            Self::Unreachable => "unreachable",
            Self::Standby => "standby",
            Self::Primary => "primary",
            Self::SeveralPrimaries => "several_primaries",
            Self::Superseded => "superseded",
            Self::Diverged => "diverged",
            Self::Lag(_) => "lag",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDeciding => "the daemon has made no decision for too long",
            Self::NoNode => "this daemon has no server of its own: name one by ?node=NAME",
            Self::Unknown => "no node of this name is in remote_conns",
            Self::NotYetPolled => "not every server and observer was polled since the start",
            Self::Unreachable => "the last poll of it failed, or is too old",
            Self::Standby => "it is a standby",
            Self::Primary => "it is the primary",
            Self::SeveralPrimaries => "several servers are primaries at once",
            Self::Superseded => "another primary came in its place",
            Self::Diverged => "it is of another history than the primary",
            Self::Lag(None) => "nobody knows how far it is behind the primary",
            Self::Lag(Some(bytes)) => return write!(f, "it is {bytes} bytes behind the primary"),
        })
    }
}

impl Serving<'_> {
    /// Is it the one primary, which nobody has superseded. A daemon that has just started knows
    /// nothing of another one before it has polled everybody.
    pub fn takes_writes(&self, node: &NodeName) -> Result<(), Unfit> {
        self.answers(node)?;
        if self.map.superseded.contains(node) {
            return Err(Unfit::Superseded);
        }
        if !self.map.connected_primaries.contains_key(node) {
            return Err(Unfit::Standby);
        }
        let connected = self.map.connected_primaries.keys();
        let mut others = connected.filter(|other| *other != node);
        let replaces_all = others.all(|other| self.map.superseded.contains(other));
        match &self.map.reached {
            // One that is known to have replaced the others goes on: the others get nothing.
            Reached::Several if !replaces_all => Err(Unfit::SeveralPrimaries),
            Reached::Outdated(_) => Err(Unfit::Superseded),
            _ if !self.has_polled_everybody() => Err(Unfit::NotYetPolled),
            // One server under two names is one primary.
            Reached::Nobody | Reached::Primary(_) | Reached::Several => Ok(()),
        }
    }

    /// Is it a standby of the primary's history, not further behind its last known position than so
    /// many bytes.
    pub fn is_replica(&self, node: &NodeName, max_lag: Option<u64>) -> Result<(), Unfit> {
        self.answers(node)?;
        let standby = self.map.standbys.get(node).filter(|it| it.connected);
        let Some(standby) = standby else {
            return Err(Unfit::Primary);
        };
        if self.state.history.diverged.contains_key(node) {
            return Err(Unfit::Diverged);
        }
        let Some(max_lag) = max_lag else {
            return Ok(());
        };
        let primary = self.state.history.last_primary.as_ref();
        let primary = primary.and_then(|primary| primary.lsn);
        let behind = primary.zip(standby.replay);
        let behind = behind.map(|(it, replay)| it.bytes().saturating_sub(replay.bytes()));
        match behind {
            Some(behind) if behind <= max_lag => Ok(()),
            behind => Err(Unfit::Lag(behind)),
        }
    }

    /// Is it good for reading: the primary, or a standby that is.
    pub fn takes_reads(&self, node: &NodeName, max_lag: Option<u64>) -> Result<(), Unfit> {
        match self.is_replica(node, max_lag) {
            Err(Unfit::Primary) => self.takes_writes(node),
            other => other,
        }
    }

    /// Does it answer queries, whatever its role: by our own last poll, or an observer's young one.
    pub fn answers(&self, node: &NodeName) -> Result<(), Unfit> {
        let Some(state) = self.state.nodes.get(node) else {
            return Err(Unfit::Unknown);
        };
        let oldest = self.config.poll_interval * 2 + self.config.poll_timeout;
        let is_young = |at: Monotonic| self.now.since(at) < oldest;
        let attempt = state.attempt.filter(|attempt| attempt.connected);
        let is_seen = self.map.connected_primaries.contains_key(node)
            || self
                .map
                .standbys
                .get(node)
                .is_some_and(|standby| standby.connected && is_young(standby.at));
        match attempt {
            Some(attempt) if is_young(attempt.at) => Ok(()),
            None if is_seen && self.config.own_db.as_ref() != Some(node) => Ok(()),
            _ => Err(Unfit::Unreachable),
        }
    }

    fn has_polled_everybody(&self) -> bool {
        let (nodes, observers) = self.state.never_polled(self.config);
        nodes.is_empty() && observers.is_empty()
    }
}

#[cfg(test)]
#[path = "serving_tests.rs"]
mod tests;
