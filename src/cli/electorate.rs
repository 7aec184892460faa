//! What the voters of a configuration come to: how many elect, how many may be lost, and what a network
//! that falls into parts leaves.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::{ClusterName, Config, VoterName, VotingCluster};
use crate::votes::VoterList;

/// Of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Electorate {
    cluster: ClusterName,
    voters: Vec<VoterName>,
    needed: usize,
    is_dry: bool,
    /// A primary without a majority is stopped.
    fences: bool,
    /// Voters whose URLs name one host, which are lost together.
    together: BTreeMap<String, Vec<VoterName>>,
}

impl Electorate {
    /// Of each cluster in which this daemon votes.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let fences = config.own_db.is_some() && config.fence().is_some();
        let clusters = config.voting.iter().flat_map(|voting| &voting.clusters);
        clusters
            .map(|(name, of)| Self::new(name, of, fences))
            .collect()
    }

    fn new(name: &ClusterName, of: &VotingCluster, fences: bool) -> Self {
        let mut together: BTreeMap<String, Vec<VoterName>> = BTreeMap::new();
        for (voter, url) in &of.voters {
            let same = together.entry(url.host.clone()).or_default();
            same.push(voter.clone());
        }
        together.retain(|_, voters| voters.len() > 1);
        Self {
            cluster: name.clone(),
            voters: of.voters.keys().cloned().collect(),
            needed: VoterList::from(of).majority(),
            is_dry: of.dry,
            fences: fences && !of.dry,
            together,
        }
    }

    fn may_be_lost(&self) -> usize {
        self.voters.len().saturating_sub(self.needed)
    }

    /// Is there a host without which nobody is elected.
    pub(super) fn hangs_on_one_host(&self) -> bool {
        let mut together = self.together.values();
        together.any(|voters| voters.len() > self.may_be_lost())
    }
}

impl fmt::Display for Electorate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, needed, lost) = (self.voters.len(), self.needed, self.may_be_lost());
        let fate = match self.fences {
            true => "is fenced, and so is one that reaches fewer",
            false => "stays writable",
        };
        write!(
            f,
            "cluster {}: {needed} of {count} voters ({}) elect; {lost} may be lost, without {} nobody is promoted. Where \
             the network falls into parts, only one with {needed} voters promotes; a primary in another part {fate}",
            self.cluster,
            joined(&self.voters),
            lost.saturating_add(1),
        )?;
        for (host, voters) in &self.together {
            write!(f, "; {} are lost together with {host}", joined(voters))?;
            if voters.len() > lost {
                let left = count.saturating_sub(voters.len());
                write!(f, ", and the {left} that are left elect nobody")?;
            }
        }
        if self.is_dry {
            f.write_str("; dry: votes decide nothing yet")?;
        }
        Ok(())
    }
}

fn joined(voters: &[VoterName]) -> String {
    let names: Vec<_> = voters.iter().map(VoterName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    #[track_caller]
    fn check(voters: &str, dry: bool, expected: &str, hangs_on_one_host: bool) {
        check_with("", voters, dry, expected, hangs_on_one_host);
    }

    #[track_caller]
    fn check_with(more: &str, voters: &str, dry: bool, expected: &str, hangs_on_one_host: bool) {
        let text = format!(
            r#"{{"remote_conns": {{"p": "host=p", "s": "host=s"}}, "own_db": "s", "vote_directory": "/v", {more}
            "voting": {{"main": {{"generation": 1, "secret_file": "/s", "dry": {dry}, "voters": {{{voters}}}}}}}}}"#
        );
        let config = parse(&text, &Environment::default()).unwrap().config;
        let all = Electorate::all(&config);
        let sentences: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(sentences, [expected]);
        assert_eq!(all[0].hangs_on_one_host(), hangs_on_one_host);
    }

    #[test]
    fn what_may_be_lost() {
        check(
            r#""o": "http://o", "p": "http://p", "s": "http://s""#,
            false,
            "cluster main: 2 of 3 voters (o, p, s) elect; 1 may be lost, without 2 nobody is promoted. Where the network \
             falls into parts, only one with 2 voters promotes; a primary in another part stays writable",
            false,
        );
        check(
            r#""o": "http://p:1", "p": "http://p:2", "s": "http://s", "q": "http://q", "r": "http://r""#,
            true,
            "cluster main: 3 of 5 voters (o, p, q, r, s) elect; 2 may be lost, without 3 nobody is promoted. Where the \
             network falls into parts, only one with 3 voters promotes; a primary in another part stays writable; o, p \
             are lost together with p; dry: votes decide nothing yet",
            false,
        );
    }

    #[test]
    fn with_a_fence_a_primary_without_a_majority_is_stopped() {
        check_with(
            r#""fence_command": "fence","#,
            r#""o": "http://o", "p": "http://p", "s": "http://s""#,
            false,
            "cluster main: 2 of 3 voters (o, p, s) elect; 1 may be lost, without 2 nobody is promoted. Where the network \
             falls into parts, only one with 2 voters promotes; a primary in another part is fenced, and so is one that \
             reaches fewer",
            false,
        );
    }

    #[test]
    fn a_host_on_which_everything_hangs() {
        check(
            r#""o": "http://p:1", "p": "http://p:2", "s": "http://s", "q": "http://q""#,
            false,
            "cluster main: 3 of 4 voters (o, p, q, s) elect; 1 may be lost, without 2 nobody is promoted. Where the \
             network falls into parts, only one with 3 voters promotes; a primary in another part stays writable; o, p \
             are lost together with p, and the 2 that are left elect nobody",
            true,
        );
    }

    #[test]
    fn without_voting_nothing_is_printed() {
        let config = parse("{}", &Environment::default()).unwrap().config;
        assert_eq!(Electorate::all(&config), []);
    }
}
