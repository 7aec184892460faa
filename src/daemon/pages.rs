//! What is served, each page in its last rendering: clients that read slowly and ask often share one,
//! or each would hold one of its own in memory.

use std::time::Duration;

use bytes::Bytes;

use super::alerts::Alerts;
use super::operator_files::OperatorFiles;
use crate::cluster::NodeMap;
use crate::format;
use crate::lookout::{Lookout, Rounds};
use crate::status::{Configuration, Counts, Elections, LagHistory, Status, Usage, View, metrics};
use crate::sys::{clock, process};
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
    pub(super) configuration: Configuration,
    pub(super) started_at: Monotonic,
}

/// The last rendering of each page.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// `/state.json`
    state: Page,
    /// By which load balancers are answered; `None` once the facts have changed.
    map: Option<NodeMap>,
    /// `/status.json`
    status: Page,
    /// `/metrics`
    metrics: Page,
    /// `/decisions.json`
    decisions: Page,
    /// The number of decisions when that was rendered.
    decisions_count: u64,
    /// `/history.json` is made from it.
    lag: LagHistory,
}

/// A page in its last rendering, if it has one.
#[derive(Debug, Default)]
struct Page(Option<Rendered>);

#[derive(Debug)]
struct Rendered {
    at: Monotonic,
    /// How long that took.
    took: Duration,
    /// There is news since.
    is_outdated: bool,
    body: Bytes,
}

impl Rendered {
    /// With thousands of nodes there is news all the time, and a rendering takes so long that it must
    /// not be made for every reader.
    fn is_served(&self, now: Monotonic) -> bool {
        let lifetime = match self.is_outdated {
            true => (self.took * SHARE).min(LIFETIME),
            false => LIFETIME,
        };
        now.since(self.at) < lifetime
    }
}

impl Page {
    /// The last rendering, or a new one.
    fn serve(&mut self, now: Monotonic, render: impl FnOnce() -> Vec<u8>) -> Bytes {
        if let Some(page) = self.0.as_ref().filter(|it| it.is_served(now)) {
            return page.body.clone();
        }
        let began = clock::monotonic();
        let body: Bytes = render().into();
        let took = clock::monotonic().since(began);
        self.0 = Some(Rendered {
            at: now,
            took,
            is_outdated: false,
            body: body.clone(),
        });
        body
    }

    fn outdate(&mut self) {
        let page = self.0.iter_mut();
        page.for_each(|page| page.is_outdated = true);
    }

    /// Frees a rendering that is too old to be served again.
    fn tidy(&mut self, now: Monotonic) {
        self.0.take_if(|page| now.since(page.at) >= LIFETIME);
    }
}

impl Pages {
    pub(super) fn facts_changed(&mut self) {
        self.map = None;
        let pages = [&mut self.state, &mut self.status, &mut self.metrics];
        pages.into_iter().for_each(Page::outdate);
    }

    /// The node map of the last facts.
    pub(super) fn map(&mut self, lookout: &Lookout, now: Monotonic) -> &NodeMap {
        self.map.get_or_insert_with(|| lookout.node_map(now))
    }

    /// Frees renderings that are too old to be served again.
    pub(super) fn tidy(&mut self, now: Monotonic) {
        let Self {
            state,
            status,
            metrics,
            decisions,
            ..
        } = self;
        let pages = [state, status, metrics, decisions];
        pages.into_iter().for_each(|page| page.tidy(now));
    }

    pub(super) fn state(&mut self, lookout: &Lookout, now: Monotonic) -> Bytes {
        let render = || format::state_json(&lookout.state().nodes);
        self.state.serve(now, render)
    }

    pub(super) fn status(&mut self, served: Served<'_>, now: Now) -> Bytes {
        let map = &mut self.map;
        self.status.serve(now.mono, || {
            let map = map.get_or_insert_with(|| served.lookout.node_map(now.mono));
            served.status(map, now).to_json()
        })
    }

    pub(super) fn metrics(&mut self, served: Served<'_>, now: Now) -> Bytes {
        let map = &mut self.map;
        self.metrics.serve(now.mono, || {
            let map = map.get_or_insert_with(|| served.lookout.node_map(now.mono));
            let usage = Usage {
                resident_bytes: process::resident_bytes(),
                uptime: now.mono.since(served.beside.started_at).as_secs_f64(),
            };
            let (status, elections) = (
                served.status(map, now),
                Elections::all(served.lookout, now.mono),
            );
            let counts = &served.beside.counts;
            metrics(&status, counts, elections.as_deref(), usage).into()
        })
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
        let map = self.map(served.lookout, now.mono);
        served.status(map, now)
    }

    pub(super) fn decisions(&mut self, rounds: &Rounds, now: Monotonic) -> Bytes {
        if self.decisions_count != rounds.count() {
            self.decisions_count = rounds.count();
            self.decisions.outdate();
        }
        let render = || format::decisions_json(rounds.iter());
        self.decisions.serve(now, render)
    }
}

impl Served<'_> {
    fn status(self, map: &NodeMap, now: Now) -> Status {
        let Self { lookout, beside } = self;
        Status::new(&View {
            lookout,
            map,
            alerts: beside.alerts.standing(),
            pause_file: beside.operator_files.pause(),
            configuration: &beside.configuration,
            now,
        })
    }
}

/// How long a page is served at most.
const LIFETIME: Duration = Duration::from_millis(500);
/// Rendering a page again and again takes at most one of so many parts of the time.
const SHARE: u32 = 20;
