//! What daemons ask each other, and what they answer. How it is written on the wire is `format`'s.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use super::{ListId, ListNews, Nonce};
use crate::cluster::Lsn;
use crate::config::{ClusterName, VoterName};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Would you vote for me: changes nothing (rule V6).
    AskVote,
    /// Vote for me.
    Vote,
    /// Would you take a renewal of my term: changes nothing (rule V9).
    AskRenew,
    /// Renew what you have promised for my term (rules V7 and V8).
    Renew,
    /// This attempt of mine is over, or this term (rule V10).
    Release,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AskVote,
        Self::Vote,
        Self::AskRenew,
        Self::Renew,
        Self::Release,
    ];

    /// Its name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::AskVote => "ask_vote",
            Self::Vote => "vote",
            Self::AskRenew => "ask_renew",
            Self::Renew => "renew",
            Self::Release => "release",
        }
    }

    /// Is it about a term that its sender holds.
    pub fn is_renewal(self) -> bool {
        matches!(self, Self::AskRenew | Self::Renew)
    }
}

/// How far a standby is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The timeline of its data, where that is known.
    pub timeline: Option<u32>,
    /// The higher of receive and replay position.
    pub lsn: Lsn,
}

impl Position {
    /// Is it ahead of `other` by timeline, then by LSN. A timeline that is not known decides nothing,
    /// and whoever has no position is behind.
    pub(super) fn is_ahead_of(&self, other: Option<&Self>) -> bool {
        let Some(other) = other else { return true };
        let timelines = self.timeline.zip(other.timeline);
        let by_timeline = timelines.map_or(Ordering::Equal, |(ours, theirs)| ours.cmp(&theirs));
        by_timeline.then(self.lsn.cmp(&other.lsn)) == Ordering::Greater
    }

    /// Is it on a later timeline than `other`. One that is not known is not later.
    pub(super) fn is_on_later_timeline_than(&self, other: Option<&Self>) -> bool {
        let timelines = self.timeline.zip(other.and_then(|other| other.timeline));
        timelines.is_some_and(|(ours, theirs)| ours > theirs)
    }
}

/// A request of a candidate, or of the holder of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// The candidate, or holder.
    pub from: VoterName,
    /// The voter.
    pub to: VoterName,
    /// What is asked for.
    pub kind: Kind,
    /// In which term.
    pub term: u64,
    /// The attempt, or the round of renewals.
    pub nonce: Nonce,
    /// The attempt that has the vote in this term, or is to get it.
    pub mandate: Nonce,
    /// How long the voter is to vote for nobody else, before the margin for clocks that differ.
    pub lease: Duration,
    /// Of the candidate's server.
    pub position: Option<Position>,
    /// Its system identifier.
    pub system: Option<String>,
    /// The candidate's list of voters.
    pub list: ListId,
    /// What it knows of it; `None`: it is of the version before, which changes no lists.
    pub news: Option<Box<ListNews>>,
    /// With a release: for whom the next vote is reserved.
    pub successor: Option<VoterName>,
}

/// The voter's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// The voter.
    pub from: VoterName,
    /// The candidate, or holder.
    pub to: VoterName,
    /// What was asked for.
    pub kind: Kind,
    /// The attempt, or the round of renewals.
    pub nonce: Nonce,
    /// Why it is refused; `None`: it is granted.
    pub refusal: Option<Refusal>,
    /// When it might be otherwise, if that is known.
    pub wait: Option<Duration>,
    /// The voter's term.
    pub term: u64,
    /// Who has its vote in that term.
    pub voted_for: Option<VoterName>,
    /// Of the voter's own server, if that is a standby.
    pub position: Option<Position>,
    /// Would the voter promote its own server (rule C6).
    pub willing: bool,
    /// Is the voter's server fenced when it has lost its lease; `None`: it has none that may be promoted.
    pub fences: Option<bool>,
    /// The voter's list.
    pub list: ListId,
    /// What it knows of it; `None`: it is of the version before, or has no record.
    pub news: Option<Box<ListNews>>,
    /// Nothing is left of what it has promised to anybody, and it writes nothing.
    pub is_free: bool,
}

impl Answer {
    /// Of a voter that has not looked into its vote file, or has none.
    pub fn without_record(request: &Request, refusal: Refusal, list: ListId) -> Self {
        Self {
            cluster: request.cluster.clone(),
            from: request.to.clone(),
            to: request.from.clone(),
            kind: request.kind,
            nonce: request.nonce,
            refusal: Some(refusal),
            wait: None,
            term: 0,
            voted_for: None,
            position: None,
            willing: false,
            fences: None,
            list,
            news: None,
            is_free: false,
        }
    }
}

/// Why a vote is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Rule V1: the voter has no usable vote file, or the lists of voters do not go together.
    List,
    /// Rule L1: the voter is new, and does not know yet that its list is accepted.
    Joining,
    /// Rule V1: the two servers are not of one cluster.
    System,
    /// Rule V6: a write is under way, or has failed.
    Busy,
    /// Rule V2: the voter has voted in this term, or a later one.
    Term,
    /// Rule V3: the voter has promised to vote for nobody but another.
    Promised,
    /// Rule V3: the voter was restarted, and may have promised so.
    Quarantine,
    /// Rule V10: the vote is reserved for another.
    Reserved,
    /// Rule V4: the voter's own standby is ahead.
    Behind,
    /// Rule V5: the voter has just reached a primary.
    Sighted,
    /// The request bears another challenge than was issued last.
    Challenge,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::List,
        Self::Joining,
        Self::System,
        Self::Busy,
        Self::Term,
        Self::Promised,
        Self::Quarantine,
        Self::Reserved,
        Self::Behind,
        Self::Sighted,
        Self::Challenge,
    ];

    /// Its name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Joining => "joining",
            Self::System => "system",
            Self::Busy => "busy",
            Self::Term => "term",
            Self::Promised => "promised",
            Self::Quarantine => "quarantine",
            Self::Reserved => "reserved",
            Self::Behind => "behind",
            Self::Sighted => "sighted",
            Self::Challenge => "challenge",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "has no usable vote file, or another list of voters",
            Self::Joining => "is new, and waits until its list of voters is accepted",
            Self::System => "watches another database cluster",
            Self::Busy => "is still writing its vote file",
            Self::Term => "has voted in this term or a later one",
            Self::Promised => "has promised its vote to another",
            Self::Quarantine => "was restarted, and may have promised its vote before",
            Self::Reserved => "has its vote reserved for another",
            Self::Behind => "has a standby that is further",
            Self::Sighted => "has just reached a primary",
            Self::Challenge => "expected another challenge",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timelines_come_before_positions() {
        let at = |timeline, bytes| Position {
            timeline,
            lsn: Lsn::from_bytes(bytes),
        };
        let check = |one: Position, other: Option<Position>, expected: bool| {
            assert_eq!(
                one.is_ahead_of(other.as_ref()),
                expected,
                "{one:?} {other:?}"
            );
        };
        check(at(Some(1), 9), Some(at(Some(2), 1)), false);
        check(at(Some(2), 1), Some(at(Some(1), 9)), true);
        check(at(Some(1), 9), Some(at(Some(1), 8)), true);
        check(at(Some(1), 8), Some(at(Some(1), 8)), false);
        check(at(None, 9), Some(at(Some(2), 8)), true);
        check(at(Some(1), 8), None, true);
    }
}
