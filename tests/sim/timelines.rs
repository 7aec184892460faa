//! A schedule told as timelines: what `pglookout replay --text` explains and `--verify` decides
//! once more.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pglookout::format::read;
use pglookout::replay::{Tally, decisions, verify};
use pglookout::simulation::{Generator, HostId, Plan, record, run};

use crate::judge::judge;

/// Writes the timelines of these hosts into `PGLOOKOUT_SIM_OUT`, or into the tests' own directory.
pub(crate) fn write(plan: &Plan, hosts: &[HostId]) -> PathBuf {
    let folder =
        std::env::var_os("PGLOOKOUT_SIM_OUT").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let path = PathBuf::from(folder).join(format!("seed-{}.jsonl", plan.seed));
    std::fs::write(&path, record(plan, hosts))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

#[test]
fn every_decision_of_a_schedule_is_made_again_from_its_timelines() {
    let generator = Generator::default();
    let (mut checks, mut timelines) = (0, 0);
    for seed in 1..=150 {
        let plan = generator.plan(seed);
        let everybody: Vec<_> = (0..plan.setup.hosts()).collect();
        let mut tally = Tally::default();
        verify(&read(&record(&plan, &everybody)).unwrap(), &mut tally).unwrap();
        assert_eq!(tally.differ, 0, "seed {seed}: {:#?}", tally.differences);
        assert_eq!(
            tally.checks as u64,
            judge(&plan).decisions,
            "seed {seed}: {tally}"
        );
        checks += tally.checks;
        timelines += tally.timelines;
    }
    println!("{timelines} timelines, {checks} decisions");
    assert!(
        timelines > 500 && checks > 3_000,
        "{timelines} timelines, {checks} decisions"
    );
}

#[test]
fn a_promotion_is_explained_from_its_timeline() {
    let generator = Generator::default();
    let plans = (1..).map(|seed| generator.plan(seed));
    // By a daemon that was never started again, and at the time of the decision: no election follows.
    let is_alone = |plan: &Plan, host: HostId| {
        !plan.setup.elects() && read(&record(plan, &[host])).unwrap().len() == 1
    };
    let mut promotions = plans.filter_map(|plan| Some((*run(&plan).promotions.0.first()?, plan)));
    let (promotion, plan) = promotions
        .find(|(promotion, plan)| is_alone(plan, promotion.host))
        .unwrap();
    let name = plan.setup.host_name(promotion.host);
    let path = write(&plan, &[promotion.host]);
    let timelines = read(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let decided = decisions(&timelines[0]).unwrap();
    let promoted = decided
        .iter()
        .find(|outcome| outcome.line.verdict == "promote")
        .unwrap();
    assert_eq!(
        Duration::from_secs_f64(promoted.line.t),
        Duration::from_micros(promotion.began)
    );
    let (verified, code) = replay("--verify", &path);
    assert!(
        verified.ends_with(" 0 differ\n") && code == Some(0),
        "{verified}"
    );
    let (story, code) = replay("--text", &path);
    assert!(
        story.contains(&format!("  promoting {name} at ")) && code == Some(0),
        "{story}"
    );
    assert!(story.contains("  command: promote\n"), "{story}");
}

fn replay(option: &str, path: &std::path::Path) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_pglookout"))
        .arg("replay")
        .arg(option)
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.code(),
    )
}
