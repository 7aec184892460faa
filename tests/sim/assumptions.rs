//! What guarantees assume, as far as it has not held in a schedule; and what was found after that, which is
//! no violation therefore.

use std::collections::BTreeMap;

use crate::violation::Violation;

/// Which did not hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assumptions {
    /// How often each was broken.
    pub(crate) broken: BTreeMap<&'static str, u64>,
    /// In how many schedules this was found after one had been broken.
    pub(crate) by_broken: BTreeMap<String, u64>,
    /// What is broken for the rest of the schedule, for all hosts.
    lasting: Option<&'static str>,
}

/// A vote file was put back to an older copy.
pub(crate) const A1: &str = "A1: a vote file was put back to an older copy";
/// The clocks of two hosts may differ in rate by more than leases have room for.
pub(crate) const A3: &str = "A3: a clock was wrong by more than 1.5 %";
/// A virtual machine was paused, and no clock of it counts that.
pub(crate) const A3_PAUSE: &str = "A3: a machine was paused, and all its clocks with it";
/// A host was suspended beyond the deadline of its guard, and the server goes on until it is fenced.
pub(crate) const A4_SLEPT: &str = "A4: a host was suspended beyond the deadline of its guard";
/// A server took commits when it had to be fenced.
pub(crate) const A4: &str = "A4: a server took commits after fence_timeout";
/// A fence command had ended with 0, and the server took commits.
pub(crate) const A4_LIE: &str = "A4: a fence command ended with 0 and had stopped nothing";
/// A server was started as a primary without the gate.
pub(crate) const A5: &str = "A5: a primary was started without the gate";
/// It was promoted by an operator.
pub(crate) const A5_HAND: &str = "A5: a server was promoted by hand";
/// No assumption of leases, but what they do not cover: nothing is held before the first claim.
pub(crate) const UNCLAIMED: &str = "the primary had not claimed the first term yet";

impl Assumptions {
    /// From now on nothing is guaranteed that stands on this.
    pub(crate) fn end(&mut self, assumption: &'static str) {
        *self.broken.entry(assumption).or_default() += 1;
        // Whatever is judged by time is with clocks that are wrong.
        if self.lasting != Some(A3) {
            self.lasting = Some(assumption);
        }
    }

    /// Are clocks wrong, by which everything else is judged as well.
    pub(crate) fn clocks_are_wrong(&self) -> bool {
        self.lasting == Some(A3)
    }

    /// This was found, and is no violation because of that.
    pub(crate) fn excuse(&mut self, assumption: &'static str, found: &Violation) {
        let name = format!("{} ({assumption})", found.name());
        self.by_broken.insert(name, 1);
    }

    /// What was found, unless it follows from a broken assumption.
    pub(crate) fn unless_broken(&mut self, found: Option<Violation>) -> Option<Violation> {
        let found = found?;
        let Some(assumption) = self.lasting else {
            return Some(found);
        };
        self.excuse(assumption, &found);
        None
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (name, count) in &other.broken {
            *self.broken.entry(name).or_default() += count;
        }
        for (name, count) in &other.by_broken {
            *self.by_broken.entry(name.clone()).or_default() += count;
        }
    }
}
