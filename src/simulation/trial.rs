//! One schedule from beginning to end: the safety phase, then the liveness phase.

use super::plan::{Death, Deed, Ending, Plan, Step};
use super::record::{Record, Violation};
use super::world::World;
use super::{HostId, Micros, NodeId, SECOND, micros};
use crate::config::QuorumRule;

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was written down.
    pub record: Record,
    /// How many nodes were written to at the end of the safety phase.
    pub writers: usize,
    /// From the primary's clean death to the beginning of the promotion.
    pub time_to_promotion: Option<Micros>,
}

/// Runs a schedule.
pub fn run(plan: &Plan) -> Outcome {
    World::new(plan).run(plan)
}

/// Runs a schedule with a recorder beside the daemons of these hosts, and gives their timelines as
/// a flight recorder would have written them: all that each was told and what it decided, one
/// timeline for each process.
pub fn record(plan: &Plan, hosts: &[HostId]) -> String {
    let mut world = World::new(plan);
    world.tape(hosts);
    world.run(plan);
    world.take_timelines()
}

impl Plan {
    /// Until when it matters what this daemon saves: afterwards it does not end, or is not started
    /// again. `None`: never.
    pub(super) fn saves_matter_until(&self, host: HostId) -> Option<Micros> {
        let ends = |deed: &Deed| match *deed {
            Deed::Restarts(at)
            | Deed::Reboots(at)
            | Deed::Daemon(at, _)
            | Deed::Starts(at)
            | Deed::Dies(at, Death::HostDown) => at == host,
            _ => false,
        };
        self.steps
            .iter()
            .filter(|step| ends(&step.deed))
            .map(|step| step.at)
            .max()
    }

    /// A majority is asked for, every daemon has come to know the whole cluster, and then the
    /// network splits once into islands, before anybody can have begun to promote: the case in
    /// which no second promotion is possible.
    fn is_one_split(&self) -> bool {
        let primary = self.setup.primary;
        // Nobody was in contact before 0.
        let earliest_promotion = self.setup.longest(|config| config.failover_lag);
        let splits = |deed: &Deed| matches!(deed, Deed::Split(_) | Deed::Isolate(_));
        let harmless = |step: &Step| match step.deed {
            Deed::Split(_) | Deed::Isolate(_) => step.at <= earliest_promotion,
            Deed::Dies(node, _) => node == primary,
            Deed::Restarts(_)
            | Deed::StepsClock(..)
            | Deed::Check(_)
            | Deed::Commands(..)
            | Deed::Pauses(..)
            | Deed::Lost(..) => true,
            _ => false,
        };
        let everybody = |rule: QuorumRule| {
            self.setup
                .configs
                .iter()
                .all(|config| config.quorum == rule)
        };
        everybody(QuorumRule::Majority)
            && self
                .steps
                .iter()
                .all(|step| harmless(step) && step.at > 2 * SECOND)
            && self.steps.iter().filter(|step| splits(&step.deed)).count() <= 1
    }
}

impl World {
    fn run(&mut self, plan: &Plan) -> Outcome {
        self.islands = plan.is_one_split();
        self.longest_check = plan.setup.longest(|config| config.check_interval);
        self.run_until(plan.length);
        self.judge_silence();
        let writers = self
            .databases
            .iter()
            .filter(|database| database.is_writer())
            .count();
        let mut time_to_promotion = None;
        if plan.ending != Ending::Abrupt && self.record.violation.is_none() {
            self.agree();
            if let Ending::CleanDeath(death) = plan.ending {
                time_to_promotion = self.outlive(death);
            }
        }
        Outcome {
            record: std::mem::take(&mut self.record),
            writers,
            time_to_promotion,
        }
    }

    /// Heals everything, and all must name the same primary in time. Who was about to promote may
    /// still do so, after which a person has to heal once more.
    fn agree(&mut self) {
        let longest = |setting: fn(&crate::config::Config) -> std::time::Duration| {
            self.setup.longest(setting)
        };
        let bound = 2 * longest(|config| config.poll_interval)
            + longest(|config| config.check_interval)
            + longest(|config| config.failover_pause)
            + 2 * longest(|config| config.poll_timeout)
            + 2 * SECOND;
        for _ in 0..3 {
            let promotions = self.wait_for_commands();
            self.heal();
            self.run_until(self.now + bound);
            if self.record.violation.is_some() {
                return;
            }
            let settled = self.record.promotions.len() == promotions && !self.has_commands();
            if settled && self.sole_writer().is_some() {
                break;
            }
        }
        let Some(primary) = self.sole_writer() else {
            return;
        };
        for host in 0..self.sites.len() {
            let named = self.sites[host]
                .lookout
                .primary()
                .and_then(|name| self.setup.node_id(name));
            if named != Some(primary) {
                self.record
                    .fail(self.now, Violation::NoAgreement(host, named));
            }
        }
    }

    fn wait_for_commands(&mut self) -> usize {
        for _ in 0..40 {
            if !self.has_commands() || self.record.violation.is_some() {
                break;
            }
            self.run_until(self.now + SECOND);
        }
        self.record.promotions.len()
    }

    fn has_commands(&self) -> bool {
        self.record
            .promotions
            .iter()
            .any(|promotion| promotion.outcome.is_none())
    }

    /// The primary dies a clean death: exactly one promotion, in time, if the votes suffice.
    fn outlive(&mut self, death: Death) -> Option<Micros> {
        let calm = self.setup.longest(|config| config.missing_primary_timeout)
            + 3 * self.setup.longest(|config| config.poll_interval)
            + self.dice.between(0, 3 * SECOND)
            + if self.orphaned { ORPHANS_TIME } else { 0 };
        self.run_until(self.now + calm);
        let primary = self.sole_writer()?;
        if self.record.violation.is_some() {
            return None;
        }
        let (before, died) = (self.record.promotions.len(), self.now);
        self.die(primary, death);
        let allowed = self.allowed_time();
        self.run_until(died + allowed + 3 * SECOND);
        let begun = self
            .record
            .promotions
            .get(before..)
            .unwrap_or_default()
            .to_vec();
        let wanted = usize::from(self.has_votes_without(primary));
        // Observers that are asked late or never make the votes another matter: then at most one.
        let asks_late = self.setup.any_config().poll_observers_on_warning_only
            && !self.setup.observers.is_empty();
        if begun.len() > wanted || (begun.len() < wanted && !asks_late) {
            self.record
                .fail(self.now, Violation::Promotions(begun.len(), wanted));
        }
        let took = begun.first()?.began - died;
        if took > allowed {
            self.record.fail(self.now, Violation::Late(took, allowed));
        }
        Some(took)
    }

    /// The limit, two polls and two seconds; where the lag has to say it, the rounds that the
    /// warning takes.
    fn allowed_time(&self) -> Micros {
        let config = self.setup.any_config();
        let mut allowed =
            micros(config.failover_lag) + 2 * micros(config.poll_interval) + 2 * SECOND;
        let asks_late = config.poll_observers_on_warning_only && !self.setup.observers.is_empty();
        if !config.failover_on_disconnect || asks_late {
            allowed +=
                2 * micros(config.check_interval) + 5 * micros(config.poll_interval) + 2 * SECOND;
        }
        allowed
    }

    fn has_votes_without(&self, primary: NodeId) -> bool {
        let config = self.setup.any_config();
        let (known, all) = self.setup.votes_without_primary(primary);
        let is_met = match config.quorum {
            QuorumRule::Half => 2 * known >= all,
            QuorumRule::Majority => 2 * known > all,
        };
        let standbys = self
            .setup
            .nodes
            .iter()
            .enumerate()
            .filter(|(id, _)| *id != primary);
        is_met
            && standbys
                .into_iter()
                .any(|(_, name)| !config.never_promote.contains(name))
    }
}

/// So long the next process waits for a failover command of the former one.
const ORPHANS_TIME: Micros = 30 * SECOND;
