//! What has come of elections, counted: nothing is decided by it.

use std::collections::BTreeMap;

use super::{Refusal, Tally};

/// Counts since the vote file was read. Every name is from a closed list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectionCounts {
    /// Attempts of this daemon by what they came to: `won`, `lost`, `deferred` (to a standby that is
    /// further), `abandoned` (a promotion was not wanted any more).
    pub attempts: BTreeMap<&'static str, u64>,
    /// In the lost ones: whoever did not grant, by the reason.
    pub not_granted: BTreeMap<&'static str, u64>,
    /// Requests of others for our vote by the answer: `granted`, or the reason why not.
    pub requests: BTreeMap<&'static str, u64>,
}

impl ElectionCounts {
    pub(super) fn attempt(&mut self, result: &'static str) {
        add(&mut self.attempts, result);
    }

    pub(super) fn lost(&mut self, tally: &Tally) {
        self.attempt("lost");
        for why in tally.missing.values() {
            add(&mut self.not_granted, why.name());
        }
    }

    pub(super) fn request(&mut self, refusal: Option<Refusal>) {
        let answer = refusal.map_or("granted", Refusal::name);
        add(&mut self.requests, answer);
    }
}

fn add(counts: &mut BTreeMap<&'static str, u64>, name: &'static str) {
    let count = counts.entry(name).or_default();
    *count = count.saturating_add(1);
}
