//! What may happen to the [world](super::model_world) of three daemons, at random and exhaustively.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::model_world::{Act, DRIFT, Limits, World};
use crate::testing::draws;

/// Seeded schedules: `PGLOOKOUT_VOTES_WALKS` for more of them.
#[test]
fn no_schedule_elects_two() {
    let walks = walks(3_000);
    let limits = Limits {
        candidates: vec![0, 1, 2],
        terms: 6,
        crashes: 4,
        waits: 12,
        seconds: &[3, 1_000],
        gives_up: false,
        fails: true,
    };
    let mut draw = draws(0x5EED_07E5);
    let (mut wins, mut contested) = (0, 0);
    for _ in 0..walks {
        let mut world = World::new();
        for _ in 0..160 {
            let act = pick(&world.acts(&limits), &mut draw);
            world.act(act);
        }
        wins += world.won.len();
        let winners: BTreeSet<_> = world.won.values().collect();
        contested += usize::from(winners.len() > 1);
    }
    println!(
        "{walks} schedules, {wins} elections won, {contested} schedules with several winners in several terms"
    );
    assert!(
        wins > walks / 3 && contested > walks / 300,
        "{wins} {contested}"
    );
}

/// The same with leases, and clocks of which each is right, slow or fast.
#[test]
fn no_schedule_has_two_leases() {
    let walks = walks(3_000);
    let limits = Limits {
        candidates: vec![0, 1, 2],
        terms: 6,
        crashes: 4,
        waits: 20,
        seconds: &[1, 3, 3, 3, 3, 14, 16, 100],
        gives_up: true,
        fails: true,
    };
    let mut draw = draws(0x1EA5_E5ED);
    let (mut wins, mut renewed, mut started, mut reserved) = (0, 0, 0, 0);
    for _ in 0..walks {
        let mut world = World::with_leases([(); 3].map(|()| [-DRIFT, 0, DRIFT][draw(3)]));
        if draw(2) == 0 {
            world.elect(draw(2) * 2);
        }
        for _ in 0..200 {
            let act = pick(&world.acts(&limits), &mut draw);
            world.act(act);
        }
        wins += world.won.len();
        renewed += world.renewed;
        started += world.started;
        reserved += world.reserved;
    }
    println!(
        "{walks} schedules, {wins} elections won, {renewed} renewals, {started} servers started again by a lease, \
         {reserved} successors"
    );
    assert!(
        wins > walks / 3 && renewed > walks / 10 && started > walks / 300 && reserved > walks / 30,
        "{wins} {renewed} {started} {reserved}"
    );
}

fn walks(usual: usize) -> usize {
    let walks = std::env::var("PGLOOKOUT_VOTES_WALKS");
    walks.ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

/// Mostly things go well, or hardly anybody would be elected: what was sent or begun last comes first.
fn pick(acts: &[Act], draw: &mut impl FnMut(usize) -> usize) -> Act {
    let mut kinds: [Vec<&Act>; 4] = Default::default();
    for act in acts {
        let kind = match act {
            Act::Failed(..)
            | Act::Crash(..)
            | Act::Reboot(_)
            | Act::GiveUp(_)
            | Act::HandOver(..) => 0,
            Act::Wait(_) => 1,
            Act::Request(_) | Act::Answer(_) => 2,
            _ => 3,
        };
        kinds[kind].push(act);
    }
    let [faults, waits, messages, others] = kinds;
    let from = match draw(20) {
        0 if draw(3) == 0 => faults,
        0 => waits,
        1..=6 => others,
        7..=14 => {
            let newest = messages.len().saturating_sub(4);
            messages[newest..].to_vec()
        }
        _ => messages,
    };
    match from.len() {
        0 => acts[draw(acts.len())],
        count => *from[draw(count)],
    }
}

/// Everything that can happen to two candidates, a crash and the end of all promises, breadth first.
#[test]
fn nothing_within_bounds_elects_two() {
    let limits = Limits {
        candidates: vec![0, 1],
        terms: 2,
        crashes: 1,
        waits: 1,
        seconds: &[1_000],
        gives_up: false,
        // A crash is as bad.
        fails: false,
    };
    let won = everything(World::new(), &limits, 1, MOST_STATES);
    assert!(won > 100, "{won}");
}

/// Everything that can happen to a slow holder among fast voters, just before its lease is over and
/// just after that; with a round of renewals that is under way, and without one.
#[test]
fn nothing_within_bounds_has_two_leases() {
    let limits = Limits {
        candidates: vec![2],
        terms: 2,
        crashes: 0,
        waits: 0,
        seconds: &[],
        gives_up: false,
        fails: false,
    };
    let mut won = 0;
    for (renews, seconds) in [(false, 16), (false, 17), (true, 16)] {
        let mut world = World::with_leases([-DRIFT, DRIFT, DRIFT]);
        world.elect(0);
        if renews {
            world.act(Act::Wait(4));
            world.act(Act::Tick(0));
        }
        world.act(Act::Wait(seconds));
        won += everything(world, &limits, 2, MOST_STATES / 2);
    }
    assert!(won > 0);
}

/// Breadth first, so far as there is room. Returns in how many states so many terms were won.
fn everything(start: World, limits: &Limits, terms: usize, most: usize) -> usize {
    let mut queue = VecDeque::from([(start, 0)]);
    let (mut seen, mut won) = (HashSet::new(), 0);
    let mut deepest = 0;
    while let Some((world, depth)) = queue.pop_front() {
        if seen.len() >= most {
            break;
        }
        deepest = depth;
        won += usize::from(world.won.len() >= terms);
        for act in world.acts(limits) {
            let mut next = world.clone();
            next.act(act);
            next.forget_exchanges();
            if seen.insert(key(&next)) {
                queue.push_back((next, depth + 1));
            }
        }
    }
    println!(
        "{} states to depth {deepest}, {won} with {terms} terms won",
        seen.len()
    );
    won
}

/// Equal states are equal texts.
fn key(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{world:?}").hash(&mut hasher);
    hasher.finish()
}

const MOST_STATES: usize = 25_000;
