//! Challenges: each request bears the one that the voter issued last to its sender, so that of all
//! requests ever recorded by somebody on the network at most one for each sender can still be
//! delivered late.

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
}
