//! Alerts that stand, and what an operator does about each.

use serde::{Deserialize, Serialize};

use crate::format;
use crate::lookout::Alert;
use crate::time::{WallTime, timestamp};

/// An alert as it was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedAlert {
    /// Which one.
    pub alert: Alert,
    /// When it was raised last.
    pub at: WallTime,
    /// What happened.
    pub text: String,
}

/// The same as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StandingAlert {
    /// The name of its file.
    pub name: String,
    /// Since when, as an ISO timestamp.
    pub since: String,
    /// What happened.
    pub text: String,
    /// What is to be done, and what ends it.
    pub advice: String,
}

impl From<&RaisedAlert> for StandingAlert {
    fn from(raised: &RaisedAlert) -> Self {
        Self {
            name: format::alert_file(raised.alert).to_owned(),
            since: timestamp::format_millis(raised.at),
            text: raised.text.clone(),
            advice: advice(raised.alert).to_owned(),
        }
    }
}

fn advice(alert: Alert) -> &'static str {
    match alert {
        Alert::AuthenticationError => {
            "check the password and pg_hba.conf of the server that the log names; then `pglookout ack` it"
        }
        Alert::MultiplePrimaries => {
            "stop every primary but the one that is to stay, and rewind or rebuild the others; then `pglookout ack` it"
        }
        Alert::ReplicationDelay => {
            "find out why replay is behind; ends when lag is under the limit"
        }
        Alert::FailoverHasHappened => {
            "bring the old primary back as a standby; then `pglookout ack` it"
        }
        Alert::FailoverFailed => {
            "read the output of failover_command in the log; ends when a later promotion succeeds"
        }
        Alert::CannotFollow => {
            "make this server a standby of the new primary by hand; then `pglookout ack` it"
        }
        Alert::FailoverStuck => {
            "read `pglookout explain`: it shows what keeps the cluster without a primary; ends when one is reached"
        }
        Alert::DivergedStandby => {
            "pg_rewind or rebuild the standby that the text names; ends when it follows the primary"
        }
        Alert::PrimaryFlapping => {
            "look at the network and the load of the primary; ends when it has been reached for ten limits"
        }
        Alert::VoteFileUnusable => {
            "look at vote_directory, and at `pglookout votes`; a lost file is never replaced by an older one; ends when it is written"
        }
        Alert::LeaseLost => {
            "look at `pglookout votes`: a majority of voters did not renew the lease; ends when one does, or the term is released"
        }
        Alert::FenceFailed => {
            "stop the server on this host by hand, now: another may be promoted; ends when fence_command succeeds"
        }
        Alert::WatchdogUnusable => {
            "look at watchdog_device as the daemon's account: without it nothing resets this host where fencing fails; ends when it is in force, or there is no lease"
        }
        Alert::VotersDisagree => {
            "give all voters the same generation and voters; ends when they answer so"
        }
        Alert::PrimaryNotWriting => {
            "look at the storage of the primary; ends when its WAL grows again"
        }
    }
}
