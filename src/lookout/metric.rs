//! What is measured: one closed list. What the metrics are called, and how they are sent, is not
//! known here.

use std::time::Duration;

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// A gauge: this node's lag, at each regular decision that knows it; not while restoring or
    /// catching up.
    ReplicationLag(Duration),
    /// A counter: no poll cycle was complete in time.
    HealthTimeout,
    /// A counter: a decision did not consider a failover because `failover_on_disconnect` is false.
    DisconnectIgnored,
    /// A counter: something went wrong in this daemon, or in what it was ordered to do.
    Trouble {
        /// What.
        trouble: Trouble,
        /// The key of the configuration that it is about; `reload` for the file as a whole.
        about: &'static str,
    },
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A command could not be started.
    CommandNotStarted,
    /// A command ended with anything but 0.
    CommandFailed,
    /// The recovery settings could not be looked at, or must not be touched.
    CannotFollow,
    /// A file could not be read, written or removed.
    File,
    /// A configuration cannot be used.
    Configuration,
    /// An address cannot be listened on.
    Listen,
}
