//! The figures behind a decision, as lines of a transcript.

use std::fmt::Write;

use crate::failover::Figures;
use crate::lookout::Round;

/// The figures behind a decision: `primary p lost`, `place s1 first`, `votes ...`, `would ...`.
pub(super) fn behind(round: &Round) -> Vec<String> {
    let Figures {
        primaries,
        standbys,
        votes,
        changes,
        ..
    } = &round.figures;
    let primaries = primaries
        .iter()
        .map(|primary| format!("primary {} {}", primary.node, primary.standing.name()));
    let places = standbys
        .iter()
        .map(|standby| format!("place {} {}: {standby}", standby.node, standby.place.name()));
    let mut vote = format!("votes {}:", votes.quorum());
    votes
        .known
        .iter()
        .for_each(|voter| write!(vote, " {voter}").unwrap());
    votes
        .missing
        .iter()
        .for_each(|(voter, why)| write!(vote, " -{voter}={}", why.name()).unwrap());
    let changes = changes.iter().map(|change| format!("would {change}"));
    primaries
        .chain(places)
        .chain([vote])
        .chain(changes)
        .collect()
}
