//! The last decisions, kept for `/decisions.json`: as values, and turned into text only when
//! somebody asks.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::compat::decision_json;
use crate::lookout::Round;
use crate::time::Monotonic;

/// The last decisions, the newest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    rounds: VecDeque<Round>,
    /// Rows of the tables of all rounds.
    rows: usize,
    /// The last rendering, and when it was made.
    page: Option<(Monotonic, Bytes)>,
    /// Something was noted since that rendering.
    is_outdated: bool,
}

impl Journal {
    /// Keeps this round, and drops what there is no room for.
    pub(super) fn note(&mut self, round: &Round) {
        // One that merely asks to be saved again is no new one.
        if self
            .rounds
            .front()
            .is_some_and(|newest| newest.at == round.at)
        {
            return;
        }
        self.is_outdated = true;
        self.page
            .take_if(|(made, _)| round.at.mono.since(*made) >= PAGE_LIFE);
        self.rows += round.rows();
        self.rounds.push_front(round.compact());
        while self.rounds.len() > MAX_ROUNDS || (self.rows > MAX_ROWS && self.rounds.len() > 1) {
            self.rows -= self.rounds.pop_back().map_or(0, |oldest| oldest.rows());
        }
    }

    /// The body of `/decisions.json`. It may be a little old: clients that read slowly and ask
    /// often share one rendering, or each would hold one of its own in memory.
    pub(super) fn page(&mut self, now: Monotonic) -> Bytes {
        match &self.page {
            Some((made, page)) if !self.is_outdated || now.since(*made) < PAGE_LIFE => page.clone(),
            _ => {
                let page = Bytes::from(decision_json::page(self.rounds.iter()));
                self.is_outdated = false;
                self.page = Some((now, page.clone()));
                page
            }
        }
    }
}

/// Decisions that are kept.
const MAX_ROUNDS: usize = 100;
/// Rows of their tables: 100 decisions of 25 nodes, fewer of a larger cluster.
const MAX_ROWS: usize = 6_000;
/// For so long a rendering is served although there are newer decisions.
const PAGE_LIFE: Duration = Duration::from_millis(500);
