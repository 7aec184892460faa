//! What a decision is made from.

use crate::cluster::{ClusterState, Lsn, NodeMap, PauseMark};
use crate::config::{Config, NodeName, VoterName};
use crate::time::Monotonic;
use crate::votes::Standing;

/// Everything a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The facts per node and observer.
    pub state: &'a ClusterState,
    /// The same, sorted by role.
    pub map: &'a NodeMap,
    /// The remembered primary, this round's included.
    pub remembered: Option<&'a NodeName>,
    /// Contacts with primaries that the previous process had, or that have left: node, when.
    pub previous_contacts: &'a [(NodeName, Monotonic)],
    /// The last change of `remote_conns`, or the start.
    pub nodes_changed_at: Monotonic,
    /// The start of this process.
    pub started_at: Monotonic,
    /// The state file was saved longer than the limit before the start.
    pub memory_is_old: bool,
    /// The node that went first by the last decision of this outage.
    pub went_first: Option<&'a NodeName>,
    /// This daemon has announced that it promotes its node, and everybody was polled since.
    pub announced: Option<Announcement>,
    /// The facts were asked for after the decision wanted them.
    pub fresh: bool,
    /// The maintenance file exists.
    pub maintenance: bool,
    /// The cluster is paused.
    pub pause: Option<PauseMark>,
    /// Lag has been over the warning limit since an earlier decision.
    pub lag_warning: bool,
    /// The failover command is running.
    pub promoting: bool,
    /// Our last attempt in this outage failed.
    pub has_failed: bool,
    /// Until then the failover command of a former process may still be at work.
    pub held_off_until: Option<Monotonic>,
    /// Until then the failover command, which has ended, is not repeated.
    pub tried_until: Option<Monotonic>,
    /// The failover command ended with 0, and no later poll of our own node has come back.
    pub unsettled: bool,
    /// Where voters elect: may this daemon ask them.
    pub election: Option<Standing<'a>>,
    /// The holder that has stopped its server and released its term for this daemon.
    pub predecessor: Option<&'a VoterName>,
    /// The time of the decision.
    pub now: Monotonic,
}

/// What this daemon announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// When it first did.
    pub at: Monotonic,
    /// The position of its node then.
    pub position: Lsn,
    /// A script gives the answers: servers in it do not show what we announce.
    pub by_script: bool,
}
