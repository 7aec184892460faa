//! For tests: p holds term 1 and is switched over to s1; the voters are p, s1 and s2.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::SwitchoverState;
use crate::cluster::{ControlData, DatabaseState, Lsn, RoleReport};
use crate::config::{CommandLine, DemoteSettings};
use crate::lookout::votes_world::{World, commands, now, primary, requests};
use crate::lookout::{
    CommandId, CommandOutcome, CommandPurpose, Effect, Event, GivenTurn, SwitchoverRequest,
};
use crate::time::Monotonic;
use crate::votes::{Answer, Kind, Nonce, SaveId};

/// Since 1 s p has a lease until 21 s.
pub(super) fn holder() -> World {
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

pub(super) fn world_now(world: &World) -> Monotonic {
    now(world.seconds).mono
}

pub(super) fn deadlines(world: &mut World, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    world.event(Event::Turn(GivenTurn::Deadlines))
}

pub(super) fn ask(world: &mut World, id: u128, dry_run: bool, seconds: f64) -> Vec<Effect> {
    world.seconds = seconds;
    let effects = world.event(Event::SwitchoverRequested(SwitchoverRequest {
        id: Nonce(id),
        to: "s1".into(),
        dry_run,
    }));
    let round = deadlines(world, seconds);
    [effects, round].concat()
}

pub(super) fn at(bytes: u64) -> Option<Lsn> {
    Some(Lsn::from_bytes(bytes))
}

pub(super) fn standby(receive: u64, replay: u64) -> RoleReport {
    RoleReport::Standby {
        receive: at(receive),
        replay: at(replay),
        last_replay: None,
    }
}

pub(super) fn polled(world: &mut World, node: &str, role: Option<RoleReport>) -> Vec<Effect> {
    let from = world.effects.len();
    world.polled(node, role);
    world.effects[from..].to_vec()
}

/// s1 renews.
pub(super) fn renewed(world: &mut World, asked: &[Effect], willing: bool) -> Vec<Effect> {
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

pub(super) fn control(world: &mut World, state: DatabaseState, checkpoint: u64) -> Vec<Effect> {
    world.event(Event::ControlRead(Ok(ControlData {
        system: "7".to_owned(),
        state,
        checkpoint: Lsn::from_bytes(checkpoint),
        has_pid_file: state == DatabaseState::InProduction,
    })))
}

/// All that S1 asks for.
pub(super) fn fulfil(world: &mut World, asked: &[Effect]) -> Vec<Effect> {
    control(world, DatabaseState::InProduction, 40);
    polled(world, "p", Some(primary()));
    polled(world, "s1", Some(standby(79, 79)));
    polled(world, "s1", Some(standby(80, 80)));
    renewed(world, asked, true)
}

pub(super) fn run(effects: &[Effect], purpose: CommandPurpose) -> CommandId {
    let mut run = effects.iter().filter_map(Effect::purpose);
    run.find(|(found, _)| *found == purpose).unwrap().1
}

/// The command of a switchover at 5 s.
pub(super) fn demoting() -> (World, CommandId) {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    assert!(asked.contains(&Effect::ReadControl("/data".into())));
    let effects = fulfil(&mut world, &asked);
    assert_eq!(commands(&effects), [["demote"]]);
    let id = run(&effects, CommandPurpose::Demote);
    (world, id)
}

/// The server is shut down, its last checkpoint at 90.
pub(super) fn stopped() -> World {
    let (mut world, id) = demoting();
    world.seconds = 6.0;
    let effects = exited(&mut world, id, 0);
    assert!(effects.contains(&Effect::ReadControl("/data".into())));
    assert!(commands(&control(&mut world, DatabaseState::ShutDown, 90)).is_empty());
    assert!(commands(&polled(&mut world, "p", None)).is_empty());
    world
}

pub(super) fn exited(world: &mut World, id: CommandId, status: i32) -> Vec<Effect> {
    let outcome = CommandOutcome::Exited(status);
    world.event(Event::CommandExited { id, outcome })
}

#[track_caller]
pub(super) fn ended(world: &World, state: SwitchoverState, sentence: &str) {
    let switchover = world.lookout.switchover().unwrap();
    let last = &switchover.steps().last().unwrap().text;
    assert_eq!(switchover.state(), state, "{last}");
    assert!(last.contains(sentence), "{last}");
}

pub(super) fn saved_term(effects: &[Effect]) -> Option<(SaveId, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SaveVote { id, record, .. } => Some((*id, record.held_term)),
        _ => None,
    })
}
