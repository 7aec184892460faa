//! The settings of votes and leases that a program is run with.

use std::fmt;
use std::str::FromStr;

use serde_json::json;

use super::wait_until;
use crate::harness::voting::{self, votes};
use crate::harness::{Cluster, Daemon, Fleet};

/// How a cluster votes, and whether its primary has a lease; in seconds.
#[derive(Clone, Debug)]
pub enum Leases {
    /// Votes alone: nothing is fenced.
    None,
    /// `lease_time`, `lease_renew_interval`, `vote_timeout`, `fence_timeout`.
    Of([f64; 4]),
}

impl Leases {
    /// The shortest that are recommended.
    const FAST: [f64; 4] = [6.0, 0.8, 0.6, 2.0];
    /// The defaults of the daemon.
    const DEFAULT: [f64; 4] = [20.0, 2.5, 2.0, 5.0];

    /// The least failover limit that goes with them.
    pub fn least_limit(&self) -> f64 {
        3.0 * self.times()[3]
    }

    /// How long a lease lasts, and votes alone are promised.
    pub fn lease(&self) -> f64 {
        self.times()[0]
    }

    pub fn do_fence(&self) -> bool {
        matches!(self, Self::Of(_))
    }

    /// Has the daemons of this fleet, which have not started yet, vote.
    pub fn set_up(&self, cluster: &Cluster, fleet: &mut Fleet, voters: &[&str]) {
        voting::set_up(cluster, fleet, voters, false);
        let [lease, renew, vote_timeout, fence] = self.times();
        let mut keys = json!({"lease_time": lease, "vote_timeout": vote_timeout});
        keys["election_stagger"] = json!(vote_timeout.max(1.0));
        if self.do_fence() {
            keys["lease_renew_interval"] = json!(renew);
            keys["fence_timeout"] = json!(fence);
            voting::fence(cluster, fleet, &keys);
            return;
        }
        for name in voters {
            for (key, value) in keys.as_object().expect("keys") {
                fleet[name].config[key] = value.clone();
            }
        }
    }

    /// Waits until this primary has its lease, whatever the term, if it is to have one, and all others
    /// have answered it.
    pub fn wait_held(&self, primary: &Daemon) {
        if self.do_fence() {
            wait_until("the primary has its lease", || {
                let votes = votes(primary);
                let mut peers = votes["peers"].as_object().into_iter().flatten();
                votes["gate"] == "open" && peers.all(|(_, peer)| peer["why"] != "no_answer")
            });
        }
    }

    fn times(&self) -> [f64; 4] {
        match self {
            Self::None => Self::FAST,
            Self::Of(times) => *times,
        }
    }
}

impl fmt::Display for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "votes alone"),
            Self::Of([lease, ..]) => write!(f, "lease {lease} s"),
        }
    }
}

/// `fast`, `none`, or up to four numbers with `/` between; those that are missing are the defaults.
impl FromStr for Leases {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut times = Self::DEFAULT;
        match text {
            "none" => return Ok(Self::None),
            "fast" => times = Self::FAST,
            _ => {
                for (time, text) in times.iter_mut().zip(text.split('/')) {
                    *time = text.parse()?;
                }
            }
        }
        Ok(Self::Of(times))
    }
}
