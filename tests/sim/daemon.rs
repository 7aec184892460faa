//! What one daemon was told and what was done to it, as the judge writes it down.

use pglookout::cluster::{Lsn, NodeReport, ObservedNode, ObserverReport, ProbeFailure, RoleReport};
use pglookout::config::Config;
use pglookout::simulation::{HostId, Micros, NodeId, Setup, World, micros};
use pglookout::time::WallTime;

use crate::rules::Rules;
use crate::told::{Answer, Entry, Moment, NodeTold, Told};

/// What one daemon was told, and what was done to it.
pub(crate) struct Daemon {
    pub(crate) told: Told,
    pub(crate) rules: Rules,
    /// Nodes that this process has had in its configuration: of others it hears nothing.
    known: Vec<bool>,
    saved: Option<Saved>,
    /// When the last poll of each node began.
    pub(crate) polled_at: Vec<Micros>,
    /// When the connection to each node was closed last.
    pub(crate) lost_at: Vec<Option<Micros>>,
    /// When the command last succeeded, until its own node has answered a poll that began later.
    pub(crate) succeeded: Option<Micros>,
    /// When it last woke so late that it noticed.
    pub(crate) woke: Option<Moment>,
    pub(crate) last_decision: Micros,
    /// When it was restarted, reloaded or tampered with last.
    pub(crate) disturbed: Option<Micros>,
    /// When its wall clock was stepped last.
    pub(crate) stepped: Option<Micros>,
    /// When it began or ceased to lie.
    pub(crate) lied: Option<Micros>,
}

/// What a process had been told when it last saved.
struct Saved {
    contacts: Vec<Option<Moment>>,
    standbys: Vec<bool>,
}

impl Daemon {
    pub(crate) fn new(setup: &Setup, host: HostId, config: &Config) -> Self {
        let rules = Rules::of(setup, host, config);
        Self {
            told: Told::nothing(setup.nodes.len(), setup.observers.len()),
            known: rules.configured.clone(),
            rules,
            saved: None,
            polled_at: vec![0; setup.nodes.len()],
            lost_at: vec![None; setup.nodes.len()],
            succeeded: None,
            woke: None,
            last_decision: 0,
            disturbed: None,
            stepped: None,
            lied: None,
        }
    }

    pub(crate) fn start(&mut self, setup: &Setup, remembers: bool, boot: bool, now: Micros) {
        self.saved = self.saved.take().filter(|_| remembers);
        self.told = Told::nothing(setup.nodes.len(), setup.observers.len());
        if let Some(saved) = &self.saved {
            self.told.previous_contacts.clone_from(&saved.contacts);
            self.told.previous_standbys.clone_from(&saved.standbys);
        }
        self.known.clone_from(&self.rules.configured);
        (self.succeeded, self.woke) = (None, None);
        self.last_decision = now;
        self.disturbed = Some(now);
        if boot {
            self.stepped = Some(now);
        }
    }

    pub(crate) fn stop(&mut self, config: &Config, until: Micros, now: Micros) {
        self.disturbed = Some(until);
        self.last_decision = until;
        // Its next turn was due after one poll interval at the latest. Who is stopped again and
        // again need not begin anew each time.
        let overslept = until - now > micros(config.poll_interval) + LATE;
        if overslept && self.woke.is_none_or(|woke| moment(now) > woke + AGAIN) {
            self.woke = Some(moment(until));
        }
    }

    pub(crate) fn load(&mut self, rules: Rules, now: Micros) {
        for node in 0..rules.configured.len() {
            if self.rules.configured[node] && !rules.configured[node] {
                self.told.node_left(node);
            }
            self.known[node] |= rules.configured[node];
        }
        self.rules = rules;
        self.disturbed = Some(now);
    }

    pub(crate) fn save(&mut self) {
        let nodes = 0..self.told.nodes.len();
        self.saved = Some(Saved {
            contacts: nodes.map(|node| self.told.last_contact(node)).collect(),
            standbys: self.told.standbys(),
        });
    }

    pub(crate) fn node_probed(
        &mut self,
        node: NodeId,
        outcome: &Result<NodeReport, ProbeFailure>,
        is_remembered: bool,
        now: Micros,
    ) {
        let polled_at = self.polled_at[node];
        self.told.nodes[node].asked = Some(moment(polled_at));
        if node == self.rules.own && self.succeeded.is_some_and(|at| at <= polled_at) {
            self.succeeded = None;
        }
        match outcome {
            Ok(report) => self.told.node_answered(node, answer(report, now)),
            Err(failure) => {
                let refused = matches!(
                    failure,
                    ProbeFailure::Refused { .. } | ProbeFailure::AuthenticationRejected { .. }
                );
                self.told
                    .node_failed(node, moment(now), refused, is_remembered);
            }
        }
    }

    pub(crate) fn observer_answered(
        &mut self,
        world: &World<'_>,
        observer: usize,
        report: &ObserverReport,
    ) {
        let now = moment(world.now());
        let known = world.setup().nodes.iter().zip(&self.known);
        let entries = known.map(|(node, known)| {
            let observed = report.nodes.get(node).filter(|_| *known)?;
            Some(entry(observed, report.date, now))
        });
        let wall = world.clocks(self.rules.own).wall.unix_micros();
        let is_skewed = report.date.unix_micros().abs_diff(wall) > 5_000_000;
        self.told
            .observer_answered(observer, now, is_skewed, entries.collect());
    }

    /// When it truly reached a primary that it reaches still, by a clock that was not stepped
    /// since.
    pub(crate) fn honest_contacts(&self) -> Vec<Option<Moment>> {
        let contact = |node: &NodeTold| {
            // Of one that has become a standby its page does not tell any more.
            let is_primary = node.answer.is_some_and(|answer| answer.is_primary);
            let is_reached = matches!(node.attempt, Some((_, true)));
            let contact = node.contact.filter(|_| is_primary && is_reached)?;
            let stepped = self.stepped.map(moment);
            stepped
                .is_none_or(|stepped| stepped < contact)
                .then_some(contact)
        };
        self.told.nodes.iter().map(contact).collect()
    }
}

fn answer(report: &NodeReport, now: Micros) -> Answer {
    let (is_primary, receive, replay) = match &report.role {
        RoleReport::Primary { lsn, .. } => (true, None, *lsn),
        RoleReport::Standby {
            receive, replay, ..
        } => (false, *receive, *replay),
    };
    Answer {
        at: moment(now),
        is_primary,
        receive: receive.map(Lsn::bytes),
        replay: replay.map(Lsn::bytes),
    }
}

fn entry(observed: &ObservedNode, date: WallTime, now: Moment) -> Entry {
    let at = |time: WallTime| now - (date.unix_micros() - time.unix_micros()).max(0);
    Entry {
        at: at(observed.fetch_time),
        connected: observed.connection,
        is_primary: observed.in_recovery.map(|in_recovery| !in_recovery),
        db_time: observed.db_time.map(|time| (at(time), time.unix_micros())),
        receive: observed.receive.map(Lsn::bytes),
        replay: observed.replay.map(Lsn::bytes),
    }
}

/// A time of the run.
pub(crate) fn moment(now: Micros) -> Moment {
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// So much later than it asked for its turn a daemon notices that it was stopped.
const LATE: Micros = 1_200_000;
/// A check that began upon waking is over by then.
const AGAIN: i64 = 15_000_000;
