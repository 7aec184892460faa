//! What timelines need of the core besides events: in scripted ones the script says what is learnt
//! when and when a decision is made ([`Lookout::decide`]); in live ones an answer must find the
//! probe that it belongs to.

use super::{Effect, Lookout, ProbeId};
use crate::cluster::{NodeReport, ObserverReport, ProbeFailure};
use crate::config::{NodeName, ObserverName};
use crate::time::Now;

impl Lookout {
    /// Takes in the outcome of a poll that nobody asked for.
    pub fn node_told(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let probe = self.schedule.next_id();
        self.schedule.node_told(node, now.mono);
        self.learn_of_node(node, probe, outcome, now, effects);
        self.note_report(now.mono, effects);
    }

    /// Takes in the outcome of an observer's fetch that nobody asked for.
    pub fn observer_told(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.schedule.observer_told(observer, now.mono);
        self.learn_of_observer(observer, outcome, now, effects);
        self.note_report(now.mono, effects);
    }

    /// The poll of this node that is under way.
    pub fn asked_node(&self, node: &NodeName) -> Option<ProbeId> {
        self.schedule.asked_node(node)
    }

    /// The fetch from this observer that is under way.
    pub fn asked_observer(&self, observer: &ObserverName) -> Option<ProbeId> {
        self.schedule.asked_observer(observer)
    }

    /// The maintenance file appeared or went.
    pub fn set_maintenance(&mut self, exists: bool) {
        self.maintenance = exists;
    }

    /// Has lag been over the warning limit since an earlier decision.
    pub fn lag_warning(&self) -> bool {
        self.warning_since.is_some()
    }
}
