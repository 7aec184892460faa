//! The elections in which a daemon takes part, for `/metrics`.

use crate::lookout::Lookout;
use crate::votes::ElectionCounts;

/// Of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elections {
    pub(super) cluster: String,
    /// The highest term in which this daemon has voted; `None`: its vote file cannot be used.
    pub(super) term: Option<u64>,
    pub(super) counts: ElectionCounts,
}

impl Elections {
    /// Of every cluster; `None`: this daemon does not vote.
    pub fn all(lookout: &Lookout) -> Option<Vec<Self>> {
        lookout.config().voting.as_ref()?;
        let all = lookout.votes().map(|(cluster, member)| Self {
            cluster: cluster.to_string(),
            term: member.ok().map(|member| member.voter().record().term),
            counts: member.map_or_else(|_| ElectionCounts::default(), |it| it.counts().clone()),
        });
        Some(all.collect())
    }
}
