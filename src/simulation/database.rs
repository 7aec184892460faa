//! The databases as they truly are: role, life, write-ahead log. What anybody believes of them is
//! not here.

use std::fmt;

use super::{Micros, NodeId};
use crate::cluster::ProbeFailure;

/// One database.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) is_primary: bool,
    pub(super) condition: Condition,
    /// Turns us away though it lives.
    pub(super) refusal: Option<Refusal>,
    /// Whom it streams from.
    pub(super) upstream: Option<NodeId>,
    /// Its slot there is gone, and the WAL that it needs.
    pub(super) is_starved: bool,
    pub(super) timeline: u32,
    /// How much WAL it has, in bytes: written, or received.
    pub(super) position: u64,
    /// It has streamed since it was started.
    pub(super) has_received: bool,
    pub(super) replayed: u64,
    /// It receives, and replays nothing.
    pub(super) replay_is_paused: bool,
    /// Commit time of the last transaction that it has, by the clock of the primary that wrote it.
    pub(super) last_commit: i64,
    pub(super) last_replay: i64,
    /// Counts through all reigns of all primaries; the one that it held last.
    pub(super) reign: Option<u32>,
    /// When something happened to it last.
    pub(super) disturbed: Option<Micros>,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Up,
    /// Accepts connections and answers nothing.
    Hung,
    /// Its process is gone; the host says so.
    Crashed,
    /// The whole host is gone: silence.
    HostDown,
    /// "The database system is starting up".
    Starting,
}

/// How a living server turns us away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Rejected credentials.
    Login,
    /// Too many connections.
    Slots,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "rejects our login",
            Self::Slots => "is out of connections",
        })
    }
}

impl Database {
    pub(super) fn standby_of(upstream: NodeId, position: u64, commit: i64) -> Self {
        Self {
            is_primary: false,
            condition: Condition::Up,
            refusal: None,
            upstream: Some(upstream),
            is_starved: false,
            timeline: 1,
            position,
            has_received: true,
            replayed: position,
            replay_is_paused: false,
            last_commit: commit,
            last_replay: commit,
            reign: None,
            disturbed: None,
        }
    }

    pub(super) fn is_writer(&self) -> bool {
        self.is_primary
            && !matches!(
                self.condition,
                Condition::Crashed | Condition::HostDown | Condition::Starting
            )
    }

    /// What asking it comes to; `None`: nothing, until the asker's patience ends.
    pub(super) fn failure(&self) -> Option<Option<ProbeFailure>> {
        let said = str::to_owned;
        match (self.condition, self.refusal) {
            (Condition::Up, None) => None,
            (Condition::Hung | Condition::HostDown, _) => Some(None),
            (Condition::Crashed, _) => Some(Some(ProbeFailure::Unreachable {
                reason: said("connection refused"),
            })),
            (Condition::Starting, _) => Some(Some(ProbeFailure::NotReady {
                message: said("the database system is starting up"),
            })),
            (Condition::Up, Some(Refusal::Login)) => {
                Some(Some(ProbeFailure::AuthenticationRejected {
                    message: said("authentication failed"),
                }))
            }
            (Condition::Up, Some(Refusal::Slots)) => Some(Some(ProbeFailure::Refused {
                message: said("sorry, too many clients already"),
            })),
        }
    }
}
