//! Bytes from outside, as bad as they come, into every parser: `targets` holds one plain function
//! for each, which panics if something is not as it must be.
//!
//! Here every file of `corpus/TARGET` is given to its target, and then so many variations of these
//! files, drawn from a seed that is printed first. `PGLOOKOUT_FUZZ_SEED=n` repeats a run,
//! `PGLOOKOUT_FUZZ_EXECUTIONS=n` asks for so many variations of each target,
//! `PGLOOKOUT_FUZZ_TARGET=name` is content with one. An input that fails its target is written to a
//! file, whose path is printed; once the fault is mended, the file belongs into the corpus.
//! `tests/fuzz/guided` runs the same functions with a fuzzer that looks for code that no input has
//! reached yet.

// Tests end with a panic; the bans are for the daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod targets;
#[path = "../../src/testing.rs"]
#[allow(
    dead_code,
    reason = "shared with the unit tests, which use another part of it"
)]
mod testing;

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use targets::TARGETS;
use testing::{draws, mutated};

#[test]
fn no_bytes_from_outside_do_harm() {
    let mut draw = draws(
        number("PGLOOKOUT_FUZZ_SEED")
            .unwrap_or(0x2B99_2DDF_A232_49D6)
            .max(1),
    );
    let wanted = std::env::var("PGLOOKOUT_FUZZ_TARGET").ok();
    assert!(
        wanted
            .as_ref()
            .is_none_or(|wanted| TARGETS.iter().any(|(name, ..)| name == wanted)),
        "no such target"
    );
    for (name, target, executions) in TARGETS {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let corpus = corpus(name);
        for input in &corpus {
            check(name, *target, input);
        }
        let executions = number("PGLOOKOUT_FUZZ_EXECUTIONS").unwrap_or(*executions);
        for _ in 0..executions {
            check(
                name,
                *target,
                &mutated(&corpus[draw(corpus.len())], &mut draw),
            );
        }
        println!("{name}: {} files, {executions} variations", corpus.len());
    }
}

/// A folder that no target looks into would be a regression test that never runs.
#[test]
fn every_corpus_has_its_target() {
    let folders = fs::read_dir(corpus_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    for folder in folders.map(|name| name.into_string().unwrap()) {
        assert!(TARGETS.iter().any(|(name, ..)| *name == folder), "{folder}");
    }
}

fn check(name: &str, target: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(|| target(input)) {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&path, input).unwrap();
        println!(
            "{name} fails with the {} bytes of {}",
            input.len(),
            path.display()
        );
        std::panic::resume_unwind(panic);
    }
}

/// The files of one target, in the order of their names: a seed must mean the same everywhere. None
/// is empty.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = corpus_folder().join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(
        !files.is_empty() && files.iter().all(|file| !file.is_empty()),
        "{}",
        folder.display()
    );
    files
}

fn corpus_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap())
}
