//! The core without its own schedule: for scripted timelines, where the script says what is learnt when and when a decision
//! is made ([`Lookout::decide`]).

use super::{Effect, Lookout};
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
        self.learn_of_node(node, probe, outcome, now, effects);
    }

    /// Takes in the outcome of an observer's fetch that nobody asked for.
    pub fn observer_told(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.learn_of_observer(observer, outcome, now, effects);
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
