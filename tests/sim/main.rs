//! The seeded simulator: whole clusters under virtual time, and what must never be.
//!
//! `PGLOOKOUT_SIM_SEED=n` runs one schedule and prints it; `PGLOOKOUT_SIM_SCHEDULES=n` runs so
//! many, however long it takes; `PGLOOKOUT_SIM_COLLECT` counts what fails instead of ending with the
//! first; `PGLOOKOUT_SIM_FIRST=n` begins with another seed; `PGLOOKOUT_SIM_ONLY` leaves out what has no
//! `switchovers`, no `lists` that change, or nothing that `sleeps`, or nothing of these (`new`); what fails is
//! written to `PGLOOKOUT_SIM_OUT`, a directory, as timelines.

// Tests read clocks and end with a panic; the bans are for the daemon.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod announcing;
mod assumptions;
mod calm;
mod counts;
mod courses;
mod elections;
mod handovers;
mod holders;
mod judge;
mod kinds;
mod leases;
mod list_changes;
mod lists;
mod majority;
mod objections;
mod renewals;
mod switchovers;
mod table;
mod three_servers;
mod timelines;
mod truth;
mod violation;
mod voters;
mod worlds;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use assumptions::Assumptions;
use counts::Counts;
use judge::{Judgement, judge};
use pglookout::simulation::{Fault, Generator, LeaseFault, Plan, Step, shrink};
use table::Table;
use violation::Violation;

#[test]
fn no_schedule_shows_what_must_never_be() {
    if let Some(seed) = number("PGLOOKOUT_SIM_SEED") {
        let plan = Generator::default().plan(seed);
        println!("seed {seed}\n{}", plan.text());
        let judgement = judge(&plan);
        println!("{judgement:#?}");
        accept(&plan, &judgement);
        return;
    }
    let first = number("PGLOOKOUT_SIM_FIRST").unwrap_or(1);
    let asked = number("PGLOOKOUT_SIM_SCHEDULES");
    println!("seeds from {first}");
    let tally = many(
        first,
        asked.unwrap_or(10_000),
        asked.is_none().then_some(Duration::from_secs(60)),
    );
    println!("{tally:#?}");
    // A world in which nothing happens proves nothing.
    assert!(
        tally.schedules < 5_000 || tally.promotions * 4 > tally.schedules,
        "hardly any promotion"
    );
    assert!(
        tally.schedules < 5_000 || tally.clean_deaths * 20 > tally.schedules,
        "hardly any clean death"
    );
}

#[derive(Debug, Default)]
struct Tally {
    schedules: u64,
    seconds: f64,
    per_second: f64,
    decisions: u64,
    promotions: u64,
    schedules_with_two_promotions_in_one_outage: u64,
    clean_deaths: u64,
    longest_to_promotion: f64,
    table: Table,
    schedules_that_vote: u64,
    elections: Counts,
    leases: leases::Counts,
    switchovers: switchovers::Counts,
    lists: lists::Counts,
    assumptions: Assumptions,
    violations: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    /// The first seed of each violation, and how often it was found.
    fn collect(&mut self, seed: u64, violation: &Violation) {
        let (_, count) = self.violations.entry(violation.name()).or_insert((seed, 0));
        *count += 1;
        println!("seed {seed}: {violation}");
    }
}

fn many(first: u64, schedules: u64, patience: Option<Duration>) -> Tally {
    let (generator, begun) = (Generator::default(), Instant::now());
    let collects = std::env::var_os("PGLOOKOUT_SIM_COLLECT").is_some();
    let mut tally = Tally::default();
    for seed in first..first + schedules {
        if patience.is_some_and(|patience| begun.elapsed() > patience) {
            break;
        }
        let plan = generator.plan(seed);
        if !is_wanted(&plan) {
            continue;
        }
        let judgement = judge(&plan);
        match &judgement.violation {
            Some((_, violation)) if collects => tally.collect(seed, violation),
            _ => accept(&plan, &judgement),
        }
        tally.table.add(&judgement.table);
        tally.schedules_that_vote += u64::from(plan.setup.voting().is_some());
        tally.elections.add(&judgement.elections);
        tally.leases.add(&judgement.leases);
        tally.switchovers.add(&judgement.switchovers);
        tally.lists.add(&judgement.elections.lists);
        tally.assumptions.add(&judgement.assumptions);
        if collects && judgement.table.beside_a_streaming_primary > 0 {
            println!("seed {seed}: beside a streaming primary");
        }
        let outcome = judgement.outcome;
        tally.schedules += 1;
        tally.decisions += judgement.decisions;
        tally.promotions += outcome.promotions.0.len() as u64;
        tally.schedules_with_two_promotions_in_one_outage +=
            u64::from(outcome.promotions.has_rivals());
        if let Some(took) = outcome.time_to_promotion {
            tally.clean_deaths += 1;
            tally.longest_to_promotion = tally
                .longest_to_promotion
                .max(Duration::from_micros(took).as_secs_f64());
        }
    }
    tally.seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for printing")]
    {
        tally.per_second = tally.schedules as f64 / tally.seconds;
    }
    tally
}

fn accept(plan: &Plan, judgement: &Judgement) {
    let Some((at, violation)) = &judgement.violation else {
        return;
    };
    let shows = |plan: &Plan| {
        let found = judge(plan).violation;
        found.is_some_and(|(_, found)| found.is_like(violation))
    };
    let short = shrink(plan, shows);
    let (short_at, found) = judge(&short).violation.unwrap();
    let timelines = timelines::write(&short, &found.hosts(&short.setup));
    panic!(
        "seed {} at {:?}: {violation}\nshortest schedule, at {:?}: {found}\n{}\npglookout replay --text {}",
        plan.seed,
        Duration::from_micros(*at),
        Duration::from_micros(short_at),
        short.text(),
        timelines.display()
    );
}

/// Of schedules of all kinds, or of those that `PGLOOKOUT_SIM_ONLY` names.
fn is_wanted(plan: &Plan) -> bool {
    let switchovers = plan.setup.any_config().demotion().is_some();
    let is_sleep = |step: &Step| matches!(step.fault, Fault::Leases(LeaseFault::Sleeps(..)));
    let lists = !plan.setup.lists.is_empty();
    let sleeps = plan.steps.iter().any(is_sleep);
    match std::env::var("PGLOOKOUT_SIM_ONLY").as_deref() {
        Ok("switchovers") => switchovers,
        Ok("sleeps") => sleeps,
        Ok("lists") => lists,
        Ok("new") => switchovers || sleeps || lists,
        Ok(other) => panic!("PGLOOKOUT_SIM_ONLY: {other}"),
        Err(_) => true,
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap())
}
