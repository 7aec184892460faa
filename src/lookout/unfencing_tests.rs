//! p holds term 1; it is fenced 3 s before the end of its lease, and its server is given up 10 s after that.

use super::super::votes_world::{World, commands, primary, requests};
use super::super::{Effect, Event, GivenTurn};
use super::*;
use crate::config::CommandLine;
use crate::votes::{Kind, Request};

fn deadlines(world: &mut World, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    world.event(Event::Turn(GivenTurn::Deadlines))
}

fn exited(world: &mut World, effects: &[Effect], status: i32) -> Vec<Effect> {
    let id = effects.iter().find_map(Effect::purpose).unwrap().1;
    let outcome = CommandOutcome::Exited(status);
    world.event(Event::CommandExited { id, outcome })
}

/// The poll of p that was under way fails, and the next one.
fn is_down(world: &mut World, seconds: f64) -> Vec<Effect> {
    let from = world.effects.len();
    world.polled("p", None);
    deadlines(world, seconds);
    world.polled("p", None);
    world.effects[from..].to_vec()
}

fn round(effects: &[Effect], kind: Kind) -> Request {
    let asked = requests(effects);
    asked.iter().find(|it| it.kind == kind).unwrap().clone()
}

/// A majority would renew its term, and does.
fn renewed(world: &mut World, seconds: f64) -> Vec<Effect> {
    let asked = round(&deadlines(world, seconds), Kind::AskRenew);
    let asked = round(&world.answer(&asked, None), Kind::Renew);
    world.answer(&asked, None)
}

/// At 9 s p is fenced, and at 9.2 s known to be down.
fn fenced(unfence: bool) -> World {
    let mut world = World::with_leases("p");
    let mut config = (**world.lookout.config()).clone();
    let fence = config.voting.as_mut().unwrap().fence.as_mut().unwrap();
    fence.unfence = unfence.then(|| CommandLine {
        argv: vec!["unfence".to_owned()],
    });
    world.event(Event::ConfigLoaded(std::sync::Arc::new(config)));
    world.file_read(Some(1));
    let effects = deadlines(&mut world, 9.0);
    assert_eq!(commands(&effects), [["fence"]]);
    exited(&mut world, &effects, 0);
    world
}

#[test]
fn a_fenced_server_is_started_again_once_its_lease_is_renewed() {
    let mut world = fenced(true);
    assert!(commands(&is_down(&mut world, 9.2)).is_empty());
    let effects = renewed(&mut world, 11.5);
    assert_eq!(commands(&effects), [["unfence"]]);
    assert!(
        !world
            .lookout
            .votes_are_at_rest(super::super::votes_world::now(11.5).mono)
    );
    // It is run again while the server is down, and not before that is known.
    assert!(commands(&exited(&mut world, &effects, 0)).is_empty());
    assert!(commands(&is_down(&mut world, 11.8)).is_empty());
    let effects = deadlines(&mut world, 12.6);
    assert_eq!(commands(&effects), [["unfence"]]);
    exited(&mut world, &effects, 1);
    deadlines(&mut world, 13.0);
    world.polled("p", Some(primary()));
    world.effects.clear();
    world.polled("p", None);
    deadlines(&mut world, 13.9);
    assert!(
        commands(&world.effects).is_empty(),
        "it has stopped otherwise"
    );
}

#[test]
fn without_the_command_or_a_majority_it_stays_down() {
    let mut world = fenced(false);
    is_down(&mut world, 9.2);
    assert!(commands(&renewed(&mut world, 11.5)).is_empty());
    let mut world = fenced(true);
    is_down(&mut world, 9.2);
    for seconds in [11.5, 14.0, 16.5] {
        assert!(commands(&deadlines(&mut world, seconds)).is_empty());
    }
}

#[test]
fn a_start_that_goes_on_is_ended_before_the_server_is_fenced_again() {
    let mut world = fenced(true);
    is_down(&mut world, 9.2);
    let effects = renewed(&mut world, 11.5);
    let id = effects.iter().find_map(Effect::purpose).unwrap().1;
    // It is given up after the limit.
    let mut effects = Vec::new();
    for seconds in [14.0, 16.5, 19.0, 21.5] {
        let asked = deadlines(&mut world, seconds);
        world.answer(&round(&asked, Kind::Renew), None);
        effects = asked;
        if commands(&effects) == [["fence"]] {
            break;
        }
    }
    assert!(effects.contains(&Effect::EndCommand(id)), "{effects:?}");
}
