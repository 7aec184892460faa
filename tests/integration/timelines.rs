//! The decision against timelines of the original and of the rules: those kept with this project,
//! and the full set of the reference where it is at hand.

use std::path::{Path, PathBuf};

use pglookout::format::read;
use pglookout::replay::{Tally, verify};

#[test]
fn every_decision_of_the_timelines_kept_here_is_made() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines"));
}

#[test]
fn every_decision_of_the_full_reference_is_made() {
    // Not part of a clone: not to have it is no fault of a machine, whatever may not be skipped there.
    match full_reference() {
        Ok(folder) => check(&folder),
        Err(reason) => println!("skipped: {reason}"),
    }
}

/// Where the full set is: `PGLOOKOUT_TIMELINES`, or beside the checkout.
fn full_reference() -> Result<PathBuf, String> {
    let named = std::env::var_os("PGLOOKOUT_TIMELINES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/timelines-second")
    });
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!("no timelines in {}", folder.display()))
    }
}

#[track_caller]
fn check(folder: &Path) {
    let mut tally = Tally::default();
    for file in files(folder) {
        let timelines = read(&std::fs::read_to_string(&file).unwrap());
        let timelines = timelines.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        verify(&timelines, &mut tally).unwrap();
    }
    tally
        .differences
        .iter()
        .for_each(|difference| println!("{difference}"));
    println!("{tally}");
    let Tally {
        timelines,
        checks,
        differ,
        ..
    } = tally;
    assert!(
        timelines > 100 && checks > 1_000,
        "there are too few of them in {}",
        folder.display()
    );
    assert!(differ == 0, "{differ} checks differ, see above");
}

/// The timeline files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    files
}
