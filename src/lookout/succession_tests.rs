//! s1 succeeds p, which holds term 1; the voters are p, s1 and s2.

use std::time::Duration;

use super::super::votes_world::{World, commands, primary, requests};
use super::super::{CommandOutcome, Effect, Event, GivenTurn, Look};
use crate::cluster::{Lsn, PauseMark, RoleReport};
use crate::votes::{ExchangeId, Kind, ListId, Nonce, Refusal, Request, SaveId, VoterList};

fn list() -> ListId {
    let names = ["p", "s1", "s2"].map(Into::into).into();
    VoterList {
        generation: 1,
        names,
    }
    .id()
}

fn from_p(kind: Kind, successor: Option<&str>) -> Request {
    Request {
        cluster: "main".into(),
        from: "p".into(),
        to: "s1".into(),
        kind,
        term: 1,
        nonce: Nonce(3),
        mandate: Nonce(3),
        lease: Duration::from_secs(20),
        position: None,
        system: None,
        list: list(),
        news: None,
        successor: successor.map(Into::into),
    }
}

fn saved(effects: &[Effect]) -> Option<(SaveId, u64, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SaveVote { id, record, .. } => Some((*id, record.term, record.held_term)),
        _ => None,
    })
}

fn deadlines(world: &mut World, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    world.event(Event::Turn(GivenTurn::Deadlines))
}

/// p is a primary that answers, and holds term 1 by our vote.
fn following() -> World {
    let mut world = World::with_leases("s1");
    world.file_read(None);
    let renewal = Event::VoteRequested {
        id: ExchangeId(1),
        request: from_p(Kind::Renew, None),
    };
    let effects = world.event(renewal);
    let (id, term, _) = saved(&effects).unwrap();
    assert_eq!(term, 1);
    world.saved(id, true);
    deadlines(&mut world, 5.0);
    for node in ["p", "s2"] {
        let role = if node == "p" { primary() } else { standby(80) };
        world.polled(node, Some(role));
    }
    world.polled("s1", Some(standby(80)));
    world
}

fn standby(bytes: u64) -> RoleReport {
    let at = Some(Lsn::from_bytes(bytes));
    RoleReport::Standby {
        receive: at,
        replay: at,
        last_replay: None,
    }
}

fn release(world: &mut World, successor: &str, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    let request = from_p(Kind::Release, Some(successor));
    let id = ExchangeId(2);
    let effects = world.event(Event::VoteRequested { id, request });
    [effects, deadlines(world, seconds)].concat()
}

/// s1 has been polled since the release.
fn asking(world: &mut World) -> Vec<Request> {
    let effects = release(world, "s1", 6.0);
    assert!(requests(&effects).is_empty());
    let is_own_poll =
        |effect: &Effect| matches!(effect, Effect::ProbeNode { node, .. } if node.as_str() == "s1");
    assert!(effects.iter().any(is_own_poll));
    world.polled("s1", Some(standby(120)));
    let effects = deadlines(world, 6.01);
    let verdict = &world.lookout.last_round().unwrap().decision.verdict;
    let sentence = verdict.to_string();
    assert_eq!(verdict.reason(), "switchover");
    assert!(
        sentence.starts_with("promoting s1 at 0/78: p is stopped for a switchover, and its term released for this node"),
        "{sentence}"
    );
    requests(&effects)
}

#[test]
fn s4_the_successor_asks_at_once_with_its_newest_position_and_is_promoted_beside_a_sighted_primary()
{
    let mut world = following();
    let asked = asking(&mut world);
    let found: Vec<_> = asked.iter().map(|it| (it.kind, it.term)).collect();
    assert_eq!(found, [(Kind::AskVote, 2), (Kind::AskVote, 2)]);
    assert_eq!(asked[0].position.unwrap().lsn, Lsn::from_bytes(120));
    assert!(world.lookout.state().reaches_primary());
    assert!(
        !world
            .lookout
            .votes_are_at_rest(super::super::votes_world::now(6.1).mono)
    );
    let (id, term, _) = saved(&world.answer(&asked[0], None)).unwrap();
    assert_eq!(term, 2);
    let votes = requests(&world.saved(id, true));
    // A regular decision that reaches p does not end the attempt.
    world.decide(Look::Regular);
    let (id, _, held) = saved(&world.answer(&votes[0], None)).unwrap();
    assert_eq!(held, 2);
    let effects = world.saved(id, true);
    assert_eq!(commands(&effects), [["promote"]]);
    let (_, id) = effects.iter().find_map(Effect::purpose).unwrap();
    let outcome = CommandOutcome::Exited(0);
    let effects = world.event(Event::CommandExited { id, outcome });
    assert!(!commands(&effects).contains(&&["fence".to_owned()][..]));
}

#[test]
fn s4_it_asks_again_after_the_vote_timeout_while_its_reservation_lasts() {
    let mut world = following();
    let asked = asking(&mut world);
    world.answer(&asked[0], Some(Refusal::Busy));
    world.answer(&asked[1], Some(Refusal::Busy));
    assert!(requests(&deadlines(&mut world, 7.0)).is_empty());
    // `vote_timeout` is 2 s, and the attempt began at 6.01 s.
    for seconds in [8.01, 10.01, 12.01, 14.01] {
        let asked = requests(&deadlines(&mut world, seconds));
        assert_eq!(asked.len(), 2, "{seconds}");
        world.polled("s1", Some(standby(120)));
        world.answer(&asked[0], Some(Refusal::Busy));
        world.answer(&asked[1], Some(Refusal::Busy));
    }
    let asked = requests(&deadlines(&mut world, 16.01));
    assert!(asked.iter().all(|it| it.kind != Kind::AskVote), "{asked:?}");
    let (reason, _) = world.decide(Look::Regular);
    assert_eq!(reason, "primary_reachable");
}

#[test]
fn what_keeps_a_node_from_promotion_keeps_it_from_succession() {
    let mut world = following();
    world.event(Event::PauseSet("1".parse::<PauseMark>().unwrap()));
    release(&mut world, "s1", 6.0);
    world.polled("s1", Some(standby(120)));
    assert!(requests(&deadlines(&mut world, 6.01)).is_empty());
    let verdict = &world.lookout.last_round().unwrap().decision.verdict;
    assert_eq!(verdict.reason(), "paused");
    // So does a primary that has released nothing.
    let mut world = following();
    world.polled("s2", Some(primary()));
    release(&mut world, "s1", 6.0);
    world.polled("s1", Some(standby(120)));
    assert!(requests(&deadlines(&mut world, 6.01)).is_empty());
    let verdict = &world.lookout.last_round().unwrap().decision.verdict;
    assert_eq!(verdict.reason(), "primary_connected");
}

#[test]
fn a_release_for_another_makes_nobody_ask() {
    let mut world = following();
    assert!(requests(&release(&mut world, "s2", 6.0)).is_empty());
    let effects = deadlines(&mut world, 7.0);
    assert!(requests(&effects).is_empty());
    assert_eq!(world.decide(Look::Regular).0, "primary_reachable");
}
