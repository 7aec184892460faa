//! What became of the elections of many schedules.

use std::collections::BTreeMap;

use crate::lists::Counts as ListCounts;

/// What became of elections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Attempts that were begun.
    pub(crate) begun: u64,
    /// Those in which votes were asked for, and not only whether they would be given.
    pub(crate) held: u64,
    /// Failover commands that were begun after an election.
    pub(crate) won: u64,
    /// Answers to requests for a vote, by what was answered.
    pub(crate) answers: BTreeMap<&'static str, u64>,
    /// Requests that reached a voter later than anybody waits for an answer.
    pub(crate) late_requests: u64,
    /// Daemons that were started and could not use their vote file.
    pub(crate) files_lost: u64,
    /// Renewals that were taken.
    pub(crate) renewals: u64,
    /// What became of lists of voters.
    pub(crate) lists: ListCounts,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.held += other.held;
        self.won += other.won;
        self.late_requests += other.late_requests;
        self.files_lost += other.files_lost;
        for (name, count) in &other.answers {
            *self.answers.entry(name).or_default() += count;
        }
        self.renewals += other.renewals;
    }
}
