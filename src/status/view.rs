//! What a status is made from, and how ages are written.

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
    /// The sessions of daemons that servers showed, and how long ago each was last used: a server that
    /// has not answered since shows what was so then.
    pub(super) fn presences(&self) -> impl Iterator<Item = (Duration, &'a Presence)> {
        let now = self.now.mono;
        let nodes = self.lookout.state().nodes.values();
        let answers = nodes.filter_map(|node| node.answer.as_ref());
        answers.flat_map(move |answer| {
            let shown = answer.daemons.iter().flatten();
            shown.map(move |presence| (now.since(answer.at) + presence.age, presence))
        })
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
