//! The page `/decisions.json`: the last decisions, turned into text only when somebody asks.

use std::time::Duration;

use bytes::Bytes;

use crate::format::decisions_json;
use crate::lookout::Rounds;
use crate::time::Monotonic;

/// The last rendering.
#[derive(Debug, Default)]
pub(super) struct Journal {
    page: Option<Page>,
}

#[derive(Debug)]
struct Page {
    made: Monotonic,
    /// Of so many decisions.
    count: u64,
    body: Bytes,
}

impl Journal {
    /// The body of `/decisions.json`. It may be a little old: clients that read slowly and ask
    /// often share one rendering, or each would hold one of its own in memory.
    pub(super) fn page(&mut self, rounds: &Rounds, now: Monotonic) -> Bytes {
        let is_current =
            |page: &&Page| page.count == rounds.count() || now.since(page.made) < PAGE_LIFE;
        if let Some(page) = self.page.as_ref().filter(is_current) {
            return page.body.clone();
        }
        let body = Bytes::from(decisions_json(rounds.iter()));
        self.page = Some(Page {
            made: now,
            count: rounds.count(),
            body: body.clone(),
        });
        body
    }

    /// Frees a rendering that is too old to be served again.
    pub(super) fn tidy(&mut self, now: Monotonic) {
        self.page.take_if(|page| now.since(page.made) >= PAGE_LIFE);
    }
}

/// For so long a rendering is served although there are newer decisions.
const PAGE_LIFE: Duration = Duration::from_millis(500);
