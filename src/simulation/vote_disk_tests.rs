use std::time::Duration;

use super::*;
use crate::votes::{Mandate, Nonce};

const BY: ProcessId = ProcessId { host: 0, number: 0 };

fn list() -> VoterList {
    VoterList {
        generation: 1,
        names: ["a", "b", "c"].map(VoterName::from).into(),
    }
}

fn disk() -> VoteDisk {
    VoteDisk::new(ClusterName::from("main"), VoterName::from("a"), list())
}

fn vote(term: u64) -> Record {
    Record {
        term,
        voted_for: Some(Mandate {
            candidate: VoterName::from("b"),
            nonce: Nonce(u128::from(term)),
        }),
        promise: Duration::from_secs(3),
        ..Record::new(list())
    }
}

/// The term that a reader finds.
fn term(disk: &mut VoteDisk) -> Result<u64, String> {
    disk.read().map(|record| record.term)
}

fn write(disk: &mut VoteDisk, term: u64) {
    let record = vote(term);
    disk.begin(BY, SaveId(term), record);
    disk.rename();
}

#[test]
fn what_is_not_synced_survives_a_power_loss_or_not() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut disk = disk();
        write(&mut disk, 1);
        disk.end(true);
        write(&mut disk, 2);
        disk.power_loss(&mut Rng::new(seed));
        found.push(term(&mut disk).unwrap());
        // Whatever was there once stays.
        disk.power_loss(&mut Rng::new(seed + 1));
        assert_eq!(Some(&term(&mut disk).unwrap()), found.last());
    }
    assert!(found.contains(&1) && found.contains(&2), "{found:?}");
}

#[test]
fn nobody_reads_while_a_former_process_writes() {
    let mut disk = disk();
    write(&mut disk, 1);
    assert!(term(&mut disk).is_err());
    disk.end_of_process(false);
    assert!(term(&mut disk).is_err());
    disk.end_of_process(true);
    assert_eq!(term(&mut disk), Ok(1));
    write(&mut disk, 2);
    disk.mark(true);
    disk.end_of_process(false);
    assert_eq!(term(&mut disk), Ok(2));
}

#[test]
fn what_was_read_survives_a_power_loss() {
    for seed in 0..20 {
        let mut disk = disk();
        write(&mut disk, 1);
        disk.end_of_process(true);
        assert_eq!(term(&mut disk), Ok(1));
        disk.power_loss(&mut Rng::new(seed));
        assert_eq!(term(&mut disk), Ok(1));
    }
}

#[test]
fn a_file_that_is_lost_or_torn_is_none_and_an_older_copy_is_one() {
    let mut disk = disk();
    for term in 1..=3 {
        write(&mut disk, term);
        disk.end(true);
    }
    let mut torn = disk.clone();
    torn.tear();
    assert!(term(&mut torn).is_err());
    let mut lost = disk.clone();
    lost.lose();
    assert!(term(&mut lost).is_err());
    for seed in 0..20 {
        let mut put_back = disk.clone();
        put_back.put_back(&mut Rng::new(seed));
        assert!(term(&mut put_back).unwrap() < 3, "{seed}");
    }
}
