//! Rule S1.

use super::scene::{
    ask, at, control, deadlines, ended, fulfil, holder, polled, renewed, standby, world_now,
};
use super::*;
use crate::cluster::{DatabaseState, Identity, RoleReport};
use crate::lookout::votes_world::{World, commands, primary, requests};
use crate::lookout::{Effect, Event};
use crate::votes::Nonce;

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

/// `pg_data_directory` is another server's.
#[test]
fn s1_the_control_file_has_to_be_of_our_server() {
    let mut world = holder();
    let asked = ask(&mut world, 1, false, 5.0);
    let identity = Identity {
        system: Some("8".to_owned()),
        ..Identity::default()
    };
    world.polled_as("p", Some(primary()), identity);
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
        let identity = Identity {
            timeline: Some(timeline),
            ..Identity::default()
        };
        world.polled_as(node, Some(role), identity);
    }
    control(&mut world, DatabaseState::InProduction, 40);
    renewed(&mut world, &asked, true);
    world
}
