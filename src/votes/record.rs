//! What a voter keeps on its disk. One value, written in one piece: a term without its vote, or a vote
//! without its term, would elect two.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Roll, VoterList};
use crate::config::VoterName;

/// 128 random bits: of an attempt to be elected, or of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Nonce {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected 32 hexadecimal digits in lower case";
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(expected);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| expected)
    }
}

/// Who has a vote: a name, and the attempt. A cloned host with the same name has not made the attempt,
/// and gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// The candidate.
    pub candidate: VoterName,
    /// Its attempt.
    pub nonce: Nonce,
}

/// The content of the vote file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who votes.
    pub list: VoterList,
    /// How far this list has come.
    pub roll: Roll,
    /// The highest term in which this voter has voted; 0: it has not voted yet.
    pub term: u64,
    /// For whom.
    pub voted_for: Option<Mandate>,
    /// The longest promise that was given in this term. After a restart nobody knows how much of it
    /// is left.
    pub promise: Duration,
    /// The term that this daemon holds: its own server may be a primary by it. 0: none.
    pub held_term: u64,
}

impl Record {
    /// The record of a voter that has never voted, in a list that was never changed.
    pub fn new(list: VoterList) -> Self {
        Self {
            list,
            roll: Roll::first(),
            term: 0,
            voted_for: None,
            promise: Duration::ZERO,
            held_term: 0,
        }
    }

    /// The record of a voter that is new to a cluster: it votes once it knows that its list is accepted.
    pub fn joining(list: VoterList) -> Self {
        Self {
            roll: Roll::joining(),
            ..Self::new(list)
        }
    }

    /// The attempt of this candidate that has the vote in this term, if one of its has.
    pub(super) fn mandate_of(&self, candidate: &VoterName, term: u64) -> Option<Nonce> {
        let mandate = self.voted_for.as_ref()?;
        (self.term == term && mandate.candidate == *candidate).then_some(mandate.nonce)
    }

    /// Has this attempt the vote in this term.
    pub(super) fn is_for(&self, term: u64, candidate: &VoterName, nonce: Nonce) -> bool {
        let mandate = self.voted_for.as_ref();
        let is_it = |mandate: &Mandate| mandate.candidate == *candidate && mandate.nonce == nonce;
        self.term == term && mandate.is_some_and(is_it)
    }

    /// Has an attempt of this candidate the vote.
    pub(super) fn is_vote_for(&self, candidate: &VoterName) -> bool {
        let mandate = self.voted_for.as_ref();
        mandate.is_some_and(|mandate| mandate.candidate == *candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_32_digits() {
        let nonce = Nonce(0xAB);
        let text = "000000000000000000000000000000ab";
        assert_eq!(
            (nonce.to_string().as_str(), text.parse()),
            (text, Ok(nonce))
        );
        for wrong in [
            "",
            "ab",
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('a', "+"),
        ] {
            assert!(wrong.parse::<Nonce>().is_err(), "{wrong}");
        }
    }
}
