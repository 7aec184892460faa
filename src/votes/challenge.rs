//! Challenges: each request bears the one that the voter issued last to its sender, so that of all
//! requests ever recorded by somebody on the network at most one for each sender can still be
//! delivered late.
//!
//! A request with a wrong challenge is answered with the one that was issued last, not with a fresh
//! one. Nothing is lost by that: a challenge is no secret, since without the cluster's secret nobody
//! can make a request that bears it, and of all requests that do the first one to arrive is taken and
//! no other. A fresh one each time would let whoever repeats an old request make the challenge worthless
//! that its sender is about to use, again and again.

use std::collections::BTreeMap;

use super::Nonce;
use crate::config::VoterName;

/// What a voter has issued last to each sender.
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    issued: BTreeMap<VoterName, Nonce>,
}

/// What the challenge of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedChallenge {
    /// The request is new: it is taken, and this one is issued for the next.
    New(Nonce),
    /// It may be a repetition: it is not taken. With this challenge the sender may ask again.
    Wrong(Nonce),
}

impl Challenges {
    /// Has this sender a place here, or may it have one.
    pub fn has_room_for(&self, from: &VoterName) -> bool {
        self.issued.contains_key(from) || self.issued.len() < MOST_SENDERS
    }

    /// Checks the challenge of a request, which counts once. `fresh`: random bits.
    pub fn check(
        &mut self,
        from: &VoterName,
        given: Option<Nonce>,
        fresh: Nonce,
    ) -> CheckedChallenge {
        let issued = self.issued.get(from).copied();
        match issued {
            Some(issued) if Some(issued) == given => {
                self.issued.insert(from.clone(), fresh);
                CheckedChallenge::New(fresh)
            }
            Some(issued) => CheckedChallenge::Wrong(issued),
            None => {
                self.issued.insert(from.clone(), fresh);
                CheckedChallenge::Wrong(fresh)
            }
        }
    }
}

/// Of more names nothing is kept: the voters of four lists of the greatest length.
const MOST_SENDERS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once() {
        let (a, b) = (VoterName::from("a"), VoterName::from("b"));
        let [one, two, three, four] = [1, 2, 3, 4].map(Nonce);
        let mut challenges = Challenges::default();
        let mut check = |from, given, fresh| challenges.check(from, given, fresh);
        // After a restart nothing was issued: whatever was recorded before is refused.
        assert_eq!(check(&a, Some(four), one), CheckedChallenge::Wrong(one));
        assert_eq!(check(&a, None, two), CheckedChallenge::Wrong(one));
        assert_eq!(check(&a, Some(one), two), CheckedChallenge::New(two));
        assert_eq!(check(&a, Some(one), three), CheckedChallenge::Wrong(two));
        // What was issued to one is worth nothing to another.
        assert_eq!(check(&b, Some(two), three), CheckedChallenge::Wrong(three));
        assert_eq!(check(&a, Some(two), four), CheckedChallenge::New(four));
    }

    #[test]
    fn a_repeated_request_takes_no_challenge_away_from_its_sender() {
        let a = VoterName::from("a");
        let [old, issued, fresh] = [1, 2, 3].map(Nonce);
        let mut challenges = Challenges::default();
        assert_eq!(
            challenges.check(&a, None, issued),
            CheckedChallenge::Wrong(issued)
        );
        for _ in 0..3 {
            assert_eq!(
                challenges.check(&a, Some(old), fresh),
                CheckedChallenge::Wrong(issued)
            );
        }
        // Two requests with the same one, whichever comes first: one of them is taken.
        assert_eq!(
            challenges.check(&a, Some(issued), fresh),
            CheckedChallenge::New(fresh)
        );
        assert_eq!(
            challenges.check(&a, Some(issued), old),
            CheckedChallenge::Wrong(fresh)
        );
    }
}
