//! What has come of elections, counted: nothing is decided by it.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Rounds of renewals by what they came to: `renewed`, `failed` (no majority before the next one);
    /// and `lost`: how often a lease was not renewed in time.
    pub renewals: BTreeMap<&'static str, u64>,
    /// When a lease was renewed: how long it was until the server would have been fenced, at the least.
    pub least_left: Option<Duration>,
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

    pub(super) fn renewal(&mut self, result: &'static str) {
        add(&mut self.renewals, result);
    }

    /// A lease was renewed so long before the server would have been fenced.
    pub(super) fn renewed(&mut self, left: Option<Duration>) {
        self.renewal("renewed");
        self.least_left = self.least_left.into_iter().chain(left).min();
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
