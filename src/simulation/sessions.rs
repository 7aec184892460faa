//! The sessions that servers hold for the daemons that poll them, as `pg_stat_activity` shows them.

use std::sync::Arc;
use std::time::Duration;

use super::{HostId, Micros, NodeId, SECOND};
use crate::cluster::Presence;

/// The sessions of every server.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    nodes: Vec<Vec<Session>>,
}

#[derive(Clone, Debug)]
struct Session {
    host: HostId,
    name: Arc<str>,
    used: Micros,
    /// The client has left; the server notices then.
    ends: Option<Micros>,
}

impl Sessions {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![Vec::new(); nodes],
        }
    }

    /// A daemon has polled a server under this name, in the session that it has there or in a new
    /// one.
    pub(super) fn used(&mut self, node: NodeId, host: HostId, name: &Arc<str>, now: Micros) {
        let mut open = self.nodes[node].iter_mut();
        match open.find(|session| session.host == host && session.ends.is_none()) {
            Some(session) => (session.name, session.used) = (Arc::clone(name), now),
            None => self.nodes[node].push(Session {
                host,
                name: Arc::clone(name),
                used: now,
                ends: None,
            }),
        }
    }

    /// A daemon has closed its connection to a server, which notices at this time.
    pub(super) fn left(&mut self, node: NodeId, host: HostId, notices: Micros) {
        let sessions = self.nodes[node].iter_mut();
        for session in sessions.filter(|session| session.host == host) {
            session.ends.get_or_insert(notices);
        }
    }

    /// A server ends, and all its sessions with it.
    pub(super) fn end_all(&mut self, node: NodeId) {
        self.nodes[node].clear();
    }

    /// What a server shows now.
    pub(super) fn shown(&mut self, node: NodeId, now: Micros) -> Vec<Presence> {
        let sessions = &mut self.nodes[node];
        sessions.retain(|session| session.ends.is_none_or(|ends| ends > now));
        let shown = sessions.iter().filter_map(|session| {
            let age = Duration::from_micros(now.saturating_sub(session.used));
            Presence::of_session(&session.name, age)
        });
        shown.collect()
    }
}

/// A server notices by keepalive, after this time at the latest, that the host of a client is gone.
pub(super) const LONGEST_LINGERING: Micros = 15 * SECOND;
