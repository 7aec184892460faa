//! What can happen to one cluster: single faults, and schedules drawn from a seed. For operators, on
//! their own configuration. How much is run is measured in work, never by a clock: the same configuration and
//! seed always come to the same.

use std::cell::Cell;

use super::fault::are_apart;
use super::finding::{Case, Finding};
use super::generate::Generator;
use super::plan::Plan;
use super::remedy::remedies;
use super::setup::Setup;
use super::shape::Shape;
use super::shrink::shrink;
use super::single_faults::{self, SingleFaults};
use super::survivors;
use super::trial::{Outcome, run};
use super::{HostId, Micros};
use crate::config::Config;

/// What was found out about a cluster.
#[derive(Debug, Default)]
pub struct Survey {
    /// What the cluster is by its make, in sentences.
    pub remarks: Vec<String>,
    /// What is reachable, each with its shortest schedule; problems first.
    pub findings: Vec<(Finding, Case)>,
    /// Changes of the configuration after which no single fault showed a problem, in words.
    pub remedies: Vec<String>,
    /// The longest time from a loss of the primary to the beginning of the promotion.
    pub longest: Option<(Micros, Case)>,
    /// How many schedules of single faults were run, and how many there was no time for.
    pub single_faults: (usize, u64),
    /// How many schedules that were drawn from the seed were run.
    pub drawn: usize,
}

/// Surveys a cluster of at least one server. `progress` is given how many schedules of how many have
/// been run.
pub fn survey(
    config: &Config,
    seed: u64,
    schedules: usize,
    mut progress: impl FnMut(usize, usize),
) -> Survey {
    let shape = Shape::of(config);
    let work = Work::of(&shape.config);
    let schedules = schedules.min(work.drawn);
    let mut single = |done, all| progress(done, all + schedules);
    let mut survey = Survey::of_single_faults(&shape.config, seed, work.single, &mut single);
    let all = survey.single_faults.0 + schedules;
    let generator = Generator::default();
    for number in 0..schedules {
        let setup = Setup::new(&shape.config, number % config.nodes.len());
        survey.look_at_drawn(
            &generator.plan_on(&setup, seed.wrapping_add(number as u64)),
            work.shrinking,
        );
        survey.drawn += 1;
        progress(survey.single_faults.0 + survey.drawn, all);
    }
    if !survey.is_clean() {
        survey.remedies = remedies(&shape.config, |changed| {
            Survey::of_single_faults(changed, seed, work.remedy, &mut |_, _| {}).is_clean()
        });
    }
    survey.findings.sort_by_key(|(finding, _)| *finding);
    survey.remarks = shape.remarks;
    if let Some((longest, _)) = &mut survey.longest {
        *longest += shape.shortened;
    }
    survey
}

impl Survey {
    /// Nothing that another configuration would do better.
    pub fn is_clean(&self) -> bool {
        !self
            .findings
            .iter()
            .any(|(finding, _)| finding.is_problem())
    }

    fn of_single_faults(
        config: &Config,
        seed: u64,
        most: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Self {
        let faults = SingleFaults::of(config, seed, most);
        let all = faults.plans.len();
        let mut survey = Self {
            single_faults: (all, faults.left_out),
            ..Self::default()
        };
        for (done, plan) in faults.plans.into_iter().enumerate() {
            survey.look_at(plan);
            progress(done + 1, all);
        }
        survey.sum_up();
        survey
    }

    fn look_at(&mut self, plan: Plan) {
        let Outcome {
            promotions,
            writers,
            ..
        } = run(&plan);
        let rivals = promotions.has_rivals();
        let case = Case {
            plan,
            promotions: promotions.0,
        };
        let Some(first) = case.promotions.first().copied() else {
            self.note_silence(&case, writers);
            return;
        };
        let took = first.began.saturating_sub(case.lost_at());
        if self
            .longest
            .as_ref()
            .is_none_or(|(longest, _)| *longest < took)
        {
            self.longest = Some((took, case.clone()));
        }
        if rivals {
            self.note(Finding::TwoPromotions, &case);
        } else if writers > 1 {
            self.note(second_writer(&case, first.host), &case);
        }
    }

    /// Nobody was promoted.
    fn note_silence(&mut self, case: &Case, writers: usize) {
        let setup = &case.plan.setup;
        let dies = case.primary_dies();
        if setup.leases().is_some() && writers == 0 && !dies {
            self.note(Finding::PrimaryStops, case);
        }
        let observers =
            Some(single_faults::observer_hosts(setup)).filter(|_| setup.observers.len() > 1);
        if case.primary_returns() {
            return;
        }
        if survivors::have_a_majority(&case.plan) {
            self.note(Finding::NobodyPromotes, case);
        } else if survivors::need_one_daemon(&case.plan) {
            self.note(Finding::OneDaemonNeeded, case);
        } else if dies && observers.is_some() && case.split() == observers {
            self.note(Finding::ObserversTogether, case);
        }
        // Whether that is a finding is known at the end.
        if dies && self.longest.is_none() {
            self.note(Finding::NeverPromotes, case);
        }
    }

    /// If nobody is ever promoted, that is the finding; if somebody is, single schedules without a
    /// promotion are.
    fn sum_up(&mut self) {
        let never = self.longest.is_none();
        self.findings.retain(|(finding, _)| match finding {
            Finding::NeverPromotes => never,
            Finding::NobodyPromotes
            | Finding::OneDaemonNeeded
            | Finding::ObserversTogether
            | Finding::PrimaryStops => !never,
            _ => true,
        });
    }

    fn look_at_drawn(&mut self, plan: &Plan, most_runs: usize) {
        let finding = Finding::TwoPromotionsInTheEnd;
        let is_known = self.findings.iter().any(|(known, _)| *known == finding);
        if is_known || !run(plan).promotions.has_rivals() {
            return;
        }
        let patience = Cell::new(most_runs);
        let short = shrink(plan, |plan| {
            let Some(left) = patience.get().checked_sub(1) else {
                return false;
            };
            patience.set(left);
            run(plan).promotions.has_rivals()
        });
        self.note(finding, &Case::of(short));
    }

    /// Keeps the shortest schedule of each kind.
    fn note(&mut self, finding: Finding, case: &Case) {
        match self
            .findings
            .iter_mut()
            .find(|(known, _)| *known == finding)
        {
            Some((_, known)) if known.plan.steps.len() <= case.plan.steps.len() => {}
            Some(known) => *known = (finding, case.clone()),
            None => self.findings.push((finding, case.clone())),
        }
    }
}

/// The old primary writes on beside the one that `promoted`.
fn second_writer(case: &Case, promoted: HostId) -> Finding {
    let hosts = case.plan.setup.hosts();
    let size = case.split().map(|group| side_of(group, promoted, hosts));
    if size.is_some_and(|size| 2 * size <= hosts) {
        Finding::MinorityPromotes
    } else if case.primary_returns() {
        Finding::PausePromotes
    } else if case.cuts_one_connection() {
        Finding::CutPromotes
    } else {
        Finding::OldPrimaryWrites
    }
}

/// How many hosts are on the side of this one.
fn side_of(group: u32, host: usize, hosts: usize) -> usize {
    (0..hosts)
        .filter(|other| !are_apart(group, *other, host))
        .count()
}

/// How many schedules of each sort there is time for.
struct Work {
    single: usize,
    drawn: usize,
    remedy: usize,
    shrinking: usize,
}

impl Work {
    fn of(config: &Config) -> Self {
        let setup = Setup::new(config, 0);
        let pairs = setup.hosts() * setup.hosts();
        let length = single_faults::length_of_a_fault(&setup);
        let polls = length / super::micros(config.poll_interval).max(1)
            + length / super::micros(config.check_interval).max(1);
        let cost = pairs
            .saturating_mul(usize::try_from(polls).unwrap_or(usize::MAX))
            .max(1);
        let of = |share: usize| (share / cost).max(1);
        Self {
            single: of(MOST_WORK),
            drawn: of(MOST_WORK / 3),
            remedy: of(MOST_WORK / 6),
            shrinking: of(MOST_WORK / 10),
        }
    }
}

/// Questions from one host to another, in all schedules of a sort: seconds of computing.
const MOST_WORK: usize = 3_000_000;
