//! What is written down is read back and shows no secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::cluster::{
    DaemonState, Identity, Lsn, NodeReport, ObservedNode, ObserverReport, Presence, ProbeFailure,
    ProbeStep, RoleReport,
};
use crate::config::Environment;
use crate::format::{Step, Timeline, read};
use crate::lookout::{
    CommandOutcome, Contact, FailoverOutcome, FollowOutcome, PastFailover, PastPrimary,
    PastSwitchover, PreviousCommand, ProbeId, Process,
};
use crate::time::{Monotonic, WallTime};

pub(super) const USUAL: &str = r#"{"own_db": "s2", "observers": {"o1": "http://o1"}, "failover_command": "promote",
    "remote_conns": {"p": "host=p password=xyzzy", "s1": "host=s1 password=xyzzy", "s2": "host=s2 password=xyzzy"},
    "max_failover_replication_time_lag": 20, "missing_master_from_config_timeout": 3, "over_warning_limit_command": "warn",
    "primary_conninfo_template": "user=u password=xyzzy", "autofollow": true, "pg_start_command": "a",
    "pg_stop_command": "b", "flight_recorder": "/r"}"#;

pub(super) fn config(text: &str) -> Config {
    config::parse(text, &Environment::default()).unwrap().config
}

/// So many microseconds after the start.
pub(super) fn now(micros: u64) -> Now {
    let since = Duration::from_micros(micros);
    Now {
        mono: Monotonic::from_duration(Duration::from_micros(50_000_000_001)) + since,
        wall: WallTime::from_unix_micros(1_714_480_496_789_012) + since,
    }
}

/// A recorder that has just begun.
fn recorder() -> Recorder {
    let mut recorder = Recorder::new(now(0));
    recorder.begin(&config(USUAL), &Memory::default(), now(0));
    recorder
}

pub(super) fn timeline(lines: &str) -> Timeline {
    assert!(!lines.contains("xyzzy"), "a secret: {lines}");
    read(lines)
        .unwrap_or_else(|error| panic!("{error}\n{lines}"))
        .pop()
        .unwrap()
}

/// Everybody is one of ours.
fn state() -> ClusterState {
    let mut state = ClusterState::default();
    state.adopt(&config(USUAL));
    state
}

/// This event, written down 1.234567 s after the start, is read back as this.
#[track_caller]
fn check(event: Event, line: &str, step: &Step) {
    let mut recorder = recorder();
    recorder
        .running
        .insert(CommandId(7), CommandPurpose::Failover);
    recorder.take_lines();
    recorder.push_event(&event, &state(), now(1_234_567));
    let written = recorder.take_lines();
    assert_eq!(written.trim_end(), line);
    recorder.begin(&config(USUAL), &Memory::default(), now(0));
    let timeline = timeline(&(recorder.take_lines() + &written));
    assert_eq!(timeline.lines[0].t, Duration::from_micros(1_234_567));
    assert_eq!(format!("{:?}", timeline.lines[0].step), format!("{step:?}"));
}

pub(super) fn lsn(text: &str) -> Option<Lsn> {
    Some(text.parse().unwrap())
}

#[track_caller]
fn check_node(outcome: Result<NodeReport, ProbeFailure>, line: &str) {
    let event = Event::NodeProbed {
        node: "p".into(),
        probe: Some(ProbeId(3)),
        outcome: outcome.clone(),
    };
    let read = Event::NodeProbed {
        node: "p".into(),
        probe: None,
        outcome,
    };
    check(event, line, &Step::Event(read));
}

#[test]
fn reports_of_nodes_are_read_back() {
    let db_time = now(1_200_000).wall;
    check_node(
        Ok(NodeReport {
            db_time,
            role: RoleReport::Primary {
                lsn: lsn("0/5"),
                slots: Vec::new(),
            },
            identity: Identity::default(),
            daemons: None,
        }),
        r#"{"t":1.234567,"node":"p","report":{"db_time":1.2,"in_recovery":false,"lsn":"0/5"}}"#,
    );
    let role = RoleReport::Standby {
        receive: lsn("0/6"),
        replay: None,
        last_replay: Some(now(0).wall - Duration::from_secs(1)),
    };
    check_node(
        Ok(NodeReport {
            db_time,
            role,
            identity: Identity::default(),
            daemons: None,
        }),
        r#"{"t":1.234567,"node":"p","report":{"db_time":1.2,"in_recovery":true,"last_replay":-1.0,"receive_lsn":"0/6"}}"#,
    );
}

#[test]
fn identity_and_sessions_of_a_server_are_read_back() {
    let session = |daemon: &str, state| Presence {
        daemon: daemon.to_owned(),
        state,
        pause: "h.hq3k9".parse().unwrap(),
        settings: "0a".to_owned(),
        age: Duration::from_millis(1_500),
    };
    check_node(
        Ok(NodeReport {
            db_time: now(1_200_000).wall,
            role: RoleReport::Primary {
                lsn: None,
                slots: Vec::new(),
            },
            identity: Identity {
                system: Some("77".to_owned()),
                started: Some(now(500_000).wall),
                timeline: Some(3),
                ..Identity::default()
            },
            daemons: Some(vec![
                session("s1", DaemonState::Wants(lsn("0/6"))),
                session("s2", DaemonState::NoQuorum),
            ]),
        }),
        concat!(
            r#"{"t":1.234567,"node":"p","report":{"daemons":["#,
            r#"{"age":1.5,"name":"s1","pause":"h.hq3k9","settings":"0a","state":"wants@0/6"},"#,
            r#"{"age":1.5,"name":"s2","pause":"h.hq3k9","settings":"0a","state":"no_quorum"}],"#,
            r#""db_time":1.2,"in_recovery":false,"started":0.5,"system":"77","timeline":3}}"#
        ),
    );
}

#[test]
fn failures_are_read_back() {
    let text = || "said so".to_owned();
    for (failure, name) in [
        (ProbeFailure::Unreachable { reason: text() }, "unreachable"),
        (
            ProbeFailure::AuthenticationRejected { message: text() },
            "authentication",
        ),
        (ProbeFailure::Refused { message: text() }, "refused"),
        (ProbeFailure::NotReady { message: text() }, "not_ready"),
        (ProbeFailure::ProtocolError { reason: text() }, "nonsense"),
    ] {
        check_node(
            Err(failure.clone()),
            &format!(r#"{{"t":1.234567,"failure":"{name}","message":"said so","node":"p"}}"#),
        );
        let line = format!(r#"{{"t":1.234567,"failure":"{name}","lost":"p","message":"said so"}}"#);
        let node = "p".into();
        let event = Event::NodeLost { node, failure };
        check(event.clone(), &line, &Step::Event(event));
    }
    for (step, name) in [
        (ProbeStep::Resolving, "resolving"),
        (ProbeStep::Connecting, "connecting"),
        (ProbeStep::LoggingIn, "logging_in"),
        (ProbeStep::Answering, "answering"),
    ] {
        let line = format!(r#"{{"t":1.234567,"failure":"timed_out","node":"p","step":"{name}"}}"#);
        check_node(Err(ProbeFailure::TimedOut { step }), &line);
    }
}

#[test]
fn reports_of_observers_are_read_back_as_far_as_they_are_about_us() {
    let observed = ObservedNode {
        fetch_time: now(0).wall,
        connection: true,
        db_time: Some(now(5).wall),
        in_recovery: Some(true),
        receive: lsn("0/7"),
        replay: None,
        last_replay: None,
        identity: Identity::default(),
        daemons: None,
    };
    let date = now(1_000_000).wall;
    let report = |names: &[&str]| {
        let nodes = names
            .iter()
            .map(|name| ((*name).into(), observed.clone()))
            .collect();
        Ok(ObserverReport { date, nodes })
    };
    let event = |probe, outcome| Event::ObserverProbed {
        observer: "o1".into(),
        probe,
        outcome,
    };
    check(
        event(Some(ProbeId(4)), report(&["s1", "foreign"])),
        concat!(
            r#"{"t":1.234567,"observer":"o1","report":{"date":1.0,"nodes":{"s1":{"connection":true,"#,
            r#""db_time":"2024-04-30T12:34:56.789017Z","fetch_time":"2024-04-30T12:34:56.789012Z","pg_is_in_recovery":true,"#,
            r#""pg_last_xact_replay_timestamp":null,"pg_last_xlog_receive_location":"0/7","pg_last_xlog_replay_location":null}}}}"#
        ),
        &Step::Event(event(None, report(&["s1"]))),
    );
    let failure = ProbeFailure::Unreachable {
        reason: "gone".to_owned(),
    };
    check(
        event(Some(ProbeId(4)), Err(failure.clone())),
        r#"{"t":1.234567,"failure":"unreachable","message":"gone","observer":"o1"}"#,
        &Step::Event(event(None, Err(failure))),
    );
}

#[test]
fn commands_and_requests_are_read_back() {
    for (outcome, keys) in [
        (CommandOutcome::Exited(3), r#""exit":3"#),
        (CommandOutcome::Killed(9), r#""signal":9"#),
        (CommandOutcome::TimedOut, r#""timed_out":true"#),
        (
            CommandOutcome::NotStarted("no".to_owned()),
            r#""not_started":"no""#,
        ),
    ] {
        let line = format!(r#"{{"t":1.234567,"command":"failover_command",{keys}}}"#);
        let event = Event::CommandExited {
            id: CommandId(7),
            outcome: outcome.clone(),
        };
        check(
            event,
            &line,
            &Step::Command(CommandPurpose::Failover, outcome),
        );
    }
    for (outcome, line) in [
        (
            FollowOutcome::Changed,
            r#"{"t":1.234567,"follow_prepared":"changed"}"#,
        ),
        (
            FollowOutcome::Unchanged,
            r#"{"t":1.234567,"follow_prepared":"unchanged"}"#,
        ),
        (
            FollowOutcome::Failed("no".to_owned()),
            r#"{"t":1.234567,"follow_prepared":"failed","message":"no"}"#,
        ),
        (
            FollowOutcome::Unknown("no".to_owned()),
            r#"{"t":1.234567,"follow_prepared":"unknown","message":"no"}"#,
        ),
        (
            FollowOutcome::NotAStandby("x".to_owned()),
            r#"{"t":1.234567,"follow_prepared":"not_a_standby","message":"x"}"#,
        ),
    ] {
        let event = Event::FollowPrepared(outcome);
        check(event.clone(), line, &Step::Event(event));
    }
    for (event, line) in [
        (
            Event::CheckRequested,
            r#"{"t":1.234567,"check_requested":true}"#,
        ),
        (
            Event::HostSlept(std::time::Duration::from_micros(1_500_001)),
            r#"{"t":1.234567,"host_slept_micros":1500001}"#,
        ),
        (
            Event::PreviousCommand(PreviousCommand::Ended),
            r#"{"t":1.234567,"previous_command":"ended"}"#,
        ),
        (
            Event::PreviousCommand(PreviousCommand::Unobservable),
            r#"{"t":1.234567,"previous_command":"unobservable"}"#,
        ),
    ] {
        check(event.clone(), line, &Step::Event(event));
    }
}

#[test]
fn a_reload_is_read_back_and_reports_that_a_password_was_changed() {
    let mut recorder = recorder();
    for (micros, password) in [(1, "xyzzy"), (2, "new-xyzzy"), (3, "new-xyzzy")] {
        let changed = config(&USUAL.replace(
            "host=s1 password=xyzzy",
            &format!("host=s1 password={password}"),
        ));
        recorder.push_event(
            &Event::ConfigLoaded(Arc::new(changed)),
            &state(),
            now(micros),
        );
    }
    let timeline = timeline(&recorder.take_lines());
    let mut nodes = vec![&timeline.config.nodes];
    nodes.extend(timeline.lines.iter().filter_map(|line| match &line.step {
        Step::Event(Event::ConfigLoaded(config)) => Some(&config.nodes),
        _ => None,
    }));
    let changed: Vec<_> = nodes.windows(2).map(|pair| pair[0] != pair[1]).collect();
    assert_eq!(changed, [false, true, false]);
    assert_eq!(
        timeline.config.failover_command,
        config(USUAL).failover_command
    );
}

#[test]
fn a_header_has_what_was_remembered_and_maintenance() {
    let contact = |mono: Option<u64>| Contact {
        mono: mono.map(|micros| now(micros).mono),
        wall: now(5).wall,
    };
    let memory = Memory {
        primary: Some("p".into()),
        contacts: BTreeMap::from([("p".into(), contact(Some(1))), ("q".into(), contact(None))]),
        standbys: ["s1".into()].into(),
        restart_owed: true,
        failover: Some(PastFailover {
            primary: Some("p".into()),
            outcome: FailoverOutcome::Running,
            mono: Some(now(7).mono),
            wall: now(8).wall,
            process: Some(Process {
                pid: 77,
                started: u64::MAX,
            }),
        }),
        failover_failed: true,
        saved: Some(contact(Some(9))),
        primaries: ["p".into(), "q".into()].into(),
        superseded: [("q".into(), "p".into())].into(),
        diverged: [("s1".into(), "0/7".parse().unwrap())].into(),
        last_primary: Some(PastPrimary {
            node: "p".into(),
            lsn: lsn("0/5"),
            timeline: Some(7),
            since: contact(Some(2)),
            at: contact(None),
            earlier: Duration::from_secs(3),
        }),
        witnesses: [("o1".into(), ["p".into()].into())].into(),
        went_first: Some("s1".into()),
        lag_warning: true,
        failover_stuck: true,
        diverged_standby: true,
        primary_flapping: true,
        primary_not_writing: true,
        changes: Vec::new(),
        pause: "3.hq3k9".parse().unwrap(),
        switchover: Some(PastSwitchover {
            id: crate::votes::Nonce(7),
            to: "s1".into(),
            term: 3,
        }),
    };
    let mut recorder = recorder();
    recorder.push_turn(true, None, now(9));
    recorder.begin(&config(USUAL), &memory, now(1_500_000));
    let timeline = timeline(&recorder.take_lines());
    assert_eq!(timeline.name, "s2 2024-04-30T12:34:58.289012Z");
    assert_eq!(
        (timeline.start, &timeline.memory),
        (now(1_500_000), &memory)
    );
    assert!(matches!(timeline.lines[0].step, Step::Maintenance(true)));
}

#[test]
fn turns_report_what_was_decided_and_clocks_are_set_where_they_were() {
    let mut recorder = recorder();
    recorder.take_lines();
    let stepped = |micros: u64| Now {
        wall: now(micros).wall + Duration::from_secs(3600),
        ..now(micros)
    };
    recorder.push_turn(false, None, now(1_000_000));
    recorder.push_turn(
        true,
        Some(&Verdict::Observing { primary: None }),
        stepped(2_000_000),
    );
    recorder.end(stepped(2_500_000));
    assert_eq!(
        recorder.take_lines(),
        concat!(
            "{\"t\":1.0,\"turn\":true}\n",
            "{\"t\":2.0,\"wall\":3602.0}\n",
            "{\"t\":2.0,\"maintenance\":true}\n",
            "{\"t\":2.0,\"reason\":\"observing\",\"turn\":true,\"verdict\":\"observing\"}\n",
            "{\"t\":2.5,\"end\":true}\n"
        )
    );
}
