use std::time::Duration;

use super::super::votes_world::{World, commands, now, primary, requests, standby};
use super::super::{Alert, CommandOutcome, Effect, Event, GivenTurn};
use super::*;
use crate::cluster::RoleReport;
use crate::time::Monotonic;
use crate::votes::{Answer, Kind, Refusal, Request, SaveId};

fn saved_term(effects: &[Effect]) -> Option<(SaveId, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SaveVote { id, record, .. } => Some((*id, record.held_term)),
        _ => None,
    })
}

fn guard(effects: &[Effect]) -> Option<Option<f64>> {
    let seconds = |at: Monotonic| at.as_secs_f64() - 1_000.0;
    effects.iter().find_map(|effect| match effect {
        Effect::ArmGuard(until) => Some(until.map(seconds)),
        _ => None,
    })
}

fn fence(effects: &[Effect]) -> Option<CommandId> {
    let purposes = effects.iter().filter_map(Effect::purpose);
    let mut fences = purposes.filter(|(purpose, _)| *purpose == CommandPurpose::Fence);
    fences.next().map(|(_, id)| id)
}

fn raised(effects: &[Effect]) -> Vec<Alert> {
    let raised = effects.iter().filter_map(|effect| match effect {
        Effect::RaiseAlert { alert, .. } => Some(*alert),
        _ => None,
    });
    raised.collect()
}

impl World {
    fn deadlines(&mut self, seconds: f64) -> Vec<Effect> {
        self.seconds = seconds;
        self.event(Event::Turn(GivenTurn::Deadlines))
    }

    fn exited(&mut self, id: CommandId, status: i32) -> Vec<Effect> {
        let outcome = CommandOutcome::Exited(status);
        self.event(Event::CommandExited { id, outcome })
    }

    fn polled_at(&mut self, seconds: f64, node: &str, role: Option<RoleReport>) -> Vec<Effect> {
        let from = self.effects.len();
        self.seconds = seconds;
        self.polled(node, role);
        self.effects[from..].to_vec()
    }

    /// A round of renewals is due, and p or s2 renews.
    fn renewed(&mut self, seconds: f64) -> Vec<Effect> {
        let asked = requests(&self.deadlines(seconds));
        let is_renewal = |it: &&Request| it.kind == Kind::Renew;
        let round = asked.iter().find(is_renewal).unwrap().clone();
        self.answer(&round, None)
    }
}

/// s1 is elected in term 1 at 60 s, and its command runs.
fn elected() -> (World, CommandId) {
    let mut world = World::with_leases("s1");
    world.file_read(None);
    let votes = world.ask();
    let effects = world.answer(&votes[0], None);
    assert!(commands(&effects).is_empty());
    let (id, term) = saved_term(&effects).unwrap();
    assert_eq!(term, 1);
    let effects = world.saved(id, true);
    assert_eq!(guard(&effects), Some(Some(77.0)));
    assert_eq!(commands(&effects), [["promote"]]);
    assert_eq!(world.lookout.elected_term(), Some(1));
    let (_, id) = effects.iter().find_map(Effect::purpose).unwrap();
    (world, id)
}

/// p has held term 1 before the restart of its daemon, and a majority renews it at 1 s.
fn holder() -> World {
    let mut world = World::with_leases("p");
    world.file_read(Some(1));
    let asked = requests(&world.deadlines(1.0));
    assert_eq!(asked[0].kind, Kind::AskRenew);
    let asked = requests(&world.answer(&asked[0], None));
    let effects = world.answer(&asked[0], None);
    assert_eq!(guard(&effects), Some(Some(18.0)));
    world
}

#[test]
fn c4_the_command_waits_for_the_term_to_be_written() {
    let (mut world, _) = elected();
    assert_eq!(guard(&world.renewed(62.5)), Some(Some(79.5)));
    assert_eq!(world.lose_primary().0, "promotion_running");
}

#[test]
fn h2_a_lease_that_is_not_renewed_ends_the_command_and_fences() {
    let (mut world, command) = elected();
    world.deadlines(62.5);
    let effects = world.deadlines(77.0);
    assert!(effects.contains(&Effect::EndCommand(command)));
    assert_eq!(commands(&effects), [["fence"]]);
    assert_eq!(raised(&effects), [Alert::LeaseLost]);
    // Until it succeeds.
    let id = fence(&effects).unwrap();
    let effects = world.exited(id, 1);
    assert_eq!(
        (raised(&effects), fence(&effects)),
        (vec![Alert::FenceFailed], None)
    );
    assert_eq!(fence(&world.deadlines(79.9)), None);
    let id = fence(&world.deadlines(80.0)).unwrap();
    let effects = world.exited(id, 0);
    assert!(effects.contains(&Effect::ClearAlert(Alert::FenceFailed)));
    assert_eq!(guard(&effects), Some(None));
}

#[test]
fn c5_a_failed_command_is_fenced_before_its_term_is_released() {
    let (mut world, command) = elected();
    let effects = world.exited(command, 1);
    assert!(requests(&effects).is_empty());
    let id = fence(&effects).unwrap();
    assert_eq!(world.lose_primary().0, "bound_to_term");
    let effects = world.exited(id, 0);
    let (save, term) = saved_term(&effects).unwrap();
    assert_eq!((term, requests(&effects).len()), (0, 0));
    let released = requests(&world.saved(save, true));
    assert!(released.iter().all(|it| it.kind == Kind::Release));
    assert_eq!(released.len(), 2);
    assert_eq!(world.lose_primary().0, "stepped_aside");
}

#[test]
fn what_could_not_be_started_is_released_without_a_fence() {
    let (mut world, id) = elected();
    let outcome = CommandOutcome::NotStarted("no such file".to_owned());
    let effects = world.event(Event::CommandExited { id, outcome });
    assert_eq!(
        (fence(&effects), saved_term(&effects).unwrap().1),
        (None, 0)
    );
}

#[test]
fn a_command_that_promoted_nothing_is_run_again_in_the_same_term() {
    let (mut world, command) = elected();
    let config = crate::config::Config {
        failover_pause: Duration::ZERO,
        check_interval: Duration::from_secs(1),
        ..(**world.lookout.config()).clone()
    };
    world.event(Event::ConfigLoaded(std::sync::Arc::new(config)));
    world.exited(command, 0);
    world.renewed(62.5);
    world.polled_at(63.0, "s1", Some(standby()));
    let (_, effects) = world.lose_primary();
    assert_eq!(commands(&effects), [["promote"]]);
    assert!(requests(&effects).is_empty());
    // It is given up where that goes on.
    let command = effects.iter().find_map(Effect::purpose).unwrap().1;
    world.exited(command, 0);
    for seconds in [65.0, 67.5, 70.0, 72.5] {
        world.renewed(seconds);
    }
    assert!(fence(&world.deadlines(73.0)).is_some());
}

#[test]
fn h5_a_server_that_is_not_reached_for_the_limit_is_given_up() {
    // The poll began at 1 s.
    let mut world = holder();
    world.polled_at(2.0, "p", None);
    for seconds in [3.5, 6.0, 8.5] {
        world.renewed(seconds);
    }
    assert_eq!(fence(&world.polled_at(10.9, "p", None)), None);
    let id = fence(&world.deadlines(11.0)).unwrap();
    let effects = world.exited(id, 0);
    let (save, term) = saved_term(&effects).unwrap();
    assert_eq!(term, 0);
    assert_eq!(requests(&world.saved(save, true)).len(), 2);
}

#[test]
fn h5_after_a_poll_that_hung_for_the_limit_one_more_has_to() {
    for answers_again in [false, true] {
        let mut world = holder();
        for seconds in [3.5, 6.0, 8.5, 11.0] {
            world.renewed(seconds);
        }
        assert_eq!(fence(&world.polled_at(12.0, "p", None)), None);
        world.renewed(13.5);
        if answers_again {
            world.polled_at(13.6, "p", Some(primary()));
        }
        assert_eq!(fence(&world.deadlines(14.4)), None);
        let is_given_up = fence(&world.deadlines(14.5)).is_some();
        assert_eq!(is_given_up, !answers_again);
    }
}

#[test]
fn h5_one_that_answers_in_between_or_turns_us_away_is_not() {
    let mut world = holder();
    world.polled_at(2.0, "p", None);
    world.polled_at(9.0, "p", Some(primary()));
    world.polled_at(10.0, "p", None);
    for seconds in [11.0, 13.5, 16.0, 18.5] {
        world.renewed(seconds);
    }
    assert_eq!(fence(&world.deadlines(19.9)), None);
    let full = ProbeFailure::Refused {
        message: "too many clients".to_owned(),
    };
    world.event(Event::NodeProbed {
        node: "p".into(),
        probe: None,
        outcome: Err(full),
    });
    world.renewed(21.0);
    world.deadlines(22.0);
    assert_eq!(fence(&world.effects), None);
}

#[test]
fn h7_a_primary_that_no_majority_renews_after_a_restart_is_fenced() {
    let mut world = World::with_leases("p");
    world.file_read(Some(1));
    // Twice an interval and a timeout.
    assert_eq!(fence(&world.deadlines(8.9)), None);
    let effects = world.deadlines(9.0);
    assert_eq!(raised(&effects), [Alert::LeaseLost]);
    let id = fence(&effects).unwrap();
    assert_eq!(guard(&world.exited(id, 0)), Some(None));
    // What was seen of it before is not looked at any more.
    assert_eq!(fence(&world.deadlines(30.0)), None);
    let held = world.lookout.votes().next().unwrap().1.unwrap().holder();
    assert_eq!(
        held.map(Holder::stage),
        Some(Stage::Waiting { is_fenced: true })
    );
}

/// s2 answers that its server is fenced, or is not; returns what the alert of voters that disagree becomes.
fn answered_by_s2(world: &mut World, request: &Request, fences: bool) -> Option<String> {
    let answer = Answer {
        refusal: None,
        fences: Some(fences),
        ..Answer::without_record(request, Refusal::Busy, request.list.clone())
    };
    let effects = world.event(Event::VoteAnswered {
        cluster: request.cluster.clone(),
        voter: request.to.clone(),
        of: (request.nonce, request.kind),
        outcome: Ok(answer),
    });
    effects.into_iter().find_map(|effect| match effect {
        Effect::RaiseAlert {
            alert: Alert::VotersDisagree,
            text,
        } => Some(text),
        Effect::ClearAlert(Alert::VotersDisagree) => Some(String::new()),
        _ => None,
    })
}

#[test]
fn a_voter_without_a_fence_is_named_where_there_are_leases() {
    let mut leases = World::with_leases("p");
    let mut votes = World::start("");
    for (world, named) in [
        (&mut leases, Some("s2 has no fence_command in force")),
        (&mut votes, None),
    ] {
        world.file_read(None);
        let asked = requests(&world.deadlines(30.0));
        let request = asked.iter().find(|it| it.to.as_str() == "s2").unwrap();
        assert_eq!(answered_by_s2(world, request, true), Some(String::new()));
        assert_eq!(answered_by_s2(world, request, false).as_deref(), named);
        assert_eq!(
            answered_by_s2(world, request, true).as_deref(),
            named.map(|_| "")
        );
    }
}

#[test]
fn c7_a_standby_of_which_nobody_knows_whether_it_is_being_promoted_is_fenced() {
    let mut world = World::with_leases("s1");
    let id = fence(&world.file_read(Some(1))).unwrap();
    let effects = world.exited(id, 0);
    assert_eq!(saved_term(&effects).unwrap().1, 0);
}

#[test]
fn a_primary_without_a_lease_claims_the_next_term() {
    let mut world = World::with_leases("p");
    let effects = world.file_read(None);
    let asked = requests(&effects);
    assert_eq!((asked[0].kind, asked[0].term), (Kind::AskVote, 1));
    assert!(asked[0].position.is_some());
    let effects = world.answer(&asked[0], None);
    let (id, _) = saved_term(&effects).unwrap();
    let votes = requests(&world.saved(id, true));
    let effects = world.answer(&votes[0], None);
    let (id, term) = saved_term(&effects).unwrap();
    assert_eq!(term, 1);
    let effects = world.saved(id, true);
    assert_eq!(
        (guard(&effects), commands(&effects).len()),
        (Some(Some(17.0)), 0)
    );
    let gate = |world: &World| world.lookout.gate(now(world.seconds).mono).unwrap();
    assert_eq!(gate(&world), Ok(now(20.0).mono));
    world.seconds = 14.1;
    assert!(gate(&world).is_err());
    // A standby claims nothing, nor does a primary whose place another has taken.
    let mut world = World::with_leases("s1");
    assert!(requests(&world.file_read(None)).is_empty());
    let mut world = World::with_leases("p");
    world.polled_at(1.0, "s1", Some(primary()));
    assert!(requests(&world.file_read(None)).is_empty());
}

#[test]
fn the_time_of_a_suspended_host_is_taken_off_its_lease() {
    let mut world = holder();
    world.event(Event::HostSlept(Duration::from_secs(14)));
    assert_eq!(fence(&world.deadlines(3.9)), None);
    assert!(fence(&world.deadlines(4.0)).is_some());
}

/// What it was told before the restart counts until a majority has renewed.
#[test]
fn a_restart_leaves_the_guard_as_it_is() {
    let mut world = World::with_leases("p");
    world.file_read(Some(1));
    world.deadlines(1.0);
    assert_eq!(guard(&world.effects), None);
}

#[test]
fn a_reload_that_takes_the_fence_away_disarms_the_guard() {
    let mut world = holder();
    let mut config = (**world.lookout.config()).clone();
    config.voting.as_mut().unwrap().fence = None;
    let effects = world.event(Event::ConfigLoaded(std::sync::Arc::new(config)));
    assert_eq!(guard(&effects), Some(None));
    assert_eq!(world.lookout.gate(now(2.0).mono), None);
}

/// As a recording does that begins in the middle.
#[test]
fn another_core_goes_on_where_a_holder_is_at_rest() {
    let mut world = holder();
    assert!(world.lookout.votes_are_at_rest(now(2.0).mono));
    let mut other = World::with_leases("p");
    other.seconds = 2.0;
    for event in world.lookout.vote_files(now(2.0).mono) {
        other.event(event);
    }
    for world in [&mut world, &mut other] {
        world.effects.clear();
        world.renewed(3.5);
        world.deadlines(20.5);
    }
    let mut effects = [world.effects, other.effects];
    // A core that has just begun says so of its guard.
    for effects in &mut effects {
        effects.retain(|effect| !matches!(effect, Effect::Log { .. } | Effect::ProbeNode { .. }));
    }
    let [one, two] = effects.map(|effects| {
        (
            requests(&effects),
            guard(&effects),
            fence(&effects).is_some(),
        )
    });
    assert_eq!(one, two);
    assert_eq!((one.1, one.2), (Some(Some(20.5)), true));
}
