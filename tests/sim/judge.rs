//! The judge of a run: watches every fact of it, writes down what each daemon was told, and finds
//! what must never be.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pglookout::config::QuorumRule;
use pglookout::failover::Verdict;
use pglookout::lookout::{CommandOutcome, Effect, Event, ProbeId};
use pglookout::simulation::{
    Condition, Fact, Fault, HostId, MOST_SKEW, Micros, NodeId, Outcome, Path, Plan, Promotion,
    SECOND, Setup, World, micros, watch,
};

use crate::daemon::{Daemon, moment};
use crate::rules::{Rules, Standing, first_candidate, objections};
use crate::told::Moment;
use crate::violation::Violation;

/// What a schedule came to, and what was found.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    /// The first thing that must not be, and when it was found.
    pub(crate) violation: Option<(Micros, Violation)>,
    /// Decisions that were made.
    pub(crate) decisions: u64,
}

/// Runs a schedule until its end, or until something is wrong.
pub(crate) fn judge(plan: &Plan) -> Judgement {
    let mut judge = Judge::new(plan);
    let outcome = watch(plan, |world, fact| judge.watch(world, fact));
    Judgement {
        outcome,
        violation: judge.violation,
        decisions: judge.decisions,
    }
}

struct Judge {
    daemons: Vec<Daemon>,
    /// When something happened to a database last.
    disturbed: Vec<Option<Micros>>,
    /// The contacts that an observer truly had when it made a report: for whom, by whom, which.
    honest: BTreeMap<(HostId, usize, ProbeId), Vec<Option<Moment>>>,
    /// The schedule is one in which nobody may promote a second time.
    islands: bool,
    longest_check: Micros,
    /// Promotions that had been begun when a database last died.
    promotions_before: usize,
    violation: Option<(Micros, Violation)>,
    decisions: u64,
}

impl Judge {
    fn new(plan: &Plan) -> Self {
        let setup = &plan.setup;
        let configs = setup.configs.iter().enumerate();
        Self {
            daemons: configs
                .map(|(host, config)| Daemon::new(setup, host, config))
                .collect(),
            disturbed: vec![None; setup.nodes.len()],
            honest: BTreeMap::new(),
            islands: is_one_split(plan),
            longest_check: setup.longest(|config| config.check_interval),
            promotions_before: 0,
            violation: None,
            decisions: 0,
        }
    }

    fn watch(&mut self, world: &World<'_>, fact: Fact<'_>) -> ControlFlow<()> {
        let now = world.now();
        match fact {
            Fact::Fault(fault) => self.fault(world, fault),
            Fact::Started { host, memory, boot } => {
                self.daemons[host].start(world.setup(), memory.is_some(), boot, now);
            }
            Fact::Stopped { host, until } => {
                self.daemons[host].stop(world.config(host), until, now);
            }
            Fact::Resumed(host) => {
                // It may have been too short a time to be noticed.
                (self.daemons[host].woke, self.daemons[host].last_decision) = (None, now);
            }
            Fact::Event { host, event } => self.event(world, host, event),
            Fact::Effects { host, effects } => self.effects(world, host, effects),
            Fact::Saved(host) => self.daemons[host].save(),
            Fact::ReportMade {
                observer,
                to,
                probe,
            } => {
                let host = world.setup().observers[observer].1;
                let contacts = match world.lie(host) {
                    Some(_) => Vec::new(),
                    None => self.daemons[host].honest_contacts(),
                };
                self.honest.insert((to, observer, probe), contacts);
            }
            Fact::CommandBegins(promotion) => self.promotion(world, promotion),
            Fact::CommandEnds { .. } => {}
            Fact::ClockStandsStill => self.fail(now, Violation::ClockStandsStill),
            Fact::FaultsAreOver => self.silence(world),
            Fact::Healed => self.healed(world),
            Fact::AllIsWell => self.agreement(world),
            Fact::Outlived { primary, died } => self.clean_death(world, primary, died),
        }
        match self.violation {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn fail(&mut self, at: Micros, violation: Violation) {
        self.violation.get_or_insert((at, violation));
    }

    fn fault(&mut self, world: &World<'_>, fault: &Fault) {
        let now = world.now();
        match *fault {
            Fault::Dies(node, _) => {
                self.promotions_before = world.promotions().0.len();
                self.disturbed[node] = Some(now);
            }
            Fault::Refuses(node, _) => self.disturbed[node] = Some(now),
            Fault::Starts(node) if world.databases()[node].condition != Condition::Up => {
                self.disturbed[node] = Some(now);
            }
            Fault::Follows(node, upstream) if node != upstream => self.disturbed[node] = Some(now),
            Fault::StepsClock(host, _) => self.daemons[host].stepped = Some(now),
            Fault::Lies(host, _) => self.daemons[host].lied = Some(now),
            Fault::Maintenance(host, _) | Fault::Daemon(host, _) => {
                self.daemons[host].disturbed = Some(now);
            }
            // What these do is seen in later facts, or on the network.
            _ => {}
        }
    }

    fn event(&mut self, world: &World<'_>, host: HostId, event: &Event) {
        let (setup, now) = (world.setup(), world.now());
        let daemon = &mut self.daemons[host];
        match event {
            Event::NodeProbed { node, outcome, .. } => {
                let is_remembered = world.core(host).primary() == Some(node);
                let node = setup.node_id(node).unwrap();
                daemon.node_probed(node, outcome, is_remembered, now);
            }
            Event::NodeLost { node, .. } => {
                let node = setup.node_id(node).unwrap();
                daemon.told.node_failed(node, moment(now), false, false);
                daemon.lost_at[node] = Some(now);
            }
            Event::ObserverProbed {
                observer,
                probe,
                outcome,
            } => {
                let observer = setup.observer_id(observer).unwrap();
                match outcome {
                    Ok(report) => daemon.observer_answered(world, observer, report),
                    Err(_) => daemon.told.observer_failed(observer, moment(now)),
                }
                let honest = probe.and_then(|probe| self.honest.remove(&(host, observer, probe)));
                let honest = honest.filter(|_| outcome.is_ok()).unwrap_or_default();
                for (known, told) in daemon.told.honest_contacts.iter_mut().zip(honest) {
                    *known = told.max(*known);
                }
            }
            Event::ConfigLoaded(config) => daemon.load(Rules::of(setup, host, config), now),
            Event::CommandExited {
                outcome: CommandOutcome::Exited(0),
                ..
            } => daemon.succeeded = Some(now),
            Event::CommandExited { .. }
            | Event::CheckRequested
            | Event::CommandStarted { .. }
            | Event::PreviousCommand(_)
            | Event::FollowPrepared(_)
            | Event::Stopping
            | Event::Turn(_) => {}
        }
    }

    fn effects(&mut self, world: &World<'_>, host: HostId, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::ProbeNode { node, .. } => {
                    if let Some(node) = world.setup().node_id(node) {
                        self.daemons[host].polled_at[node] = world.now();
                    }
                }
                Effect::Decided { round, .. } => {
                    self.decision(world, host, &round.decision.verdict);
                }
                Effect::ProbeObserver { .. }
                | Effect::RunCommand { .. }
                | Effect::PrepareFollow { .. }
                | Effect::RaiseAlert { .. }
                | Effect::ClearAlert(_)
                | Effect::Save(_)
                | Effect::Measure(_)
                | Effect::Log { .. } => {}
            }
        }
    }

    /// A daemon names the candidate that its facts name, and never waits too long to decide.
    fn decision(&mut self, world: &World<'_>, host: HostId, verdict: &Verdict) {
        self.decisions += 1;
        let last = std::mem::replace(&mut self.daemons[host].last_decision, world.now());
        if self.waits_too_long(world, host, last) {
            return;
        }
        let (Verdict::Promote { winner, .. } | Verdict::OtherCandidate { winner, .. }) = verdict
        else {
            return;
        };
        let standing = self.standing(world, host);
        let daemon = &self.daemons[host];
        let first = first_candidate(&daemon.told, &daemon.rules, &standing);
        if first.is_none() || first != world.setup().node_id(&winner.node) {
            self.fail(world.now(), Violation::OtherCandidate(host, first));
        }
    }

    fn waits_too_long(&mut self, world: &World<'_>, host: HostId, last: Micros) -> bool {
        let config = world.core(host).config();
        let patience =
            micros(config.missing_primary_timeout.max(config.poll_timeout * 2)) + 2 * SECOND;
        let waited = world.now().saturating_sub(last);
        let too_long = waited > self.longest_check + 2 * patience;
        if too_long {
            self.fail(world.now(), Violation::EndlessWait(host, waited));
        }
        too_long
    }

    /// Nobody has been silent for too long, up to now.
    fn silence(&mut self, world: &World<'_>) {
        for host in 0..self.daemons.len() {
            if world.is_alive(host) {
                self.waits_too_long(world, host, self.daemons[host].last_decision);
            }
        }
    }

    /// A daemon begins to promote its node.
    fn promotion(&mut self, world: &World<'_>, promotion: &Promotion) {
        let (host, now) = (promotion.host, world.now());
        if host >= world.setup().nodes.len() {
            return self.fail(now, Violation::ObserverPromotes(host));
        }
        let daemon = &self.daemons[host];
        let found = objections(&daemon.told, &daemon.rules, &self.standing(world, host));
        if !found.is_empty() {
            self.fail(now, Violation::Forbidden(host, found));
        }
        for earlier in &world.promotions().0 {
            if earlier.is_rival_of(promotion) {
                self.rivals(world, earlier, promotion);
            }
        }
    }

    fn standing(&self, world: &World<'_>, host: HostId) -> Standing {
        Standing {
            remembered: world.remembered(host),
            maintenance: world.maintenance(host),
            is_running: world.promotions().is_promoting(host),
            is_unsettled: self.daemons[host].succeeded.is_some(),
            woke: self.daemons[host].woke,
            now: moment(world.now()),
        }
    }

    /// Two standbys that both reach one observer never both promote.
    fn rivals(&mut self, world: &World<'_>, first: &Promotion, second: &Promotion) {
        let (setup, now) = (world.setup(), world.now());
        if self.islands {
            self.fail(now, Violation::TwoInOneOutage(first.host, second.host));
        }
        // So long must all have been well between two standbys and an observer that both can know
        // what it knows.
        let calm = 4 * setup.longest(|config| config.poll_interval)
            + 3 * setup.longest(|config| config.poll_timeout)
            + SECOND;
        let since = first.began.saturating_sub(calm);
        let hosts = [first.host, second.host];
        let mut observers = 0..setup.observers.len();
        if let Some(observer) = observers.find(|one| self.is_beside(world, *one, hosts, since)) {
            let violation = Violation::TwoBesideAnObserver(first.host, second.host, observer);
            self.fail(now, violation);
        }
    }

    /// Has this honest observer reached these nodes, and they it, since then, without anything odd
    /// about any of them.
    fn is_beside(
        &self,
        world: &World<'_>,
        observer: usize,
        nodes: [HostId; 2],
        since: Micros,
    ) -> bool {
        let at = world.setup().observers[observer].1;
        let quiet = |disturbed: Option<Micros>| disturbed.is_none_or(|time| time < since);
        let unchanged = |a: HostId, b: HostId| a == b || quiet(self.path_changed_at(world, a, b));
        let calm = |a: HostId, b: HostId| {
            unchanged(a, b) && (a == b || world.network().path(a, b) == Path::default())
        };
        let undisturbed = |host: HostId| {
            let daemon = &self.daemons[host];
            world.is_alive(host)
                && world.lie(host).is_none()
                && [daemon.disturbed, daemon.stepped, daemon.lied].map(quiet) == [true; 3]
        };
        // Just after two standbys have lost sight of each other, the observer's report may still be
        // older than their own.
        let [a, b] = nodes;
        let (first, second) = (&self.daemons[a].rules, &self.daemons[b].rules);
        undisturbed(at)
            && unchanged(a, b)
            && unchanged(b, a)
            && first.knows_the_same_cluster(second)
            && nodes.into_iter().all(|node| {
                let clocks = world.wall_offset(node).abs_diff(world.wall_offset(at));
                node != at
                    && undisturbed(node)
                    && quiet(self.disturbed[node])
                    && clocks < 3_500_000
                    && self.daemons[node].rules.observers[observer]
                    && calm(at, node)
                    && calm(node, at)
            })
    }

    fn path_changed_at(&self, world: &World<'_>, from: HostId, to: HostId) -> Option<Micros> {
        let lost_at = self.daemons[from].lost_at.get(to).copied().flatten();
        world.network().changed_at(from, to).max(lost_at)
    }

    fn healed(&mut self, world: &World<'_>) {
        // Who was cut off a moment ago may promote while another one's command still runs.
        self.islands = false;
        for (host, daemon) in self.daemons.iter_mut().enumerate() {
            daemon.lied = Some(world.now());
            if world.wall_offset(host).abs() > MOST_SKEW {
                daemon.stepped = Some(world.now());
            }
        }
    }

    /// All name the one primary that there is.
    fn agreement(&mut self, world: &World<'_>) {
        let Some(primary) = world.sole_writer() else {
            return;
        };
        for host in 0..self.daemons.len() {
            let named = world.remembered(host);
            if named != Some(primary) {
                self.fail(world.now(), Violation::NoAgreement(host, named));
            }
        }
    }

    /// Exactly one promotion, in time, if the votes suffice.
    fn clean_death(&mut self, world: &World<'_>, primary: NodeId, died: Micros) {
        let (setup, now) = (world.setup(), world.now());
        let begun = &world.promotions().0[self.promotions_before..];
        let wanted = usize::from(has_votes_without(setup, primary));
        // Observers that are asked late or never make the votes another matter: then at most one.
        let too_few = begun.len() < wanted && !setup.polls_observers_late();
        if begun.len() > wanted || too_few {
            self.fail(now, Violation::Promotions(begun.len(), wanted));
        }
        let allowed = setup.time_to_promotion();
        let took = begun.first().map(|first| first.began - died);
        if let Some(took) = took.filter(|took| *took > allowed) {
            self.fail(now, Violation::Late(took, allowed));
        }
    }
}

/// A majority is asked for, every daemon has come to know the whole cluster, and then the network
/// splits once into islands, before anybody can have begun to promote: the case in which no second
/// promotion is possible.
fn is_one_split(plan: &Plan) -> bool {
    let primary = plan.setup.primary;
    // Nobody was in contact before 0.
    let earliest_promotion = plan.setup.longest(|config| config.failover_lag);
    let splits = |fault: &Fault| matches!(fault, Fault::Split(_) | Fault::Isolate(_));
    let harmless = |fault: &Fault, at| match *fault {
        Fault::Split(_) | Fault::Isolate(_) => at <= earliest_promotion,
        Fault::Dies(node, _) => node == primary,
        Fault::Restarts(_)
        | Fault::StepsClock(..)
        | Fault::Check(_)
        | Fault::Commands(..)
        | Fault::Pauses(..)
        | Fault::Lost(..) => true,
        _ => false,
    };
    let mut configs = plan.setup.configs.iter();
    let mut steps = plan.steps.iter();
    configs.all(|config| config.quorum == QuorumRule::Majority)
        && steps.all(|step| harmless(&step.fault, step.at) && step.at > 2 * SECOND)
        && plan.steps.iter().filter(|step| splits(&step.fault)).count() <= 1
}

/// Can a standby be promoted when the primary is dead and all else is well.
fn has_votes_without(setup: &Setup, primary: NodeId) -> bool {
    let config = setup.any_config();
    let standbys = setup.nodes.iter().enumerate();
    let standbys = standbys.filter(|(id, _)| *id != primary);
    let able = standbys
        .filter(|(_, name)| !config.never_promote.contains(*name))
        .count();
    let (known, all) = (
        able + setup.observers.len(),
        able + 1 + setup.observers.len(),
    );
    let is_met = match config.quorum {
        QuorumRule::Half => 2 * known >= all,
        QuorumRule::Majority => 2 * known > all,
    };
    is_met && able > 0
}
