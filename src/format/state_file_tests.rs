//! State files of every kind: our own, the original's, torn, old, foreign, odd in places.

use std::time::Duration;

use serde_json::json;

use super::super::fixtures::*;
use super::*;
use crate::lookout::{FailoverOutcome, Process};
use crate::testing::mutations;
use crate::time::Monotonic;

fn written(mono: Option<Monotonic>) -> Vec<u8> {
    state_file(&cluster(), &memory(mono), None, Some("b"), None)
}

fn read(bytes: &[u8], boot_id: Option<&str>) -> Result<Recalled, String> {
    StateFile::read(bytes)?.recall(boot_id)
}

fn recall(file: &str) -> Recalled {
    read(file.as_bytes(), Some("b")).unwrap()
}

/// What is expected of a file in the log.
#[track_caller]
fn check(file: &str, expected: &str) {
    assert_eq!(recall(file).to_string(), expected, "{file}");
}

#[test]
fn what_was_written_is_remembered() {
    let at = Some(Monotonic::from_duration(Duration::from_micros(
        1_234_567_891,
    )));
    let file = written(at);
    let remembered =
        |boot| read(&file, boot).map(|recalled| (recalled.memory, recalled.origin, recalled.odd));
    assert_eq!(
        remembered(Some("b")),
        Ok((memory(at), Origin::ThisBoot, Vec::new()))
    );
    assert_eq!(
        remembered(Some("another")),
        Ok((memory(None), Origin::AnotherBoot, Vec::new()))
    );
    assert_eq!(
        remembered(None),
        Ok((memory(None), Origin::AnotherBoot, Vec::new()))
    );
    let nothing = state_file(
        &ClusterState::default(),
        &Memory::default(),
        None,
        None,
        None,
    );
    assert_eq!(read(&nothing, None).unwrap().memory, Memory::default());
}

#[test]
fn a_restart_is_owed_until_the_machine_is_started() {
    let owed = Memory {
        restart_owed: true,
        ..Memory::default()
    };
    let file = state_file(
        &ClusterState::default(),
        &owed,
        None,
        Some("this boot"),
        None,
    );
    let recalled = |boot| read(&file, boot).unwrap().memory.restart_owed;
    assert!(recalled(Some("this boot")));
    assert!(!recalled(Some("another boot")) && !recalled(None));
}

#[test]
fn a_command_that_was_left_running_is_known_in_its_boot() {
    let mut running = memory(Some(mono(5)));
    let process = Process {
        pid: 4711,
        started: u64::MAX,
    };
    let last = running.failover.as_mut().unwrap();
    (last.outcome, last.process) = (FailoverOutcome::Running, Some(process));
    let file = state_file(&cluster(), &running, None, Some("this boot"), None);
    let recalled = |boot| read(&file, boot).unwrap().memory.failover.unwrap().process;
    assert_eq!(recalled(Some("this boot")), Some(process));
    assert_eq!(
        (recalled(Some("another boot")), recalled(None)),
        (None, None)
    );
    let text = String::from_utf8(file.clone()).unwrap();
    for (pid, started) in [
        ("-1", "1"),
        ("4294967296", "1"),
        ("\"1\"", "1"),
        ("1", "1.5"),
        ("1", "null"),
    ] {
        let odd = text
            .replace("4711", pid)
            .replace(&u64::MAX.to_string(), started);
        let recalled = read(odd.as_bytes(), Some("this boot")).unwrap();
        assert_eq!(recalled.odd, ["memory.failover.process"], "{odd}");
        assert_eq!(
            recalled.memory.failover.map(|last| last.outcome),
            Some(FailoverOutcome::Running)
        );
    }
}

#[test]
fn without_a_boot_id_no_monotonic_time_is_believed() {
    let file = state_file(&cluster(), &memory(Some(mono(5))), None, None, None);
    assert_eq!(read(&file, None).unwrap().memory, memory(None));
}

#[track_caller]
fn original(node: &str, seen: Option<&str>) {
    let file = format!(
        r#"{{"db_nodes": {{"n": {node}}}, "observer_nodes": {{}}, "current_master": null}}"#
    );
    let Recalled {
        memory,
        origin,
        odd,
    } = recall(&file);
    assert_eq!(
        (memory.primary, origin, odd),
        (None, Origin::Original, Vec::new())
    );
    let contact = seen.map(|seen| Contact {
        mono: None,
        wall: wall(seen),
    });
    assert_eq!(memory.contacts.get("n"), contact.as_ref(), "{node}");
}

#[test]
fn a_file_of_the_original_has_the_last_contact() {
    original(PRIMARY, Some("2024-01-01T00:00:05Z"));
    let lost = PRIMARY.replace(r#""connection": true"#, r#""connection": false"#);
    original(&lost, Some("2024-01-01T00:00:05Z"));
    original(
        &lost.replace("05.250000Z", "03.250000Z"),
        Some("2024-01-01T00:00:03.250000Z"),
    );
    original(STANDBY, None);
    original(NEVER_ANSWERED, None);
    original(
        r#"{"a": 0.30000000000000004, "b": 1e-06, "x": {}, "z": [[]]}"#,
        None,
    );
}

#[test]
fn a_file_of_the_original_has_the_standbys() {
    let file =
        format!(r#"{{"db_nodes": {{"p": {PRIMARY}, "s1": {STANDBY}}}, "current_master": "p"}}"#);
    assert_eq!(recall(&file).memory.standbys, BTreeSet::from(["s1".into()]));
    check(
        &file,
        "the primary was p; written by the Python pglookout: all waits start again",
    );
}

#[test]
fn the_remembered_primary_may_have_any_name() {
    let primary = |name: &str| {
        recall(&format!(
            r#"{{"db_nodes": {{}}, "current_master": {name}}}"#
        ))
        .memory
        .primary
    };
    assert_eq!(primary(r#""\u00c4""#), Some("Ä".into()));
    assert_eq!(
        (primary("null"), primary("\"\""), primary("5")),
        (None, None, None)
    );
}

#[test]
fn an_old_file_of_ours_knows_less() {
    // Before standbys and the failover were kept.
    let file = format!(
        r#"{{"db_nodes": {{"p": {PRIMARY}, "s1": {STANDBY}}}, "current_master": "p",
            "memory": {{"boot_id": "b", "primary_contacts": {{"p": {{"monotonic": 5.0, "seen": "2024-01-01T00:00:05Z"}}}}}}}}"#
    );
    let Recalled {
        memory,
        origin,
        odd,
    } = recall(&file);
    assert_eq!((origin, odd), (Origin::ThisBoot, Vec::new()));
    assert_eq!(
        memory.contacts.get("p").and_then(|contact| contact.mono),
        Some(mono(5))
    );
    assert_eq!(
        (memory.standbys, memory.failover, memory.failover_failed),
        (BTreeSet::from(["s1".into()]), None, false)
    );
    check(&file, "the primary was p");
    let rebooted = read(file.as_bytes(), Some("c")).unwrap();
    assert_eq!(
        rebooted.to_string(),
        "the primary was p; written before the last boot: all waits start again"
    );
}

#[test]
fn what_is_odd_takes_nothing_else_along() {
    let file = |memory: &str| {
        format!(
            r#"{{"db_nodes": {{"p": {PRIMARY}, "x": 5}}, "current_master": "p", "memory": {memory}}}"#
        )
    };
    let contacts = BTreeMap::from([(
        "p".into(),
        Contact {
            mono: None,
            wall: wall("2024-01-01T00:00:05Z"),
        },
    )]);
    for memory in ["null", "[1]", r#"{"primary_contacts": 7}"#] {
        assert_eq!(recall(&file(memory)).memory.contacts, contacts, "{memory}");
    }
    let odd = file(
        r#"{"boot_id": "b", "standbys": ["s1", 5], "failover": {"outcome": "odd"}, "primary_contacts":
            {"x": 5, "q": {"seen": "never"}, "y": {"monotonic": -1, "seen": "2024-01-01T00:00:05Z"},
            "z": {"monotonic": 1e300, "seen": "2024-01-01T00:00:05Z"}}}"#,
    );
    let contacts = recall(&odd).memory.contacts;
    assert_eq!(
        contacts.keys().map(NodeName::as_str).collect::<Vec<_>>(),
        ["y", "z"]
    );
    assert!(contacts.values().all(|contact| contact.mono.is_none()));
    check(
        &odd,
        "the primary was p; ignored: db_nodes.x, memory.contacts.q, \
         memory.contacts.x, memory.standbys, memory.failover",
    );
    check(
        r#"{"current_master": "p"}"#,
        "the primary was p; written by the Python pglookout: all waits start again; \
         ignored: db_nodes",
    );
}

#[test]
fn torn_and_foreign_files_are_refused() {
    let file = written(Some(mono(5)));
    for end in 0..file.len() {
        assert!(read(&file[..end], Some("b")).is_err(), "cut at {end}");
    }
    for foreign in [
        "null",
        "[]",
        "[{}, null]",
        "{}",
        "5",
        r#"{"p": {"connection": true}}"#,
        "\0\0\0",
    ] {
        assert!(read(foreign.as_bytes(), None).is_err(), "{foreign}");
    }
    assert!(
        read(&vec![b' '; MAX_STATE_FILE_BYTES + 1], None)
            .unwrap_err()
            .contains("longer than")
    );
}

#[test]
fn no_mutation_panics() {
    mutations(&written(Some(mono(5))), |mutated| {
        let _ = read(mutated, Some("b")).map(|recalled| recalled.to_string());
    });
}

#[test]
fn keys_of_the_original_look_as_it_shows_them() {
    let mut file: Value = serde_json::from_slice(&state_file(
        &cluster(),
        &memory(Some(mono(1))),
        None,
        Some("b"),
        None,
    ))
    .unwrap();
    assert_eq!(
        file["memory"],
        json!({"boot_id": "b",
        "contacts": {"p": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"}}, "standbys": ["s1"],
        "failover": {"primary": "p", "outcome": "succeeded", "monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"},
        "failover_failed": true, "saved": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"},
        "primaries": ["p", "q"], "superseded": {"q": "p"}, "diverged": {"s2": "0/5000070@1"},
        "last_primary": {"node": "p", "lsn": "0/5000060", "timeline": 7,
            "since": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"},
            "at": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"}, "earlier": 40.0},
        "witnesses": {"o1": ["p"]}, "went_first": "s1", "lag_warning": true, "failover_stuck": true,
        "diverged_standby": true, "primary_flapping": true, "primary_not_writing": true,
        "changes": [{"at": "2024-01-01T00:00:05.500Z", "from": "q", "to": "p", "timeline": 7, "lsn": "0/5000060",
            "reason": "primary_unreachable"}], "pause": "h.hq3k9",
        "switchover": {"id": "00000000000000000000000000000007", "to": "s1", "term": 3}})
    );
    assert_eq!(file["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(file["decision"], Value::Null);
    file.as_object_mut()
        .unwrap()
        .retain(|key, _| !["memory", "decision", "version"].contains(&key.as_str()));
    let seen = json!({"connection": true, "fetch_time": "2024-01-01T00:00:05Z",
        "db_time": "2024-01-01T00:00:05.250000Z", "pg_is_in_recovery": true,
        "pg_last_xact_replay_timestamp": "2024-01-01T00:00:04.750000Z", "pg_last_xlog_receive_location": "0/5000060",
        "pg_last_xlog_replay_location": "0/5000060", "replication_time_lag": 0.5});
    let (p, s1): (Value, Value) = (
        serde_json::from_str(PRIMARY).unwrap(),
        serde_json::from_str(STANDBY).unwrap(),
    );
    assert_eq!(
        file,
        json!({"db_nodes": {"p": p, "s1": s1}, "current_master": "p",
        "observer_nodes": {"o1": {"fetch_time": "2024-01-01T00:00:05Z", "connection": true, "s1": seen}}})
    );
}
