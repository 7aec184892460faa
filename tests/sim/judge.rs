//! The judge of a run: watches every fact of it, writes down what truly happened, and finds what
//! must never be.

use std::ops::ControlFlow;

use pglookout::failover::{Cause, Verdict};
use pglookout::lookout::{CommandPurpose, Effect};
use pglookout::simulation::{
    Fact, Fault, HostId, Micros, NodeId, Outcome, Plan, Promotion, SECOND, World, micros, watch,
};
use pglookout::votes::Record;

use crate::assumptions::{A3, Assumptions};
use crate::counts::Counts;
use crate::elections::Elections;
use crate::kinds::{all_show, are_contestants, is_one_split, votes_without};
use crate::leases::{Counts as LeaseCounts, Leases};
use crate::majority::nobody_promoted;
use crate::objections::Case;
use crate::switchovers::{Counts as SwitchoverCounts, Switchovers};
use crate::table::Table;
use crate::truth::Truth;
use crate::violation::Violation;

/// What a schedule came to, and what was found.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    /// The first thing that must not be, and when it was found.
    pub(crate) violation: Option<(Micros, Violation)>,
    /// Decisions that were made.
    pub(crate) decisions: u64,
    /// What the promotions were.
    pub(crate) table: Table,
    /// What became of elections.
    pub(crate) elections: Counts,
    /// What became of leases.
    pub(crate) leases: LeaseCounts,
    /// What became of switchovers.
    pub(crate) switchovers: SwitchoverCounts,
    /// What was assumed and did not hold.
    pub(crate) assumptions: Assumptions,
}

/// Runs a schedule until its end, or until something is wrong.
pub(crate) fn judge(plan: &Plan) -> Judgement {
    let mut judge = Judge::new(plan);
    let outcome = watch(plan, |world, fact| judge.watch(world, fact));
    Judgement {
        outcome,
        violation: judge.violation,
        decisions: judge.decisions,
        table: judge.table,
        elections: judge.elections.counts,
        leases: judge.leases.counts,
        switchovers: judge.switchovers.into_counts(),
        assumptions: judge.elections.assumptions,
    }
}

struct Judge {
    truth: Truth,
    elections: Elections,
    leases: Leases,
    switchovers: Switchovers,
    table: Table,
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
        Self {
            truth: Truth::new(&plan.setup),
            elections: Elections::new(&plan.setup),
            leases: Leases::new(&plan.setup),
            switchovers: Switchovers::new(&plan.setup),
            table: Table::default(),
            islands: is_one_split(plan),
            longest_check: plan.setup.longest(|config| config.check_interval),
            promotions_before: 0,
            violation: None,
            decisions: 0,
        }
    }

    fn watch(&mut self, world: &World<'_>, fact: Fact<'_>) -> ControlFlow<()> {
        let now = world.now();
        self.truth.look(world);
        let found = self.leases.look(world, &mut self.elections.assumptions);
        self.fail_if(now, found);
        match fact {
            Fact::Fault(fault) => self.fault(world, fault),
            Fact::Started { host, memory, boot } => {
                self.truth.started(host, memory.is_some(), boot, now);
                self.elections.started(host);
                self.switchovers.started(host);
            }
            Fact::Stopped { host, until } => {
                self.truth.stopped(host, until, now);
                self.switchovers.waits_from(host, until);
                let daemon = &mut self.truth.hosts[host];
                // One that is stopped again and again still has to decide.
                let rhythm = world.runs_seldom(host);
                if rhythm.is_none_or(|(_, every)| until > now + every) {
                    daemon.last_decision = until;
                }
            }
            Fact::Resumed(host) => self.truth.resumed(host, now),
            Fact::Event { host, event } => {
                self.truth.event(world, host, event);
                self.elections.event(world, host, event);
                self.switchovers.event(event);
            }
            Fact::VoteFileWritten { host, record } => self.file_written(world, host, record),
            Fact::Effects { host, effects } => self.effects(world, host, effects),
            Fact::Saved(host) => self.truth.saved(host),
            Fact::ReportMade {
                observer,
                to,
                probe,
            } => self.truth.report_made(world, observer, to, probe),
            Fact::CommandBegins(promotion) => self.promotion(world, promotion),
            Fact::CommandEnds { .. } => {}
            Fact::FenceBegins(_)
            | Fact::FenceStops(_)
            | Fact::FenceEnds { .. }
            | Fact::StartsWithoutGate(_)
            | Fact::PromotesLate(_)
            | Fact::Sleeps(..)
            | Fact::PromotesByHand(_) => self.of_lease(world, fact),
            Fact::Wakes(host, _) => {
                self.truth.hosts[host].woke = Some(now);
                self.of_lease(world, fact);
            }
            Fact::Recovered => {
                let found = self.leases.recovered(world, &self.truth, &self.elections);
                self.fail_if(now, found);
            }
            Fact::ClockStandsStill => self.fail(now, Violation::ClockStandsStill),
            Fact::FaultsAreOver => self.silence(world),
            Fact::Waited => {
                let nobody = nobody_promoted(world, &self.truth, &self.elections);
                self.fail_if(now, nobody);
            }
            Fact::Healed => self.healed(world),
            Fact::AllIsWell => self.agreement(world),
            Fact::Outlived { primary, died } => self.clean_death(world, primary, died),
        }
        match self.violation {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn fault(&mut self, world: &World<'_>, fault: &Fault) {
        match *fault {
            Fault::Dies(..) => self.promotions_before = world.promotions().0.len(),
            Fault::RunsSeldom(host, _) => self.truth.hosts[host].waits_from(world.now()),
            _ => {}
        }
        self.truth.fault(world, fault);
        self.elections.fault(fault);
        self.leases.fault(fault, &mut self.elections.assumptions);
    }

    fn file_written(&mut self, world: &World<'_>, host: HostId, record: &Record) {
        let found = self.elections.file_written(world, host, record);
        self.fail_if(world.now(), found);
        let found = self.elections.holds(world, host, record);
        self.fail_if(world.now(), found);
        self.leases.file_written(host, record);
    }

    fn fail_if(&mut self, at: Micros, violation: Option<Violation>) {
        if let Some(violation) = violation {
            self.fail(at, violation);
        }
    }

    /// By clocks that are wrong everything that is judged by time may be wrong, and is no violation.
    fn fail(&mut self, at: Micros, violation: Violation) {
        let assumptions = &mut self.elections.assumptions;
        if assumptions.clocks_are_wrong() && violation != Violation::ClockStandsStill {
            return assumptions.excuse(A3, &violation);
        }
        self.violation.get_or_insert((at, violation));
    }

    fn of_lease(&mut self, world: &World<'_>, fact: Fact<'_>) {
        // A server that was made a standby while its daemon held a term is fenced before that is released.
        let is_due = |host| self.elections.is_standby_with_term(world, host);
        let is_due = matches!(fact, Fact::FenceBegins(host) if is_due(host));
        let is_calm = self.elections.is_calm && !is_due;
        let assumptions = &mut self.elections.assumptions;
        let found = self.leases.fact(world, fact, is_calm, assumptions);
        self.fail_if(world.now(), found);
    }

    fn effects(&mut self, world: &World<'_>, host: HostId, effects: &[Effect]) {
        self.truth.effects(world, host, effects);
        let found = self.elections.effects(world, &self.truth, host, effects);
        let assumptions = &mut self.elections.assumptions;
        let found = found.and_then(|found| self.leases.unless_broken(world, found, assumptions));
        self.fail_if(world.now(), found);
        self.leases.effects(world, host, effects);
        let found = self.switchovers.effects(world, &self.truth, host, effects);
        let assumptions = &mut self.elections.assumptions;
        let found = found.and_then(|found| self.leases.unless_broken(world, found, assumptions));
        let found = found.and_then(|found| self.leases.unless_forked(found, assumptions));
        self.fail_if(world.now(), found);
        for effect in effects {
            match effect {
                Effect::Decided { round, .. } => {
                    self.decision(world, host, &round.decision.verdict);
                }
                Effect::PrepareFollow { primary, .. } => {
                    let primary = world.setup().node_id(primary);
                    let case = self.case(world, host);
                    let found = primary.and_then(|primary| case.follows(primary));
                    found
                        .into_iter()
                        .for_each(|found| self.fail(world.now(), found));
                    if self.truth.knows_pause(host) {
                        self.fail(world.now(), Violation::Paused(host));
                    }
                }
                Effect::RunCommand {
                    purpose: CommandPurpose::FollowStop,
                    ..
                } if world.promotions().is_promoting(host) => {
                    self.fail(world.now(), Violation::StopsPromoting(host));
                }
                _ => {}
            }
        }
    }

    /// A daemon never waits too long to decide.
    fn decision(&mut self, world: &World<'_>, host: HostId, verdict: &Verdict) {
        self.decisions += 1;
        let daemon = &mut self.truth.hosts[host];
        let last = std::mem::replace(&mut daemon.last_decision, world.now());
        match verdict {
            Verdict::WantsFreshFacts { .. } => daemon.asked_anew = Some(world.now()),
            Verdict::PrimaryReachable { .. } => daemon.asked_anew = None,
            Verdict::Promote { cause, .. } => {
                daemon.succeeds = matches!(cause, Cause::Switchover { .. });
                daemon.decided_on = daemon.asked_anew.map(|cause| (cause, world.now()));
            }
            _ => {}
        }
        self.waits_too_long(world, host, last);
    }

    fn waits_too_long(&mut self, world: &World<'_>, host: HostId, last: Micros) {
        let config = world.core(host).config();
        let patience =
            micros(config.missing_primary_timeout.max(config.poll_timeout * 2)) + 2 * SECOND;
        let waited = world.now().saturating_sub(last);
        // Each time that is over while it is stopped is noticed when it goes on.
        let stopped = world.runs_seldom(host).map_or(0, |(_, every)| 6 * every);
        if waited > self.longest_check + 2 * patience + stopped {
            self.fail(world.now(), Violation::EndlessWait(host, waited));
        }
    }

    /// Nobody has been silent for too long, up to now.
    fn silence(&mut self, world: &World<'_>) {
        for host in 0..self.truth.hosts.len() {
            if world.is_alive(host) {
                self.waits_too_long(world, host, self.truth.hosts[host].last_decision);
            }
        }
    }

    fn case<'a, 'w>(&'a self, world: &'a World<'w>, host: HostId) -> Case<'a, 'w> {
        Case {
            truth: &self.truth,
            world,
            host,
        }
    }

    /// A daemon begins to promote its node.
    fn promotion(&mut self, world: &World<'_>, promotion: &Promotion) {
        let (host, now) = (promotion.host, world.now());
        if host >= world.setup().nodes.len() {
            return self.fail(now, Violation::ObserverPromotes(host));
        }
        // Whoever succeeds a holder does not wait for the limit, nor for anybody else.
        let mut found = match self.truth.hosts[host].succeeds {
            true => {
                let term = world.core(host).elected_term();
                self.switchovers.succeeds(host, term)
            }
            false => self.case(world, host).objection(),
        };
        let case = self.case(world, host);
        if self.truth.knows_pause(host) {
            found = found.or(Some(Violation::Paused(host)));
        }
        for earlier in world.promotions().0.iter().filter(|it| it.host != host) {
            let beside = |server| Violation::TwoBesideAServer(earlier.host, host, server);
            found = found.or_else(|| case.common_server(earlier).map(beside));
            if self.islands && earlier.is_rival_of(promotion) {
                found = found.or(Some(Violation::TwoInOneOutage(earlier.host, host)));
            }
        }
        let of_election = self.elections.promotion(world, promotion);
        let assumptions = &mut self.elections.assumptions;
        let of_lease = self.leases.promotion(world, promotion, assumptions);
        let of_election =
            of_election.and_then(|found| self.leases.unless_broken(world, found, assumptions));
        self.fail_if(now, of_lease.or(of_election).or(found));
        self.table.promotion(world, &self.truth, promotion);
    }

    fn healed(&mut self, world: &World<'_>) {
        // Who was cut off a moment ago may promote while another one's command still runs.
        self.islands = false;
        let now = Some(world.now());
        for (number, host) in self.truth.hosts.iter_mut().enumerate() {
            if world.runs_seldom(number).is_some() {
                host.waits_from(world.now());
            }
            (host.unreliable, host.disturbed) = (now, now);
            host.command_fails = false;
        }
        for node in &mut self.truth.nodes {
            node.disturbed = now;
        }
        self.elections.healed();
    }

    /// All name the one primary that there is.
    fn agreement(&mut self, world: &World<'_>) {
        let Some(primary) = world.sole_writer() else {
            let found = self.without_writer(world);
            return self.fail_if(world.now(), found);
        };
        for host in 0..self.truth.hosts.len() {
            let named = world.remembered(host);
            let named =
                named.filter(|_| world.core(host).primary() == Some(&world.setup().nodes[primary]));
            if named != Some(primary) {
                self.fail(world.now(), Violation::NoAgreement(host, named));
            }
        }
        let found = self.elections.holds_nothing(world, primary);
        let assumptions = &mut self.elections.assumptions;
        let found = found.and_then(|found| self.leases.unless_broken(world, found, assumptions));
        self.fail_if(world.now(), found);
        let found = self.elections.lists_differ(world);
        self.fail_if(world.now(), found);
        self.elections.all_is_well();
    }

    /// Where leases are in force there is a writer then. It may need an operator if voters are lost, or
    /// vote for what was never so.
    fn without_writer(&mut self, world: &World<'_>) -> Option<Violation> {
        world.setup().leases()?;
        let hosts = 0..world.setup().hosts();
        let is_majority = self.elections.can_elect(world, hosts);
        let found = is_majority.then_some(Violation::NoWriter);
        self.elections.assumptions.unless_broken(found)
    }

    /// Exactly one promotion, in time, if the votes suffice by every daemon's rule; none, if they do by
    /// nobody's. Where daemons differ in the candidates or their order, each may wait for another
    /// one, or go first by its own settings: then at most one, if all show their presence.
    fn clean_death(&mut self, world: &World<'_>, primary: NodeId, died: Micros) {
        let (setup, now) = (world.setup(), world.now());
        let begun = &world.promotions().0[self.promotions_before..];
        // Without timelines, or with two of one number, nobody can tell that a standby was rewound and
        // has caught up again between two polls.
        let timeline = world.databases()[primary].timeline();
        let mut hosts = 0..setup.hosts();
        let is_marked = hosts.any(|host| {
            let mut marks = world.core(host).state().history.diverged.values();
            marks.any(|mark| {
                // Where there is time for more than one outage, the old primary of a lower one may be
                // the last one in the end.
                let is_lower = |marked| setup.voting().is_some() && timeline < marked;
                let is_like = |marked| marked == timeline || is_lower(marked);
                mark.timeline.is_none_or(is_like)
            })
        });
        if is_marked {
            self.table.rewound_unnoticed += 1;
            return;
        }
        let nodes = 0..setup.nodes.len();
        let paused = nodes.filter(|host| self.truth.knows_pause(*host)).count();
        if paused > 0 {
            // Where sessions are hidden, a pause stays where it was set.
            if paused == setup.nodes.len() && !begun.is_empty() {
                self.fail(now, Violation::Promotions(begun.len(), 0));
            }
            return;
        }
        let agrees = setup.agrees_on_candidates();
        if !agrees && !are_contestants(setup) {
            if begun.len() > 1 && all_show(setup) {
                self.fail(now, Violation::Promotions(begun.len(), 1));
            }
            return;
        }
        let (least, most) = match setup.elects() {
            true => self.elected_without(world, primary),
            false => votes_without(setup, primary),
        };
        // Observers that are asked late or never make the votes another matter: then at most one.
        let too_few = begun.len() < least && !setup.polls_observers_late();
        if begun.len() > most || too_few {
            self.fail(now, Violation::Promotions(begun.len(), most));
        }
        let allowed = setup.time_to_promotion();
        let took = begun.first().map(|first| first.began - died);
        if let Some(took) = took.filter(|took| *took > allowed) {
            self.fail(now, Violation::Late(took, allowed));
        }
    }

    /// The same, where voters elect: whoever lives and could vote must be more than half of them.
    fn elected_without(&self, world: &World<'_>, primary: NodeId) -> (usize, usize) {
        let setup = world.setup();
        let never = &world.proper_config(0).never_promote;
        let can_elect = self.elections.can_elect(world, 0..setup.hosts());
        let standbys = (0..setup.nodes.len()).filter(|node| *node != primary);
        let is_able = |node: NodeId| {
            !never.contains(&setup.nodes[node]) && self.elections.is_able(world, node)
        };
        let may_win = can_elect && standbys.clone().any(is_able);
        // Where sessions are hidden, the others wait for the one that goes first, whatever keeps it from it.
        let may = |node: &NodeId| !never.contains(&setup.nodes[*node]);
        let is_first_able = all_show(setup) || standbys.filter(may).all(is_able);
        // Where lists change more may suffice than do by every list.
        let may_be_won = may_win || !setup.lists.is_empty();
        (
            usize::from(may_win && is_first_able),
            usize::from(may_be_won),
        )
    }
}
