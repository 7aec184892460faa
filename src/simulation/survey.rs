//! What can happen to one cluster: every split of its hosts in two with and without the primary's death, every single
//! crash, and schedules drawn from a seed. For operators, on their own configuration.

use super::generate::Generator;
use super::plan::{Death, Deed, Ending, Plan, Step};
use super::setup::Setup;
use super::shrink::shrink;
use super::trial::{Outcome, run};
use super::{HostId, Micros, NodeId, SECOND};
use crate::config::{Config, QuorumRule};

/// What was found out about a cluster.
#[derive(Debug, Default)]
pub struct Survey {
    /// What the cluster is by its make, in sentences.
    pub remarks: Vec<String>,
    /// What is reachable, each with its shortest schedule.
    pub findings: Vec<(Finding, Plan)>,
    /// The longest time from a loss of the primary to the beginning of the promotion.
    pub longest: Option<(Micros, Plan)>,
    /// How many schedules were run.
    pub schedules: usize,
}

/// Something that is reachable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Two standbys are promoted in one outage, by one split or crash.
    TwoPromotions,
    /// More than half of the hosts live and reach each other, and nobody is promoted.
    NobodyPromotes,
    /// What must never be: a fault of pglookout itself.
    Broken(String),
    /// The old primary is cut off and goes on writing: nothing but fencing prevents it.
    OldPrimaryWrites,
    /// Two standbys are promoted in one outage, by several faults one after the other.
    TwoPromotionsInTheEnd,
}

impl Finding {
    /// What every cluster without fencing is open to is no blemish of this one.
    pub fn is_blemish(&self) -> bool {
        matches!(self, Self::TwoPromotions | Self::NobodyPromotes | Self::Broken(_))
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::TwoPromotions => {
                "two writers: one fault makes two standbys promote themselves in one outage".to_owned()
            }
            Self::NobodyPromotes => "more than half of the hosts live and nobody is promoted".to_owned(),
            Self::Broken(what) => format!("pglookout itself does what it must not, please report: {what}"),
            Self::OldPrimaryWrites => {
                "two writers unless fenced: the old primary is only cut off, or hangs, and another is promoted"
                    .to_owned()
            }
            Self::TwoPromotionsInTheEnd => {
                "several faults one after the other make two standbys promote themselves in one outage".to_owned()
            }
        }
    }
}

/// Surveys a cluster. `tell` is told how many schedules of how many have been run.
pub fn survey(config: &Config, seed: u64, schedules: usize, mut tell: impl FnMut(usize, usize)) -> Survey {
    let whole = Setup::new(config, 0);
    let mut survey = Survey { remarks: remarks(&whole), ..Survey::default() };
    if whole.node_count() < 2 {
        return survey;
    }
    let planned: Vec<_> =
        (0..whole.node_count()).flat_map(|primary| Setup::new(config, primary).single_faults()).collect();
    let all = planned.len() + schedules;
    for (plan, majority) in planned {
        survey.look_at(&plan, majority);
        survey.schedules += 1;
        tell(survey.schedules, all);
    }
    let generator = Generator::default();
    for number in 0..schedules {
        let primary = number % whole.node_count();
        let plan = generator.plan_on(&Setup::new(config, primary), seed.wrapping_add(number as u64));
        survey.look_at_random(&plan);
        survey.schedules += 1;
        tell(survey.schedules, all);
    }
    survey.findings.sort_by(|a, b| a.0.cmp(&b.0));
    survey
}

impl Survey {
    /// Nothing that this configuration could do better.
    pub fn is_clean(&self) -> bool {
        !self.findings.iter().any(|(finding, _)| finding.is_blemish())
    }

    /// `majority`: more than half of the hosts live together without the primary, and one of them could be promoted.
    fn look_at(&mut self, plan: &Plan, majority: bool) {
        let outcome = run(plan);
        let first = outcome.record.promotions.first();
        let begun = plan.steps.first().map_or(0, |step| step.at);
        let took = first.map(|first| first.began.saturating_sub(begun));
        let longest = self.longest.as_ref().map(|(longest, _)| *longest);
        if let Some(took) = took.filter(|took| longest.is_none_or(|longest| longest < *took)) {
            self.longest = Some((took, plan.clone()));
        }
        if first.is_none() && majority {
            self.note(Finding::NobodyPromotes, plan);
        }
        if outcome.record.rivals().next().is_some() {
            self.note(Finding::TwoPromotions, plan);
        } else if first.is_some() && outcome.writers > 1 {
            self.note(Finding::OldPrimaryWrites, plan);
        }
        if let Some((_, violation)) = &outcome.record.violation {
            self.note(Finding::Broken(violation.to_string()), plan);
        }
    }

    fn look_at_random(&mut self, plan: &Plan) {
        let outcome = run(plan);
        let has = |finding: &Finding| self.findings.iter().any(|(known, _)| known == finding);
        if outcome.record.rivals().next().is_some() && !has(&Finding::TwoPromotionsInTheEnd) {
            let shows = |outcome: &Outcome| outcome.record.rivals().next().is_some();
            self.note(Finding::TwoPromotionsInTheEnd, &shrink(plan, |plan| shows(&run(plan))));
        }
        let any_broken = self.findings.iter().any(|(known, _)| matches!(known, Finding::Broken(_)));
        if let Some((_, violation)) = outcome.record.violation.filter(|_| !any_broken) {
            let shows = |plan: &Plan| run(plan).record.violation.is_some_and(|(_, found)| found.is_like(&violation));
            self.note(Finding::Broken(violation.to_string()), &shrink(plan, shows));
        }
    }

    /// Keeps the shortest schedule of each kind.
    fn note(&mut self, finding: Finding, plan: &Plan) {
        match self.findings.iter_mut().find(|(known, _)| *known == finding) {
            Some((_, known)) if known.steps.len() <= plan.steps.len() => {}
            Some((_, known)) => *known = plan.clone(),
            None => self.findings.push((finding, plan.clone())),
        }
    }
}

impl Setup {
    /// Every split in two with and without the primary's death, every single crash; with each, whether more than half live
    /// together without the primary.
    fn single_faults(&self) -> Vec<(Plan, bool)> {
        let calm = 3 * self.longest(|config| config.poll_interval)
            + self.longest(|config| config.check_interval.max(config.missing_primary_timeout))
            + 2 * SECOND;
        let length = calm
            + self.longest(|config| config.failover_lag)
            + 8 * self.longest(|config| config.poll_interval)
            + 4 * self.longest(|config| config.check_interval)
            + 2 * self.longest(|config| config.poll_timeout)
            + 5 * SECOND;
        let everybody = (1_u32 << self.hosts()) - 1;
        let plan = |deeds: &[Deed]| {
            let steps = deeds.iter().map(|deed| Step { at: calm, deed: *deed }).collect();
            Plan { seed: 1, setup: self.clone(), steps, length, ending: Ending::Abrupt }
        };
        let mut all = Vec::new();
        for death in [Death::Crash, Death::HostDown, Death::Hang] {
            for node in 0..self.node_count() {
                let majority = node == self.primary && self.is_majority_without_primary(everybody);
                all.push((plan(&[Deed::Dies(node, death)]), majority));
            }
        }
        for host in 0..self.hosts() {
            all.push((plan(&[Deed::Daemon(host, false)]), false));
        }
        // Each split once: the last host is always on the other side.
        for group in 1..=everybody / 2 {
            let other = everybody & !group;
            let apart = [group, other]
                .into_iter()
                .any(|side| side >> self.primary & 1 == 0 && self.is_majority_without_primary(side));
            all.push((plan(&[Deed::Split(group)]), apart));
            let dead = [group, other].into_iter().any(|side| self.is_majority_without_primary(side));
            let split = plan(&[Deed::Split(group), Deed::Dies(self.primary, Death::HostDown)]);
            all.push((split, dead));
        }
        all
    }

    /// Are more than half of all hosts on this side, the primary's not counted, and can one of them be promoted.
    fn is_majority_without_primary(&self, side: u32) -> bool {
        let config = self.any_config();
        let living = (0..self.hosts()).filter(|host| side >> host & 1 == 1 && *host != self.primary);
        let able = |host: &HostId| self.nodes.get(*host).is_some_and(|name| !config.never_promote.contains(name));
        2 * living.clone().count() > self.hosts() && living.into_iter().any(|host| able(&host))
    }
}

/// What the cluster is by its make.
fn remarks(setup: &Setup) -> Vec<String> {
    let config = setup.any_config();
    let (nodes, observers) = (setup.node_count(), setup.observers.len());
    let mut remarks = Vec::new();
    if nodes < 2 {
        remarks.push("there is no standby: nothing can be promoted".to_owned());
    }
    if nodes == 2 && observers == 0 {
        remarks.push(match config.quorum {
            QuorumRule::Half => "two nodes and no observer: a standby cannot tell a dead primary from a cut cable, \
                                 and is promoted in both cases; an observer at a third place can tell"
                .to_owned(),
            QuorumRule::Majority => {
                "two nodes and no observer: one of two is no majority, nobody is ever promoted".to_owned()
            }
        });
    }
    let votes = nodes + observers;
    if votes % 2 == 0 && votes > 2 && config.quorum == QuorumRule::Half {
        remarks.push(format!(
            "{votes} votes, and half suffices: an even split can promote on one side while the primary lives on the other; \
             \"failover_quorum\": \"majority\" or another observer ends that"
        ));
    }
    if 2 * observers > votes {
        remarks.push(format!("observers decide: they are {observers} of {votes} votes"));
    }
    remarks.extend(beside(setup));
    remarks
}

/// Observers that live and die with a database.
fn beside(setup: &Setup) -> Option<String> {
    let beside: Vec<_> = setup.observers.iter().filter(|(_, host)| *host < setup.node_count()).collect();
    let pairs: Vec<_> =
        beside.iter().map(|(name, host): &&(_, NodeId)| format!("{name} by {}", setup.host_name(*host))).collect();
    (!pairs.is_empty()).then(|| {
        format!(
            "these observers live on the host of a database, and are lost and cut off with it: {}",
            pairs.join(", ")
        )
    })
}
