//! What a status is made from, and how ages are told.

use std::time::Duration;

use super::alert::RaisedAlert;
use super::configuration::Configuration;
use crate::cluster::{NodeMap, Presence};
use crate::format::PauseFile;
use crate::lookout::Lookout;
use crate::time::{Monotonic, Now};

/// What a status is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The core.
    pub lookout: &'a Lookout,
    /// The node map of its last facts.
    pub map: &'a NodeMap,
    /// Alerts that stand.
    pub alerts: &'a [RaisedAlert],
    /// The pause file of this host.
    pub pause_file: Option<&'a PauseFile>,
    /// What has become of the configuration file.
    pub configuration: &'a Configuration,
    /// Now.
    pub now: Now,
}

impl<'a> View<'a> {
    /// The sessions of daemons that servers showed.
    pub(super) fn presences(&self) -> impl Iterator<Item = &'a Presence> {
        let answers = self.lookout.state().nodes.values();
        let shown = answers.filter_map(|node| node.answer.as_ref()?.daemons.as_ref());
        shown.flatten()
    }
}

/// In seconds, to the millisecond.
pub(super) fn age(at: Monotonic, now: Monotonic) -> f64 {
    seconds(now.since(at))
}

/// To the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
