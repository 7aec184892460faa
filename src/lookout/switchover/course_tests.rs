//! Rules S2 and S3.

use super::super::scene::{
    control, deadlines, demoting, ended, exited, polled, renewed, run, saved_term, standby,
    stopped, world_now,
};
use super::*;
use crate::cluster::ProbeFailure;
use crate::lookout::Event;
use crate::lookout::votes_world::{World, commands, primary, requests};
use crate::votes::{ExchangeId, Kind, Nonce, Position, Request};

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
