//! Who votes. How one list takes the place of another is in `next_list`.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::config::{VoterName, VotingCluster};

/// The voters of a cluster: `voters` in one `generation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterList {
    /// Which list it is, counted from 1.
    pub generation: u64,
    /// Their names. A majority of them elects.
    pub names: BTreeSet<VoterName>,
}

/// What distinguishes two lists in messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListId {
    /// Which list it is, counted from 1.
    pub generation: u64,
    /// The first 16 bytes, in hexadecimal digits, of the SHA-256 of the names, each behind its length.
    pub fingerprint: String,
}

impl From<&VotingCluster> for VoterList {
    fn from(cluster: &VotingCluster) -> Self {
        Self {
            generation: cluster.generation,
            names: cluster.voters.keys().cloned().collect(),
        }
    }
}

impl VoterList {
    /// What it is called in messages.
    pub fn id(&self) -> ListId {
        let mut hash = Sha256::new();
        for name in &self.names {
            let length = u64::try_from(name.as_str().len()).unwrap_or(u64::MAX);
            hash.update(length.to_be_bytes());
            hash.update(name.as_str());
        }
        let digits =
            hash.finalize()
                .iter()
                .take(16)
                .fold(String::new(), |mut digits: String, byte: &u8| {
                    digits += &format!("{byte:02x}");
                    digits
                });
        ListId {
            generation: self.generation,
            fingerprint: digits,
        }
    }

    /// How many votes it takes: more than half.
    pub fn majority(&self) -> usize {
        self.names.len() / 2 + 1
    }

    /// Are these more than half of the voters. Names that are not on the list do not count.
    pub fn is_majority(&self, granted: &BTreeSet<VoterName>) -> bool {
        self.names.intersection(granted).count() >= self.majority()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> VoterList {
        VoterList {
            generation: 1,
            names: names.iter().map(|name| VoterName::from(*name)).collect(),
        }
    }

    #[test]
    fn half_is_no_majority_and_strangers_do_not_count() {
        let granted = |names: &[&str]| list(names).names;
        let four = list(&["a", "b", "c", "d"]);
        assert_eq!(four.majority(), 3);
        assert!(!four.is_majority(&granted(&["a", "b"])));
        assert!(!four.is_majority(&granted(&["a", "b", "x"])));
        assert!(four.is_majority(&granted(&["a", "b", "d"])));
        assert_eq!(list(&["a", "b", "c"]).majority(), 2);
    }

    #[test]
    fn lists_of_other_names_have_other_fingerprints() {
        let id = |names: &[&str]| list(names).id().fingerprint;
        assert_eq!(id(&["a", "b"]), id(&["b", "a"]));
        assert_ne!(id(&["a", "b"]), id(&["ab"]));
        assert_ne!(id(&["a", "b"]), id(&["a", "b", "c"]));
        assert_eq!(id(&["a"]).len(), 32);
    }
}
