use std::sync::Arc;

use super::super::super::votes_world::{World, requests};
use super::*;
use crate::lookout::{Effect, Event, GivenTurn};
use crate::votes::{Record, Refusal, SaveId};

/// Reloads with this list.
fn reload(world: &mut World, generation: u64, names: &[&str]) -> Vec<Effect> {
    let mut config = (**world.lookout.config()).clone();
    let voting = config.voting.as_mut().unwrap();
    let cluster = voting.clusters.values_mut().next().unwrap();
    cluster.generation = generation;
    let url = |name: &&str| {
        let url = format!("http://{name}").parse().unwrap();
        (VoterName::from(*name), url)
    };
    cluster.voters = names.iter().map(url).collect();
    world.event(Event::ConfigLoaded(Arc::new(config)))
}

fn saved(effects: &[Effect]) -> Option<(SaveId, Record)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SaveVote { id, record, .. } => Some((*id, record.clone())),
        _ => None,
    })
}

fn logged(effects: &[Effect], text: &str) -> bool {
    let is_it =
        |effect: &Effect| matches!(effect, Effect::Log { text: line, .. } if line.contains(text));
    effects.iter().any(is_it)
}

/// s1 votes, and p and s2 have answered.
fn world() -> World {
    let mut world = World::start("");
    world.file_read(None);
    let asked = requests(&world.event(Event::Turn(GivenTurn::Deadlines)));
    for request in asked {
        world.answer(&request, Some(Refusal::Sighted));
    }
    world
}

fn list(world: &World) -> (u64, ListStage) {
    let (_, member) = world.lookout.votes().next().unwrap();
    let member = member.unwrap();
    (member.list().generation, member.roll().stage)
}

#[test]
fn a_reload_brings_a_list_that_counts_once_it_is_written() {
    let mut world = world();
    let effects = reload(&mut world, 2, &["p", "s1", "x"]);
    let (id, record) = saved(&effects).expect("it is written");
    assert_eq!(
        (record.list.generation, record.roll.stage),
        (2, ListStage::Taken)
    );
    let former = record.roll.former.unwrap();
    let url = former[&VoterName::from("s2")].as_ref().unwrap();
    assert_eq!(url.to_string(), "http://s2:80");
    assert_eq!(list(&world), (1, ListStage::Sealed));
    world.saved(id, false);
    assert_eq!(list(&world), (1, ListStage::Sealed));
    let effects = world.saved(id, true);
    assert_eq!(list(&world), (2, ListStage::Taken));
    assert!(logged(&effects, "list 2 is taken"), "{effects:?}");
    // The former voter is asked on, where it was.
    let address = |name: &str| {
        let (cluster, name) = ("main".into(), VoterName::from(name));
        let url = world.lookout.voter_address(&cluster, &name);
        url.map(ToString::to_string)
    };
    assert_eq!(address("s2").as_deref(), Some("http://s2:80"));
    assert_eq!(address("x").as_deref(), Some("http://x:80"));
    assert_eq!(address("y"), None);
}

#[test]
fn a_list_that_does_not_follow_is_an_error_and_the_old_one_stays() {
    let mut world = world();
    for (generation, names, text) in [
        (3, ["p", "s1", "x"], "expected generation 2"),
        (1, ["p", "s1", "x"], "other voters need generation 2"),
    ] {
        let effects = reload(&mut world, generation, &names);
        assert_eq!(saved(&effects), None);
        assert!(logged(&effects, text), "{effects:?}");
        let raised = |effect: &Effect| matches!(effect, Effect::RaiseAlert { alert: Alert::VotersDisagree, text: it } if it.contains(text));
        assert!(effects.iter().any(raised), "{effects:?}");
        assert_eq!(list(&world), (1, ListStage::Sealed));
        // Once is enough.
        assert!(!logged(&reload(&mut world, generation, &names), text));
    }
    let effects = reload(&mut world, 1, &["p", "s1", "s2"]);
    let cleared = Effect::ClearAlert(Alert::VotersDisagree);
    assert!(effects.contains(&cleared), "{effects:?}");
    // So few of these vote that nobody could be elected.
    let effects = reload(&mut world, 2, &["s1", "x", "y"]);
    assert_eq!(saved(&effects), None);
    assert!(
        logged(&effects, "known to vote already; x, y do not"),
        "{effects:?}"
    );
}

/// Another core that is given the same record and configuration goes on in the same way.
#[test]
fn a_file_of_the_list_before_takes_the_configured_one() {
    let mut world = World::start("");
    reload(&mut world, 2, &["p", "s1", "x"]);
    let effects = world.file_read(None);
    assert_eq!(saved(&effects), None, "nobody is known to vote");
    assert!(logged(&effects, "waits until a majority"), "{effects:?}");
    let asked = requests(&world.event(Event::Turn(GivenTurn::Deadlines)));
    let first = asked.iter().find(|it| it.to.as_str() == "p").unwrap();
    let effects = world.answer(first, Some(Refusal::Sighted));
    assert_eq!(saved(&effects).unwrap().1.list.generation, 2);
}
