//! The elections in which a daemon takes part, for `/metrics`.

use crate::lookout::Lookout;
use crate::time::Monotonic;
use crate::votes::{ElectionCounts, Member};

/// Of one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Elections {
    pub(super) cluster: String,
    /// The highest term in which this daemon has voted; `None`: its vote file cannot be used.
    pub(super) term: Option<u64>,
    /// How long it is until the server of the lease that this daemon holds is fenced, unless a majority
    /// renews before, in seconds.
    pub(super) fence_in: Option<f64>,
    pub(super) counts: ElectionCounts,
}

impl Elections {
    /// Of every cluster; `None`: this daemon does not vote.
    pub fn all(lookout: &Lookout, now: Monotonic) -> Option<Vec<Self>> {
        lookout.config().voting.as_ref()?;
        let all = lookout.votes().map(|(cluster, member)| Self {
            cluster: cluster.to_string(),
            fence_in: member.ok().and_then(|member| fence_in(member, now)),
            term: member.ok().map(|member| member.voter().record().term),
            counts: member.map_or_else(|_| ElectionCounts::default(), |it| it.counts().clone()),
        });
        Some(all.collect())
    }
}

fn fence_in(member: &Member, now: Monotonic) -> Option<f64> {
    let left = member.holder()?.fence_in(now)?;
    Some(left.as_secs_f64())
}
