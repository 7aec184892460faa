//! p comes back in the middle of a switchover to s1.

use super::super::scene::{
    ask, control, deadlines, demoting, ended, exited, holder, polled, renewed, run, saved_term,
    standby, stopped, world_now,
};
use super::*;
use crate::cluster::DatabaseState;
use crate::lookout::CommandPurpose;
use crate::lookout::votes_world::{World, commands, primary, requests};
use crate::votes::Nonce;

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
