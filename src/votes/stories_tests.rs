//! Stories, each of which two leases or two writers come of where one rule is broken: the shortest that a
//! search has found, told with messages and seconds. Here they end without harm.

use super::model_world::{Act, NAMES, World, index};
use super::scene::{LEASES, at, list, name, renewal, request, standby, started, voter};
use super::voter::{Asker, Taken};
use super::*;

/// One line is one act at so many seconds, the clocks being right:
/// - `a elect`: elected, every message arrives at once
/// - `a tick`, `a stand`, `a crash`, `a reboot`, `a fenced`, `a gives up`: as they are called
/// - `b takes a vote`: the newest such request of a reaches b, which writes and answers
/// - `a counts b renew`: the newest such answer of b reaches a, which writes what it has to
///
/// `expected`: who has won, in the order of terms.
#[track_caller]
fn check(story: &str, expected: &str) {
    let mut world = World::with_leases([0; 3]);
    let mut now = 0;
    for line in story.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds: u64 = words[0].parse().unwrap();
        if seconds > now {
            world.act(Act::Wait(seconds - now));
            now = seconds;
        }
        run_story(&mut world, &words[1..]);
    }
    let won: Vec<_> = world.won.values().map(|at| NAMES[*at]).collect();
    assert_eq!(won.join(" "), expected);
}

fn run_story(world: &mut World, words: &[&str]) {
    let who = |name: &str| index(&name.into());
    let kind = |name: &str| Kind::ALL.into_iter().find(|it| it.name() == name).unwrap();
    let own = who(words[0]);
    match words[1..] {
        ["elect"] => return world.elect(own),
        ["tick"] => world.act(Act::Tick(own)),
        ["stand"] => world.act(Act::Stand(own)),
        ["crash"] => world.act(Act::Crash(own, false)),
        ["reboot"] => world.act(Act::Reboot(own)),
        ["fenced"] => world.act(Act::Fenced(own)),
        ["gives", "up"] => world.act(Act::GiveUp(own)),
        ["takes", from, of] => {
            let is_it = |it: &Request| {
                (it.kind, index(&it.from), index(&it.to)) == (kind(of), who(from), own)
            };
            let nth = world.requests.iter().rposition(is_it).unwrap();
            world.act(Act::Request(nth));
        }
        ["counts", from, of] => {
            let is_it = |it: &Answer| {
                (it.kind, index(&it.from), index(&it.to)) == (kind(of), who(from), own)
            };
            let nth = world.answers.iter().rposition(is_it).unwrap();
            world.act(Act::Answer(nth));
        }
        _ => panic!("no such line: {words:?}"),
    }
    while world.nodes[own].writing.is_some() {
        world.act(Act::Written(own));
    }
}

#[test]
fn renewals_bind() {
    // b has renewed, c has not: a's lease lasts until 26, and c is not elected before b is free.
    check(
        "0 a elect\n10 a tick\n10 b takes a renew\n10 a counts b renew\n17 c stand\n25 c tick\n25 c stand",
        "a",
    );
    check(
        "0 a elect\n10 a tick\n10 b takes a renew\n10 a counts b renew\n24 a tick\n24 a fenced\n27 c stand\n\
         27 b takes c vote\n27 c counts b vote",
        "a c",
    );
}

#[test]
fn nothing_is_released_before_the_fence() {
    let story = "0 a elect\n5 a gives up\n5 c stand\n6 a fenced\n6 b takes a release\n6 c takes a release\n6 c tick";
    check(story, "a");
    let story = format!("{story}\n30 c stand\n30 b takes c vote\n30 c counts b vote");
    check(&story, "a c");
}

#[test]
fn a_release_leaves_no_round_that_counts() {
    // b's renewal arrives after the release, and its answer after that.
    check(
        "0 a elect\n5 a tick\n5 b takes a renew\n5 a gives up\n6 a fenced\n6 b takes a release\n6 c takes a release\n\
         6 a counts b renew\n6 b takes a renew\n6 a counts b renew\n7 c stand\n7 b takes c vote\n7 c counts b vote",
        "a c",
    );
}

#[test]
fn renewals_of_lower_terms_are_refused() {
    // a's round is under way when c is elected; it reaches c and b only after that.
    check(
        "0 a elect\n13 a tick\n14 a tick\n14 a fenced\n18 c stand\n18 b takes c vote\n18 c counts b vote\n\
         19 b takes a renew\n19 c takes a renew\n19 a counts b renew\n19 a counts c renew",
        "a c",
    );
}

#[test]
fn a_voter_that_was_restarted_keeps_its_promise() {
    check(
        "0 a elect\n1 b crash\n1 c crash\n2 c stand\n15 c stand",
        "a",
    );
}

#[test]
fn the_guard_outlives_the_daemon() {
    check(
        "0 a elect\n1 a crash\n18 c stand\n18 b takes c vote\n18 c counts b vote",
        "a c",
    );
}

#[test]
fn a_holder_that_boots_has_no_lease() {
    let mut world = World::with_leases([0; 3]);
    world.elect(0);
    world.act(Act::Reboot(0));
    let limits = super::model_world::Limits {
        candidates: vec![],
        terms: 0,
        crashes: 0,
        waits: 0,
        seconds: &[],
        gives_up: false,
        fails: false,
    };
    let acts = world.acts(&limits);
    let starts = |act: &Act| matches!(act, Act::Start(_));
    assert!(!acts.iter().any(starts), "{acts:?}");
}

/// Five voters: a holds term 1 and goes down, b holds term 2 by voters that a then wins in term 3, and
/// b's renewals, which arrive late, would let both write. What forbids it twice over: a stopped holder
/// asks for no votes, and a renewal counts in its own term only, whoever sends it.
#[test]
fn a_stopped_holder_asks_for_no_votes_and_renews_its_own_term_only() {
    let mut record = Record::new(list());
    (record.term, record.held_term) = (1, 1);
    record.voted_for = Some(Mandate {
        candidate: name("a"),
        nonce: Nonce(1),
    });
    let mut stopped = started(("a", LEASES), record, 1, at(0.0));
    let mut out = Vec::new();
    stopped.stand(&standby(100), at(99.0), &mut out);
    assert_eq!(out, []);
    let mut third = voter("c", Record::new(list()));
    for (term, from, attempt, seconds) in [(1, "a", 1, 0.0), (2, "b", 2, 20.0), (3, "a", 3, 40.0)] {
        let asked = request(Kind::Vote, term, from, attempt);
        let Taken::Write(id, _) = third.take(Asker::Own, &asked, &standby(0), at(seconds)) else {
            panic!("not granted");
        };
        third.saved(id, true, &standby(0), at(seconds));
    }
    for (term, from, attempt, expected) in [
        (1, "a", 1, Some(Refusal::Term)),
        (2, "b", 2, Some(Refusal::Term)),
        (2, "a", 3, Some(Refusal::Term)),
        (3, "a", 3, None),
    ] {
        let renewal = renewal(Kind::Renew, term, from, attempt);
        let Taken::Answer(answer) = third.take(Asker::Own, &renewal, &standby(0), at(41.0)) else {
            panic!("written");
        };
        assert_eq!(answer.refusal, expected, "{term} {from}");
    }
}
