//! p holds term 1 and is switched over to s1; the voters are p, s1 and s2.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::cluster::{Identity, NodeReport, ProbeFailure, RoleReport};
use crate::config::CommandLine;
use crate::lookout::votes_tests::{World, commands, primary, requests};
use crate::lookout::{Event, GivenTurn};
use crate::votes::{Answer, ExchangeId, Kind, Nonce, Position, Request, SaveId};

/// Since 1 s p has a lease until 21 s.
fn holder() -> World {
    let mut world = World::with_leases("p");
    let mut config = (**world.lookout.config()).clone();
    let command = |word: &str| CommandLine {
        argv: vec![word.to_owned()],
    };
    config.voting.as_mut().unwrap().demotion = Some(DemoteSettings {
        command: command("demote"),
        timeout: Duration::from_secs(30),
        max_lag: 1000,
        data_directory: PathBuf::from("/data"),
        start_command: command("start"),
    });
    world.event(Event::ConfigLoaded(Arc::new(config)));
    world.file_read(Some(1));
    let asked = requests(&deadlines(&mut world, 1.0));
    let asked = requests(&world.answer(&asked[0], None));
    world.answer(&asked[0], None);
    assert!(world.lookout.gate(world_now(&world)).unwrap().is_ok());
    world
}

fn world_now(world: &World) -> Monotonic {
    crate::lookout::votes_tests::now(world.seconds).mono
}

fn deadlines(world: &mut World, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    world.event(Event::Turn(GivenTurn::Deadlines))
}

fn ask(world: &mut World, id: u128, dry_run: bool, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    let effects = world.event(Event::SwitchoverRequested(SwitchoverRequest {
        id: Nonce(id),
        to: "s1".into(),
        dry_run,
    }));
    let round = deadlines(world, seconds);
    [effects, round].concat()
}

fn at(bytes: u64) -> Option<Lsn> {
    Some(Lsn::from_bytes(bytes))
}

fn standby(receive: u64, replay: u64) -> RoleReport {
    RoleReport::Standby {
        receive: at(receive),
        replay: at(replay),
        last_replay: None,
    }
}

fn polled(world: &mut World, node: &str, role: Option<RoleReport>) -> Vec<Effect> {
    let from = world.effects.len();
    world.polled(node, role);
    world.effects[from..].to_vec()
}

/// s1 renews.
fn renewed(world: &mut World, asked: &[Effect], willing: bool) -> Vec<Effect> {
    let asked = requests(asked);
    let request = asked.iter().find(|it| it.to.as_str() == "s1").unwrap();
    assert_eq!(request.kind, Kind::Renew);
    world.event(Event::VoteAnswered {
        cluster: "main".into(),
        voter: "s1".into(),
        of: (request.nonce, request.kind),
        outcome: Ok(Answer {
            cluster: "main".into(),
            from: "s1".into(),
            to: "p".into(),
            kind: request.kind,
            nonce: request.nonce,
            refusal: None,
            wait: None,
            term: 1,
            voted_for: Some("p".into()),
            position: None,
            willing,
            fences: Some(true),
            list: request.list.clone(),
            news: request.news.clone(),
            is_free: false,
        }),
    })
}

fn control(world: &mut World, state: DatabaseState, checkpoint: u64) -> Vec<Effect> {
    world.event(Event::ControlRead(Ok(ControlData {
        system: "7".to_owned(),
        state,
        checkpoint: Lsn::from_bytes(checkpoint),
        has_pid_file: state == DatabaseState::InProduction,
    })))
}

/// All that S1 asks for.
fn fulfil(world: &mut World, asked: &[Effect]) -> Vec<Effect> {
    control(world, DatabaseState::InProduction, 40);
    polled(world, "p", Some(primary()));
    polled(world, "s1", Some(standby(79, 79)));
    polled(world, "s1", Some(standby(80, 80)));
    renewed(world, asked, true)
}

fn run(effects: &[Effect], purpose: CommandPurpose) -> CommandId {
    let mut run = effects.iter().filter_map(Effect::purpose);
    run.find(|(found, _)| *found == purpose).unwrap().1
}

/// The command of a switchover at 5 s.
fn demoting() -> (World, CommandId) {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    assert!(asked.contains(&Effect::ReadControl("/data".into())));
    let effects = fulfil(&mut world, &asked);
    assert_eq!(commands(&effects), [["demote"]]);
    let id = run(&effects, CommandPurpose::Demote);
    (world, id)
}

/// The server is shut down, its last checkpoint at 90.
fn stopped() -> World {
    let (mut world, id) = demoting();
    world.seconds = 6.0;
    let effects = exited(&mut world, id, 0);
    assert!(effects.contains(&Effect::ReadControl("/data".into())));
    assert!(commands(&control(&mut world, DatabaseState::ShutDown, 90)).is_empty());
    assert!(commands(&polled(&mut world, "p", None)).is_empty());
    world
}

#[test]
fn s3_nothing_is_released_before_our_server_was_polled_nor_while_it_runs() {
    let (mut world, id) = demoting();
    exited(&mut world, id, 0);
    control(&mut world, DatabaseState::ShutDown, 90);
    let effects = polled(&mut world, "s1", Some(standby(120, 120)));
    assert_eq!(saved_term(&effects), None);
    let effects = polled(&mut world, "p", Some(primary()));
    assert_eq!((saved_term(&effects), commands(&effects).len()), (None, 0));
    polled(&mut world, "p", Some(primary()));
    ended(
        &world,
        SwitchoverState::Aborted,
        "this server was started again; this server is the primary",
    );
}

fn exited(world: &mut World, id: CommandId, status: i32) -> Vec<Effect> {
    let outcome = CommandOutcome::Exited(status);
    world.event(Event::CommandExited { id, outcome })
}

#[track_caller]
fn ended(world: &World, state: SwitchoverState, sentence: &str) {
    let switchover = world.lookout.switchover().unwrap();
    let last = &switchover.steps().last().unwrap().text;
    assert_eq!(switchover.state(), state, "{last}");
    assert!(last.contains(sentence), "{last}");
}

fn saved_term(effects: &[Effect]) -> Option<(SaveId, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SaveVote { id, record, .. } => Some((*id, record.held_term)),
        _ => None,
    })
}

#[test]
fn s1_everything_is_looked_at_anew_and_a_dry_run_changes_nothing() {
    let mut world = holder();
    deadlines(&mut world, 5.0);
    for (node, role) in [
        ("p", primary()),
        ("s1", standby(80, 80)),
        ("s2", standby(80, 80)),
    ] {
        polled(&mut world, node, Some(role));
    }
    let asked = ask(&mut world, 1, true, 5.2);
    assert_eq!(requests(&asked).len(), 2);
    let is_polled = |effect: &Effect| match effect {
        Effect::ProbeNode { node, .. } => Some(node.to_string()),
        _ => None,
    };
    let of: Vec<_> = asked.iter().filter_map(is_polled).collect();
    assert_eq!(of[..2], ["p", "s1"]);
    let before = world.lookout.switchover().unwrap().state();
    assert_eq!(before, SwitchoverState::Running);
    let effects = fulfil(&mut world, &asked);
    assert!(commands(&effects).is_empty());
    ended(&world, SwitchoverState::Possible, "nothing was changed");
    let steps = world.lookout.switchover().unwrap().steps();
    let texts: Vec<_> = steps.iter().map(|step| step.text.as_str()).collect();
    assert!(texts.contains(
        &"lag: ok: s1 is 0 bytes behind, 0 in replay, the limit is switchover_max_lag, 1000"
    ));
    assert!(
        texts[..texts.len() - 1]
            .iter()
            .all(|text| text.contains(": ok: ")),
        "{texts:?}"
    );
    // The same request is none, another is.
    assert!(requests(&ask(&mut world, 1, false, 6.0)).is_empty());
    assert_eq!(requests(&ask(&mut world, 2, false, 6.0)).len(), 2);
}

#[test]
fn s1_what_is_not_met_in_time_refuses() {
    let check = |receive: u64, willing: bool, name: &str| {
        let mut world = holder();
        let asked = ask(&mut world, 1, false, 5.0);
        control(&mut world, DatabaseState::InProduction, 40);
        polled(&mut world, "p", Some(primary()));
        polled(&mut world, "s1", Some(standby(79, 79)));
        polled(&mut world, "s1", Some(standby(receive, receive)));
        renewed(&mut world, &asked, willing);
        let running = world.lookout.switchover().unwrap().state();
        assert_eq!(running, SwitchoverState::Running);
        let effects = deadlines(&mut world, 10.0);
        assert!(commands(&effects).is_empty());
        ended(&world, SwitchoverState::Refused, name);
        assert!(world.lookout.gate(world_now(&world)).unwrap().is_ok());
    };
    check(80, false, "would not promote its server");
    check(
        79,
        true,
        "s1 has received 0/4F, and 0/4F at first; p had written 0/50",
    );
}

/// Which of two primaries is to be kept is an operator's to decide first.
#[test]
fn s1_another_primary_refuses() {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    polled(&mut world, "s2", Some(primary()));
    assert!(commands(&fulfil(&mut world, &asked)).is_empty());
    deadlines(&mut world, 10.0);
    ended(
        &world,
        SwitchoverState::Refused,
        "s2 answers as a primary, too",
    );
}

/// One that was cut off on another branch of history has more, and gets nothing.
#[test]
fn s1_one_that_is_further_and_stands_still_does_not_stream() {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    control(&mut world, DatabaseState::InProduction, 40);
    polled(&mut world, "p", Some(primary()));
    for _ in 0..3 {
        polled(&mut world, "s1", Some(standby(500, 500)));
    }
    renewed(&mut world, &asked, true);
    deadlines(&mut world, 10.0);
    ended(
        &world,
        SwitchoverState::Refused,
        "s1 has received 0/1F4, and 0/1F4 at first",
    );
}

#[test]
fn s1_a_lag_at_the_limit_refuses() {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    control(&mut world, DatabaseState::InProduction, 40);
    polled(&mut world, "p", Some(primary()));
    let far = RoleReport::Primary {
        lsn: at(1080),
        slots: Vec::new(),
    };
    polled(&mut world, "p", Some(far));
    renewed(&mut world, &asked, true);
    polled(&mut world, "s1", Some(standby(80, 80)));
    // It has what was written when this began, and streams.
    let effects = polled(&mut world, "s1", Some(standby(1080, 80)));
    assert!(commands(&effects).is_empty());
    let effects = polled(&mut world, "s1", Some(standby(1080, 81)));
    assert_eq!(commands(&effects), [["demote"]]);
}

#[test]
fn s1_what_no_waiting_changes_refuses_at_once() {
    let check = |to: &str, sentence: &str| {
        let mut world = holder();
        let to = to.into();
        let id = Nonce(1);
        world.event(Event::SwitchoverRequested(SwitchoverRequest {
            id,
            to,
            dry_run: false,
        }));
        ended(&world, SwitchoverState::Refused, sentence);
    };
    check("p", "p is this node");
    check("x", "x is not in remote_conns");
    let mut world = World::with_leases("p");
    ask(&mut world, 1, false, 5.0);
    ended(
        &world,
        SwitchoverState::Refused,
        "demote_command is not set",
    );
}

#[test]
fn s2_the_lease_is_renewed_while_the_server_is_stopped_and_nobody_starts_it() {
    let (mut world, _) = demoting();
    let closed = world.lookout.gate(world_now(&world)).unwrap();
    assert_eq!(
        closed,
        Err("the server of term 1 is being stopped".to_owned())
    );
    polled(&mut world, "p", None);
    // For longer than the limit after which a server is given up, and than the lease.
    for seconds in [7.5, 10.0, 12.5, 15.0, 17.5, 20.0, 22.5, 25.0, 27.5] {
        let effects = deadlines(&mut world, seconds);
        assert!(commands(&effects).is_empty(), "{seconds}");
        renewed(&mut world, &effects, true);
        polled(&mut world, "p", None);
    }
    let state = world.lookout.switchover().unwrap().state();
    assert_eq!(state, SwitchoverState::Running);
}

#[test]
fn s3_the_term_is_released_for_who_has_everything() {
    let mut world = stopped();
    // The checkpoint itself is part of it.
    assert_eq!(
        saved_term(&polled(&mut world, "s1", Some(standby(120, 90)))),
        None
    );
    let effects = polled(&mut world, "s1", Some(standby(120, 120)));
    let (id, term) = saved_term(&effects).unwrap();
    assert_eq!(term, 0);
    assert!(effects.contains(&Effect::ArmGuard(None)) && requests(&effects).is_empty());
    let released = requests(&world.saved(id, true));
    let to: Vec<_> = released
        .iter()
        .map(|it| (it.kind, it.successor.clone()))
        .collect();
    let expected = (Kind::Release, Some("s1".into()));
    assert_eq!(to, [expected.clone(), expected]);
    assert!(world.lookout.gate(world_now(&world)).unwrap().is_err());
    // It is done once s1 has won, and is seen as the primary.
    polled(&mut world, "s1", Some(primary()));
    let vote = Request {
        from: "s1".into(),
        to: "p".into(),
        kind: Kind::Vote,
        term: 2,
        nonce: Nonce(9),
        mandate: Nonce(9),
        position: Some(Position {
            timeline: None,
            lsn: Lsn::from_bytes(120),
        }),
        successor: None,
        ..released[0].clone()
    };
    let id = ExchangeId(1);
    let effects = world.event(Event::VoteRequested { id, request: vote });
    let save = saved_term(&effects).unwrap().0;
    world.saved(save, true);
    ended(
        &world,
        SwitchoverState::Done,
        "s1 holds term 2, and is the primary",
    );
}

#[test]
fn s3_one_that_does_not_get_everything_in_time_is_no_successor() {
    let mut world = stopped();
    let round = deadlines(&mut world, 7.5);
    renewed(&mut world, &round, true);
    polled(&mut world, "s1", Some(standby(90, 90)));
    let round = deadlines(&mut world, 10.0);
    renewed(&mut world, &round, true);
    let round = deadlines(&mut world, 16.0);
    renewed(&mut world, &round, true);
    // Our own server is asked before it is started, and may be started again. What was asked before
    // says nothing.
    assert!(world.lookout.gate(world_now(&world)).unwrap().is_ok());
    assert!(commands(&polled(&mut world, "p", None)).is_empty());
    let effects = polled(&mut world, "p", None);
    assert_eq!(commands(&effects), [["start"]]);
    let id = run(&effects, CommandPurpose::FollowStart);
    world.seconds = 17.0;
    exited(&mut world, id, 0);
    polled(&mut world, "p", Some(primary()));
    ended(
        &world,
        SwitchoverState::Aborted,
        "s1 has replayed 0/5A after 10 s, 0/5A is needed; this server is the primary, under term 1",
    );
}

#[test]
fn s2_a_command_that_fails_leads_back() {
    let (mut world, id) = demoting();
    world.seconds = 6.0;
    assert!(commands(&exited(&mut world, id, 1)).is_empty());
    let effects = polled(&mut world, "p", Some(primary()));
    assert!(commands(&effects).is_empty() && requests(&effects).is_empty());
    ended(
        &world,
        SwitchoverState::Aborted,
        "demote_command exited with status 1; this server is the primary",
    );
    assert!(world.lookout.gate(world_now(&world)).unwrap().is_ok());
}

#[test]
fn s3_only_a_clean_shutdown_counts() {
    for (state, has_pid_file) in [
        (DatabaseState::InProduction, false),
        (DatabaseState::ShutDownInRecovery, false),
        (DatabaseState::ShutDown, true),
    ] {
        let (mut world, id) = demoting();
        exited(&mut world, id, 0);
        world.event(Event::ControlRead(Ok(ControlData {
            system: "7".to_owned(),
            state,
            checkpoint: Lsn::from_bytes(70),
            has_pid_file,
        })));
        let effects = polled(&mut world, "s1", Some(standby(80, 80)));
        assert_eq!(saved_term(&effects), None);
        let effects = polled(&mut world, "p", None);
        assert_eq!(commands(&effects), [["start"]], "{state}");
    }
}

#[test]
fn a_server_that_cannot_be_started_again_is_given_up_after_the_limit() {
    let (mut world, id) = demoting();
    exited(&mut world, id, 1);
    let effects = polled(&mut world, "p", None);
    let id = run(&effects, CommandPurpose::FollowStart);
    exited(&mut world, id, 1);
    // Not again at once.
    assert!(commands(&polled(&mut world, "p", None)).is_empty());
    let round = deadlines(&mut world, 7.5);
    assert_eq!(commands(&round), [["start"]]);
    renewed(&mut world, &round, true);
    for seconds in [10.0, 12.5] {
        let round = deadlines(&mut world, seconds);
        renewed(&mut world, &round, true);
    }
    let effects = deadlines(&mut world, 15.0);
    let ends = effects
        .iter()
        .filter(|it| matches!(it, Effect::EndCommand(_)));
    assert_eq!(ends.count(), 1);
    assert_eq!(commands(&effects), [["fence"]]);
    ended(
        &world,
        SwitchoverState::Failed,
        "term 1 is not held any more",
    );
}

#[test]
fn a_lease_that_is_lost_on_the_way_ends_it() {
    let (mut world, id) = demoting();
    let effects = deadlines(&mut world, 22.0);
    assert!(effects.contains(&Effect::EndCommand(id)));
    assert_eq!(commands(&effects), [["fence"]]);
    ended(
        &world,
        SwitchoverState::Failed,
        "term 1 is not held any more",
    );
}

#[test]
fn another_that_is_elected_in_its_place_is_reported() {
    let mut world = stopped();
    let effects = polled(&mut world, "s1", Some(standby(120, 120)));
    let id = saved_term(&effects).unwrap().0;
    world.saved(id, true);
    let won = Request {
        cluster: "main".into(),
        from: "s2".into(),
        to: "p".into(),
        kind: Kind::Renew,
        term: 3,
        nonce: Nonce(9),
        mandate: Nonce(8),
        lease: Duration::from_secs(20),
        position: None,
        system: None,
        list: requests(&world.effects)[0].list.clone(),
        news: None,
        successor: None,
    };
    let id = ExchangeId(1);
    let effects = world.event(Event::VoteRequested { id, request: won });
    let save = saved_term(&effects).unwrap().0;
    world.saved(save, true);
    let state = world.lookout.switchover().unwrap().state();
    assert_eq!(state, SwitchoverState::Running);
    polled(&mut world, "s2", Some(primary()));
    ended(
        &world,
        SwitchoverState::Failed,
        "s2 holds term 3, and is the primary",
    );
}

#[test]
fn a_successor_that_is_not_seen_in_time_is_reported() {
    let mut world = stopped();
    let effects = polled(&mut world, "s1", Some(standby(120, 120)));
    let id = saved_term(&effects).unwrap().0;
    world.saved(id, true);
    deadlines(&mut world, 45.9);
    let state = world.lookout.switchover().unwrap().state();
    assert_eq!(state, SwitchoverState::Running);
    deadlines(&mut world, 46.0);
    ended(
        &world,
        SwitchoverState::Failed,
        "s1 is not seen as the primary 40 s after the release: no vote was asked for since",
    );
}

/// `pg_data_directory` is another server's.
#[test]
fn s1_the_control_file_has_to_be_of_our_server() {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    let outcome = Ok(NodeReport {
        db_time: crate::lookout::votes_tests::now(5.0).wall,
        role: primary(),
        identity: Identity {
            system: Some("8".to_owned()),
            ..Identity::default()
        },
        daemons: None,
    });
    world.event(Event::NodeProbed {
        node: "p".into(),
        probe: None,
        outcome,
    });
    control(&mut world, DatabaseState::InProduction, 40);
    polled(&mut world, "s1", Some(standby(79, 79)));
    polled(&mut world, "s1", Some(standby(80, 80)));
    renewed(&mut world, &asked, true);
    deadlines(&mut world, 10.0);
    ended(
        &world,
        SwitchoverState::Refused,
        "/data/global/pg_control: it is of system 7, our server of system 8",
    );
}

/// The process comes back at 7 s, and its server is down.
fn back(world: World) -> World {
    let mut world = world.restarted();
    world.seconds = 7.0;
    polled(&mut world, "p", None);
    polled(&mut world, "s1", Some(standby(80, 80)));
    polled(&mut world, "s2", Some(standby(80, 80)));
    world
}

/// A majority renews its term again.
fn leased(world: &mut World) -> Vec<Effect> {
    world.file_read(Some(1));
    let asked = requests(&deadlines(world, 7.0));
    let asked = requests(&world.answer(&asked[0], None));
    world.answer(&asked[0], None)
}

fn reads(effect: &Effect) -> bool {
    matches!(effect, Effect::ReadControl(_))
}

/// The poll that was under way says nothing of what has been done since, the next one does.
fn polled_anew(world: &mut World) -> Vec<Effect> {
    polled(world, "p", None);
    deadlines(world, 7.2);
    polled(world, "p", None)
}

#[test]
fn a_daemon_that_was_restarted_goes_on_once_it_has_its_lease() {
    // While the command runs, and after it.
    for before in [demoting().0, stopped()] {
        let mut world = back(before);
        let known = world.lookout.switchover().unwrap();
        assert_eq!(
            (known.request().id, known.state()),
            (Nonce(1), SwitchoverState::Running)
        );
        let effects = leased(&mut world);
        assert!(effects.contains(&Effect::ReadControl("/data".into())));
        assert!(world.lookout.gate(world_now(&world)).unwrap().is_err());
        control(&mut world, DatabaseState::ShutDown, 90);
        polled_anew(&mut world);
        let effects = polled(&mut world, "s1", Some(standby(120, 120)));
        assert_eq!(saved_term(&effects).unwrap().1, 0);
    }
}

#[test]
fn a_daemon_that_was_restarted_starts_a_server_again_that_is_not_shut_down() {
    let mut world = back(demoting().0);
    leased(&mut world);
    // The command may run still: it is given its time, 30 s.
    control(&mut world, DatabaseState::InProduction, 90);
    assert!(
        deadlines(&mut world, 7.05)
            .iter()
            .all(|effect| !reads(effect))
    );
    for seconds in [7.2, 7.3] {
        assert!(deadlines(&mut world, seconds).iter().any(reads));
        let effects = control(&mut world, DatabaseState::InProduction, 90);
        assert!(commands(&effects).is_empty());
    }
    for seconds in [12.0, 22.0, 32.0, 37.0] {
        let asked = deadlines(&mut world, seconds);
        assert!(asked.iter().any(reads));
        renewed(&mut world, &asked, true);
        let effects = control(&mut world, DatabaseState::InProduction, 90);
        assert!(commands(&effects).is_empty());
    }
    polled(&mut world, "p", None);
    deadlines(&mut world, 37.2);
    let effects = polled(&mut world, "p", None);
    assert_eq!(commands(&effects), [["start"]]);
    exited(&mut world, run(&effects, CommandPurpose::FollowStart), 0);
    polled(&mut world, "p", Some(primary()));
    ended(
        &world,
        SwitchoverState::Aborted,
        "is the primary, under term 1",
    );
    // That is over for the next process too.
    assert!(world.restarted().lookout.switchover().is_none());
}

#[test]
fn a_daemon_that_was_restarted_does_nothing_without_its_lease() {
    let limit = demoting().0.lookout.config().failover_lag.as_secs_f64();
    let mut world = back(stopped());
    world.file_read(Some(1));
    assert!(commands(&deadlines(&mut world, 6.0 + limit)).is_empty());
    ended(
        &world,
        SwitchoverState::Failed,
        "no lease for term 1 any more",
    );
    // Its term was released by the process before.
    let mut world = back(stopped());
    world.file_read(None);
    ended(
        &world,
        SwitchoverState::Failed,
        "no lease for term 1 any more",
    );
    // A switchover that has changed nothing yet is forgotten.
    let mut world = holder();
    ask(&mut world, 1, false, 5.0);
    assert!(world.restarted().lookout.switchover().is_none());
}

/// What has more than was ever written here streams from a former primary.
#[test]
fn s3_one_that_is_beyond_the_last_checkpoint_is_no_successor() {
    let mut world = stopped();
    let far = 90 + CHECKPOINT_BYTES + 1;
    let effects = polled(&mut world, "s1", Some(standby(far, 90)));
    assert_eq!(saved_term(&effects), None);
    let last = &world.lookout.switchover().unwrap().steps().last().unwrap();
    let expected = "going back: s1 is at 0/45B, beyond the last checkpoint of this server at 0/5A";
    assert!(last.text.contains(expected), "{}", last.text);
    let round = deadlines(&mut world, 7.0);
    let effects = [round, polled(&mut world, "p", None)].concat();
    assert_eq!(commands(&effects), [["start"]]);
}

/// It may stream from a former primary, whose WAL has the same positions, unless all others are standbys.
#[test]
fn s1_an_older_timeline_refuses_while_another_node_is_not_reached() {
    let mut world = on_timelines(None);
    deadlines(&mut world, 10.0);
    ended(
        &world,
        SwitchoverState::Refused,
        "s1 shows timeline 1, p timeline 2: it may stream from s2",
    );
    let world = on_timelines(Some(standby(80, 80)));
    let last = &world.lookout.switchover().unwrap().steps().last().unwrap();
    assert!(last.text.contains("stopping the server"), "{}", last.text);
}

/// p shows a later timeline than s1; s2 answers so, or not.
fn on_timelines(other: Option<RoleReport>) -> World {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    polled(&mut world, "s2", other);
    for (node, role, timeline) in [
        ("p", primary(), 2),
        ("s1", standby(79, 79), 1),
        ("s1", standby(80, 80), 1),
    ] {
        let outcome = Ok(NodeReport {
            db_time: crate::lookout::votes_tests::now(5.0).wall,
            role,
            identity: Identity {
                timeline: Some(timeline),
                ..Identity::default()
            },
            daemons: None,
        });
        let (node, probe) = (node.into(), None);
        world.event(Event::NodeProbed {
            node,
            probe,
            outcome,
        });
    }
    control(&mut world, DatabaseState::InProduction, 40);
    renewed(&mut world, &asked, true);
    world
}

/// Its server is up again, and whether it is the primary is not known: that does not go on for ever.
#[test]
fn a_server_that_does_not_let_us_in_again_ends_it() {
    let (mut world, id) = demoting();
    exited(&mut world, id, 1);
    let rejected = |world: &mut World| {
        let from = world.effects.len();
        world.event(Event::NodeProbed {
            node: "p".into(),
            probe: None,
            outcome: Err(ProbeFailure::AuthenticationRejected {
                message: "no password".to_owned(),
            }),
        });
        world.effects[from..].to_vec()
    };
    rejected(&mut world);
    for seconds in [7.5, 10.0, 12.5] {
        let round = deadlines(&mut world, seconds);
        assert!(commands(&[round.clone(), rejected(&mut world)].concat()).is_empty());
        renewed(&mut world, &round, true);
    }
    let state = world.lookout.switchover().unwrap().state();
    assert_eq!(state, SwitchoverState::Running);
    for seconds in [15.0, 17.5] {
        let round = deadlines(&mut world, seconds);
        renewed(&mut world, &round, true);
        rejected(&mut world);
    }
    ended(
        &world,
        SwitchoverState::Failed,
        "this server is up, and does not let this daemon find out whether it is the primary",
    );
    assert!(world.lookout.gate(world_now(&world)).unwrap().is_ok());
}
