//! A change of the primary as JSON, the same in the state file, in `/status.json` and by `pglookout
//! history`.

use serde::{Deserialize, Serialize};

use crate::lookout::PrimaryChange;
use crate::time::timestamp;

/// One change. What cannot be read of another version's is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// When the daemon noticed, as an ISO timestamp.
    pub at: String,
    /// The primary before.
    pub from: String,
    /// The primary since.
    pub to: String,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Its position when it was first seen, an LSN.
    pub lsn: Option<String>,
    /// Why the daemon promoted it; `None`: it did not.
    pub reason: Option<String>,
}

impl From<&PrimaryChange> for Change {
    fn from(change: &PrimaryChange) -> Self {
        Self {
            at: timestamp::format_millis(change.at),
            from: change.from.to_string(),
            to: change.to.to_string(),
            timeline: change.timeline,
            lsn: change.lsn.map(|lsn| lsn.to_string()),
            reason: change.reason.clone(),
        }
    }
}

impl Change {
    /// `None`: nobody knows when.
    pub(super) fn read(self) -> Option<PrimaryChange> {
        Some(PrimaryChange {
            at: timestamp::parse(&self.at)?,
            from: self.from.as_str().into(),
            to: self.to.as_str().into(),
            timeline: self.timeline,
            lsn: self.lsn.and_then(|lsn| lsn.parse().ok()),
            reason: self.reason,
        })
    }
}
