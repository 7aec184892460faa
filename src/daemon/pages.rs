//! What is served, each page in its last rendering: clients that read slowly and ask often share one,
//! or each would hold one of its own in memory.

use std::time::Duration;

use bytes::Bytes;

use super::alerts::Alerts;
use super::operator_files::OperatorFiles;
use crate::cluster::NodeMap;
use crate::format;
use crate::lookout::{Lookout, Rounds};
use crate::status::{Counts, LagHistory, Status, Usage, View, metrics};
use crate::sys::process;
use crate::time::{Monotonic, Now};

/// What pages are made from.
#[derive(Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) lookout: &'a Lookout,
    pub(super) beside: &'a Beside,
}

/// What pages show besides the core.
pub(super) struct Beside {
    pub(super) alerts: Alerts,
    pub(super) counts: Counts,
    pub(super) operator_files: OperatorFiles,
    pub(super) started_at: Monotonic,
}

/// The last rendering of each page.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// `/state.json`; `None` once the facts have changed.
    state: Option<Bytes>,
    /// By which load balancers are answered; `None` once the facts have changed.
    map: Option<NodeMap>,
    /// `/status.json`; `None` once the facts have changed.
    status: Option<Rendered>,
    /// `/metrics`
    metrics: Option<Rendered>,
    /// `/decisions.json`
    decisions: Option<DecisionsPage>,
    /// `/history.json` is made from it.
    lag: LagHistory,
}

/// A page that tells ages.
#[derive(Debug)]
struct Rendered {
    at: Monotonic,
    body: Bytes,
}

#[derive(Debug)]
struct DecisionsPage {
    page: Rendered,
    /// The number of decisions until then.
    count: u64,
}

impl Rendered {
    fn is_young(&self, now: Monotonic) -> bool {
        now.since(self.at) < LIFETIME
    }
}

impl Pages {
    pub(super) fn facts_changed(&mut self) {
        (self.state, self.map, self.status) = (None, None, None);
    }

    /// The node map of the last facts.
    pub(super) fn map(&mut self, lookout: &Lookout, now: Monotonic) -> &NodeMap {
        self.map.get_or_insert_with(|| lookout.node_map(now))
    }

    /// Frees renderings that are too old to be served again.
    pub(super) fn tidy(&mut self, now: Monotonic) {
        self.decisions.take_if(|it| !it.page.is_young(now));
        self.status.take_if(|page| !page.is_young(now));
        self.metrics.take_if(|page| !page.is_young(now));
    }

    pub(super) fn state(&mut self, lookout: &Lookout) -> Bytes {
        let render = || format::state_json(&lookout.state().nodes).into();
        self.state.get_or_insert_with(render).clone()
    }

    /// May be a little old.
    pub(super) fn status(&mut self, served: Served<'_>, now: Now) -> Bytes {
        if let Some(page) = self.status.as_ref().filter(|it| it.is_young(now.mono)) {
            return page.body.clone();
        }
        let body: Bytes = self.make_status(served, now).to_json().into();
        self.status = Some(Rendered {
            at: now.mono,
            body: body.clone(),
        });
        body
    }

    /// May be a little old.
    pub(super) fn metrics(&mut self, served: Served<'_>, now: Now) -> Bytes {
        if let Some(page) = self.metrics.as_ref().filter(|it| it.is_young(now.mono)) {
            return page.body.clone();
        }
        let usage = Usage {
            resident_bytes: process::resident_bytes(),
            uptime: now.mono.since(served.beside.started_at).as_secs_f64(),
        };
        let status = self.make_status(served, now);
        let body: Bytes = metrics(&status, &served.beside.counts, usage).into();
        self.metrics = Some(Rendered {
            at: now.mono,
            body: body.clone(),
        });
        body
    }

    pub(super) fn lag_history(&self) -> Bytes {
        self.lag.to_json().into()
    }

    /// Takes a sample of the lag if one is due. Returns when the next one is.
    pub(super) fn tick(&mut self, served: Served<'_>, now: Now) -> Option<Monotonic> {
        if self.lag.next_at().is_none_or(|at| at <= now.mono) {
            let status = self.make_status(served, now);
            self.lag.sample(&status.nodes, now.mono, now.wall);
        }
        self.lag.next_at()
    }

    pub(super) fn make_status(&mut self, served: Served<'_>, now: Now) -> Status {
        let Served { lookout, beside } = served;
        Status::new(&View {
            lookout,
            map: self.map(lookout, now.mono),
            alerts: beside.alerts.standing(),
            pause_file: beside.operator_files.pause(),
            now,
        })
    }

    /// May be a little old.
    pub(super) fn decisions(&mut self, rounds: &Rounds, now: Monotonic) -> Bytes {
        let is_current = |it: &&DecisionsPage| it.count == rounds.count() || it.page.is_young(now);
        if let Some(page) = self.decisions.as_ref().filter(is_current) {
            return page.page.body.clone();
        }
        let body: Bytes = format::decisions_json(rounds.iter()).into();
        self.decisions = Some(DecisionsPage {
            page: Rendered {
                at: now,
                body: body.clone(),
            },
            count: rounds.count(),
        });
        body
    }
}

/// How long a page is served although there are newer facts.
const LIFETIME: Duration = Duration::from_millis(500);
