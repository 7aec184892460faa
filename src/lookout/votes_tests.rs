//! A standby s1 whose promotion is elected by s1, s2 and the observer o.

use std::sync::Arc;
use std::time::Duration;

use super::votes_world::{World, cluster, commands, now, primary, requests};
use super::*;
use crate::cluster::Lsn;
use crate::config::VoterName;
use crate::votes::{
    Answer, ExchangeId, Kind, Mandate, Nonce, Record, Refusal, Request, SaveId, VoterList,
};

#[test]
fn the_command_waits_for_a_majority() {
    let mut world = World::with_record("");
    let votes = world.ask();
    assert_eq!(votes.len(), 2);
    let (reason, _) = world.lose_primary();
    assert_eq!(reason, "asking_votes");
    let effects = world.answer(&votes[0], None);
    assert_eq!(commands(&effects), [["promote"]]);
    assert_eq!(world.lookout.elected_term(), Some(1));
    assert!(commands(&world.answer(&votes[1], None)).is_empty());
}

#[test]
fn without_a_majority_nothing_is_promoted_and_the_reason_is_shown() {
    let mut world = World::with_record("");
    let votes = world.ask();
    let effects = world.answer(&votes[0], Some(Refusal::Promised));
    assert!(requests(&effects).is_empty());
    let effects = world.answer(&votes[1], Some(Refusal::Sighted));
    assert!(commands(&effects).is_empty());
    assert!(requests(&effects).iter().all(|it| it.kind == Kind::Release));
    let (reason, _) = world.lose_primary();
    let sentence = world
        .lookout
        .last_round()
        .unwrap()
        .decision
        .verdict
        .to_string();
    assert_eq!(
        (reason, sentence.as_str()),
        (
            "votes_refused",
            "no failover: not elected: 1 of 3 voters in term 1, 2 are needed; p has promised its vote to another; s2 \
             has just reached a primary"
        )
    );
}

#[test]
fn a_primary_that_comes_back_meanwhile_ends_it() {
    let mut world = World::with_record("");
    let votes = world.ask();
    world.polled("p", Some(primary()));
    let effects = world.answer(&votes[0], None);
    assert!(commands(&effects).is_empty());
    assert_released(&effects);
    // One that is lost again at once was there all the same.
    let mut world = World::with_record("");
    let votes = world.ask();
    world.polled("p", Some(primary()));
    world.polled("p", None);
    let effects = world.answer(&votes[0], None);
    assert!(commands(&effects).is_empty());
    assert_released(&effects);
    let mut world = World::with_record("");
    let votes = world.ask();
    world.polled("p", Some(primary()));
    let (_, effects) = world.decide(Look::Regular);
    assert!(requests(&effects).iter().all(|it| it.kind == Kind::Release));
    assert!(commands(&world.answer(&votes[0], None)).is_empty());
}

#[track_caller]
fn assert_released(effects: &[Effect]) {
    let sent = requests(effects);
    let sent: Vec<_> = sent.iter().map(|it| (it.kind, it.to.as_str())).collect();
    assert_eq!(sent, [(Kind::Release, "p"), (Kind::Release, "s2")]);
}

/// It may be a primary.
#[test]
fn a_node_that_a_reload_brings_meanwhile_is_polled_before_a_promotion() {
    let mut world = World::with_record("");
    let votes = world.ask();
    let mut config = (**world.lookout.config()).clone();
    let another = config.nodes[&NodeName::from("s2")].clone();
    config.nodes.insert(NodeName::from("s3"), another);
    world.event(Event::ConfigLoaded(Arc::new(config)));
    let effects = world.answer(&votes[0], None);
    assert!(commands(&effects).is_empty());
    assert_released(&effects);
}

#[test]
fn a_win_whose_command_a_reload_has_taken_away_is_released() {
    let mut world = World::with_record("");
    let votes = world.ask();
    let config = Config {
        failover_command: None,
        ..(**world.lookout.config()).clone()
    };
    world.event(Event::ConfigLoaded(Arc::new(config)));
    let effects = world.answer(&votes[0], None);
    assert!(commands(&effects).is_empty());
    assert_released(&effects);
}

#[test]
fn without_a_vote_file_nobody_is_asked() {
    let mut world = World::start("");
    world.seconds = 60.0;
    let (reason, effects) = world.lose_primary();
    assert_eq!(
        (reason, requests(&effects).len()),
        ("vote_file_unusable", 0)
    );
    assert!(commands(&effects).is_empty());
}

#[test]
fn an_alert_of_votes_ends_with_them() {
    let mut world = World::start("");
    world.event(Event::VoteFileRead {
        cluster: cluster(),
        found: Err("torn".to_owned()),
        seed: 0,
        resumed: None,
    });
    let config = Config {
        voting: None,
        ..(**world.lookout.config()).clone()
    };
    let effects = world.event(Event::ConfigLoaded(Arc::new(config)));
    assert!(
        effects.contains(&Effect::ClearAlert(Alert::VoteFileUnusable)),
        "{effects:?}"
    );
}

#[test]
fn files_elsewhere_are_read_and_no_older_ones_taken() {
    let mut world = World::with_record("");
    world.seconds = 60.0;
    world.polled("p", None);
    world.event(request(Kind::Vote));
    let mut config = (**world.lookout.config()).clone();
    config.voting.as_mut().unwrap().directory = "/elsewhere".into();
    world.event(Event::ConfigLoaded(Arc::new(config)));
    assert!(world.lookout.votes().all(|(_, member)| member.is_err()));
    let mut record = Record::new(VoterList {
        generation: 1,
        names: ["p", "s1", "s2"].map(VoterName::from).into(),
    });
    let read = |record: &Record| Event::VoteFileRead {
        cluster: cluster(),
        found: Ok(record.clone()),
        seed: 8,
        resumed: None,
    };
    world.event(read(&record));
    let why = world.lookout.votes().next().unwrap().1.err();
    assert!(why.unwrap().contains("an older copy"), "{why:?}");
    record.term = 1;
    record.voted_for = Some(Mandate {
        candidate: "s2".into(),
        nonce: Nonce(2),
    });
    world.event(read(&record));
    assert!(world.lookout.votes().all(|(_, member)| member.is_err()));
    record.voted_for.as_mut().unwrap().nonce = Nonce(1);
    world.event(read(&record));
    assert!(world.lookout.votes().all(|(_, member)| member.is_ok()));
}

/// As a recording does that begins in the middle.
#[test]
fn another_core_goes_on_where_one_is_at_rest() {
    let mut world = World::with_record("");
    world.seconds = 31.0;
    world.polled("p", None);
    assert!(world.lookout.votes_are_at_rest(now(31.0).mono));
    world.event(Event::Turn(GivenTurn::Deadlines));
    world.event(request(Kind::Vote));
    assert!(!world.lookout.votes_are_at_rest(now(31.0).mono));
    world.saved(SaveId(1), true);
    // It hears of a later term.
    let asked = requests(&world.effects);
    let answer = |term| Answer {
        cluster: cluster(),
        from: "p".into(),
        to: "s1".into(),
        kind: Kind::AskVote,
        nonce: asked[0].nonce,
        refusal: Some(Refusal::Term),
        wait: None,
        term,
        voted_for: None,
        position: None,
        willing: false,
        fences: None,
        list: asked[0].list.clone(),
        news: asked[0].news.clone(),
        is_free: false,
    };
    world.event(Event::VoteAnswered {
        cluster: cluster(),
        voter: "p".into(),
        of: (asked[0].nonce, Kind::AskVote),
        outcome: Ok(answer(7)),
    });
    world.seconds = 40.0;
    assert!(world.lookout.votes_are_at_rest(now(40.0).mono));
    let mut other = World::start("");
    for event in world.lookout.vote_files(now(40.0).mono) {
        other.seconds = 40.0;
        other.event(event);
    }
    // What was promised stays so.
    for world in [&mut world, &mut other] {
        let promised = world.lookout.votes().next().unwrap().1.unwrap().voter();
        let (to, left) = promised.promised(now(40.0).mono).unwrap();
        assert_eq!((to.as_str(), left.as_millis()), ("s2", 11_625));
    }
    world.effects.clear();
    other.effects.clear();
    for world in [&mut world, &mut other] {
        world.seconds = 60.9;
        world.event(Event::Turn(GivenTurn::Deadlines));
        world.seconds = 61.0;
        world.event(Event::Turn(GivenTurn::Deadlines));
        let votes = world.ask_in_term(8, SaveId(2));
        assert_eq!(votes.len(), 2);
    }
    let sent = requests(&world.effects);
    // The question whether they answer, then for votes, then the votes.
    assert_eq!(sent.len(), 6);
    assert_eq!(sent, requests(&other.effects));
}

#[test]
fn a_file_that_stays_unusable_is_reported_once() {
    let mut world = World::start("");
    let torn = Event::VoteFileRead {
        cluster: cluster(),
        found: Err("torn".to_owned()),
        seed: 0,
        resumed: None,
    };
    let effects = world.event(torn.clone());
    assert_eq!(effects.len(), 2, "an error and the alert: {effects:?}");
    assert_eq!(world.event(torn), []);
}

#[test]
fn a_failed_command_lets_others_go_first() {
    let mut world = World::with_record("");
    let votes = world.ask();
    let effects = world.answer(&votes[0], None);
    let (_, id) = effects.iter().find_map(Effect::purpose).unwrap();
    let effects = world.event(Event::CommandExited {
        id,
        outcome: CommandOutcome::Exited(1),
    });
    assert!(
        requests(&effects).is_empty(),
        "what was won is not released"
    );
    world.seconds = 75.0;
    assert_eq!(world.lose_primary().0, "stepped_aside");
    world.seconds = 91.0;
    assert_eq!(world.lose_primary().0, "primary_unreachable");
}

#[test]
fn dry_votes_decide_nothing() {
    let mut world = World::with_record(r#", "dry": true"#);
    world.seconds = 60.0;
    let behind = Some(Lsn::from_bytes(79));
    let s2 = RoleReport::Standby {
        receive: behind,
        replay: behind,
        last_replay: None,
    };
    let (_, effects) = world.lose_primary_seeing(Some(s2));
    assert_eq!(commands(&effects), [["promote"]]);
    assert_eq!(requests(&effects).len(), 2);
    assert_eq!(world.lookout.elected_term(), None);
}

#[test]
fn a_vote_is_answered_once_it_is_written() {
    let mut world = World::with_record("");
    world.seconds = 60.0;
    world.polled("p", None);
    let asked = request(Kind::Vote);
    let effects = world.event(asked.clone());
    let answered = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::AnswerVote {
                id: ExchangeId(9),
                answer,
            } => Some(answer.refusal),
            _ => None,
        })
    };
    assert_eq!(answered(&effects), None);
    let raised = |effects: &[Effect]| {
        effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::RaiseAlert {
                    alert: Alert::VoteFileUnusable,
                    ..
                }
            )
        })
    };
    let effects = world.saved(SaveId(1), false);
    assert_eq!(answered(&effects), Some(Some(Refusal::Busy)));
    assert!(raised(&effects));
    let effects = world.saved(SaveId(1), true);
    assert_eq!(effects, [Effect::ClearAlert(Alert::VoteFileUnusable)]);
    assert_eq!(answered(&world.event(asked)), Some(None));
    // Where the primary was just reached nobody is voted for.
    let mut world = World::with_record("");
    world.polled("p", Some(primary()));
    let effects = world.event(request(Kind::AskVote));
    assert_eq!(answered(&effects), Some(Some(Refusal::Sighted)));
}

fn request(kind: Kind) -> Event {
    let names = ["p", "s1", "s2"].map(VoterName::from).into();
    let request = Request {
        cluster: cluster(),
        from: "s2".into(),
        to: "s1".into(),
        kind,
        term: 1,
        nonce: Nonce(1),
        mandate: Nonce(1),
        lease: Duration::from_secs(20),
        position: Some(crate::votes::Position {
            timeline: None,
            lsn: Lsn::from_bytes(80),
        }),
        system: None,
        list: VoterList {
            generation: 1,
            names,
        }
        .id(),
        news: None,
        successor: None,
    };
    Event::VoteRequested {
        id: ExchangeId(9),
        request,
    }
}
