//! Changes of the list of voters, at random, in the [world](super::list_world) of six hosts.

use super::list_world::{HOSTS, World};
use crate::testing::draws;

/// What operators do: one replaced after the other, grown and shrunk, and all names changed.
const CHANGES: [&[&str]; 6] = [
    &["abc", "abd", "ade", "def"],
    &["abc", "abcde", "cde", "def"],
    &["abcde", "abc", "abcd", "abd"],
    &["abc", "abcd", "bcd", "bcde", "cde"],
    &["abcdef", "abc", "abc", "bcd"],
    &["abc", "bcd", "cde", "def", "aef"],
];

/// Seeded schedules: `PGLOOKOUT_VOTES_WALKS` for more of them.
fn walk(has_leases: bool, seed: u64, usual: usize) {
    let walks = std::env::var("PGLOOKOUT_VOTES_WALKS");
    let walks = walks.ok().and_then(|it| it.parse().ok()).unwrap_or(usual);
    let mut draw = draws(seed);
    let (mut won, mut slowest, mut several, mut moves) = (0, 0, 0, 0);
    for nth in 0..walks {
        let mut world = World::new(CHANGES[draw(CHANGES.len())], has_leases);
        for _ in 0..draw(2_000) {
            world.happen(&mut draw);
        }
        won += world.won.len();
        moves += world.moves;
        several += usize::from(world.won.len() > 3);
        let mut order: Vec<_> = (0..HOSTS.len()).collect();
        for at in 0..order.len() {
            order.swap(at, draw(HOSTS.len()));
        }
        let seconds = world.heal(&order);
        let seconds =
            seconds.unwrap_or_else(|| panic!("schedule {nth} stands still: {}", world.described()));
        slowest = slowest.max(seconds);
    }
    println!(
        "{walks} schedules, {won} elections won, {several} with several, {moves} moves of lists; healed and changed within \
         {slowest} s"
    );
    assert!(won > walks && several > walks / 20, "{won} {several}");
}

#[test]
fn no_change_of_lists_elects_two_or_stands_still() {
    walk(false, 0x0115_7500, 400);
}

#[test]
fn no_change_of_lists_has_two_leases_or_stands_still() {
    walk(true, 0x0115_7501, 400);
}
