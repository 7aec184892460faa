//! The decision: a function from a snapshot to a named verdict. It reads like the rule book ("The
//! decision" in behaviour.md): early returns, each a verdict of its own; every refusal is a
//! [`Blocker`] with its figures.
//!
//! No memory and no clock: what must be remembered from one decision to the next is `lookout`'s.

mod candidate;
mod change;
mod figures;
mod lag;
mod quorum;
mod sentence;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

pub use candidate::{Candidate, Contender, Place};
pub use change::Change;
pub use figures::{Figures, LagFigure, LastContact, PrimaryFigure, PrimaryStanding};
pub use lag::{LagChange, LagReading};
pub use quorum::{NoVote, Quorum, Voter, Votes};
pub use verdict::{Blocker, Cause, Decision, Verdict, Wait};

use crate::cluster::{ClusterState, NodeMap, NodeState, Witness};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// Everything a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The facts per node and observer.
    pub state: &'a ClusterState,
    /// The same, sorted by role.
    pub map: &'a NodeMap,
    /// The remembered primary, this round's included.
    pub remembered: Option<&'a NodeName>,
    /// Contacts with primaries that a former process had: node, when.
    pub previous_contacts: &'a [(NodeName, Monotonic)],
    /// Nodes that were standbys to a former process.
    pub previous_standbys: &'a BTreeSet<NodeName>,
    /// The last change of `remote_conns`, or the start.
    pub nodes_changed_at: Monotonic,
    /// The facts were asked for after the decision wanted them.
    pub fresh: bool,
    /// The maintenance file exists.
    pub maintenance: bool,
    /// Lag has been over the warning limit since an earlier decision.
    pub lag_warning: bool,
    /// The failover command is running.
    pub promoting: bool,
    /// Until then the failover command of a former process may still be at work.
    pub held_off_until: Option<Monotonic>,
    /// Until then the failover command, which has ended, is not repeated.
    pub tried_until: Option<Monotonic>,
    /// The failover command ended with 0, and no later poll of our own node has come back.
    pub unsettled: bool,
    /// The time of the decision.
    pub now: Monotonic,
}

/// Decides. Whether it is time to decide at all (everybody asked once, no pause) is the caller's to
/// know.
pub fn decide(snapshot: &Snapshot<'_>) -> Decision {
    let Some(own) = snapshot.deciding_node() else {
        return Decision::without_lag(snapshot.bystander());
    };
    let lag = lag::read(snapshot.config, own, snapshot.lag_warning, snapshot.now);
    match snapshot.need() {
        Need::Nothing(verdict) => Decision {
            lag: lag.unchanged(),
            ..Decision::without_lag(verdict)
        },
        Need::LookAtLag { otherwise } => snapshot.by_lag(lag, otherwise),
        Need::Failover(cause) => Decision {
            lag: lag.unchanged(),
            ..Decision::without_lag(snapshot.failover(cause))
        },
    }
}

/// What the state of the primary asks for.
enum Need {
    Nothing(Verdict),
    /// Rule 2; the verdict stands unless lag has more to say.
    LookAtLag {
        otherwise: Verdict,
    },
    /// Rule 3.
    Failover(Cause),
}

impl Snapshot<'_> {
    /// Our own node's facts, if this node is one that decides.
    fn deciding_node(&self) -> Option<&NodeState> {
        let own_db = self.config.own_db.as_ref()?;
        let own = self.state.nodes.get(own_db)?;
        let is_standby = own.answer.as_ref().is_some_and(|answer| answer.in_recovery);
        let is_primary = self.remembered == Some(own_db) && !is_standby;
        (!is_primary && !self.map.standbys.is_empty()).then_some(own)
    }

    /// Why this node does not decide.
    fn bystander(&self) -> Verdict {
        match &self.config.own_db {
            None if self.map.has_several_primaries() => self.several_primaries(),
            None => Verdict::Observing {
                primary: self.map.sole_primary().cloned(),
            },
            Some(_) if self.map.has_several_primaries() => self.several_primaries(),
            Some(own) if self.map.standbys.is_empty() => Verdict::NoStandby { own: own.clone() },
            Some(own) => Verdict::PrimaryItself { own: own.clone() },
        }
    }

    fn several_primaries(&self) -> Verdict {
        Verdict::SeveralPrimaries {
            primaries: self.map.connected_primaries.keys().cloned().collect(),
        }
    }

    /// Rule 1.
    fn need(&self) -> Need {
        if let Some((primary, witness)) = self.map.connected_primaries.first_key_value() {
            let verdict = match self.map.has_several_primaries() {
                true => self.several_primaries(),
                false => Verdict::PrimaryReachable {
                    primary: primary.clone(),
                    witness: witness.clone(),
                },
            };
            return if self.fresh {
                Need::Nothing(verdict)
            } else {
                Need::LookAtLag { otherwise: verdict }
            };
        }
        match self.remembered {
            Some(primary) => self.need_without(primary),
            None => self.need_never_seen(),
        }
    }

    /// A primary was known once, and nobody reaches one now.
    fn need_without(&self, primary: &NodeName) -> Need {
        let configured = self.config.nodes.contains_key(primary);
        let unreachable = self.map.disconnected_primaries.contains(primary);
        if unreachable && configured && !self.config.failover_on_disconnect {
            return Need::LookAtLag {
                otherwise: Verdict::DisconnectIgnored {
                    primary: primary.clone(),
                },
            };
        }
        let cause = self.cause(primary);
        if !self.fresh {
            return Need::Nothing(Verdict::WantsFreshFacts { cause });
        }
        let since_change = self.now.since(self.nodes_changed_at);
        let patience = self.config.missing_primary_timeout;
        if self.config.known_gone.contains(primary) || since_change >= patience {
            return Need::Failover(cause);
        }
        let until = self.nodes_changed_at + patience;
        Need::LookAtLag {
            otherwise: Verdict::Hold(Blocker::NodesJustChanged {
                since_change,
                patience,
                until,
            }),
        }
    }

    fn cause(&self, primary: &NodeName) -> Cause {
        let primary = primary.clone();
        if !self.config.nodes.contains_key(&primary) {
            return Cause::PrimaryRemoved { primary };
        }
        if self.map.disconnected_primaries.contains(&primary) {
            return Cause::PrimaryUnreachable { primary };
        }
        Cause::PrimaryNoLonger { primary }
    }

    /// No primary was ever seen. While some node's role is unknown it may be the primary.
    fn need_never_seen(&self) -> Need {
        if self.map.unknown.is_empty() {
            return Need::Failover(Cause::NeverSeenPrimary);
        }
        let waited = self.now.since(self.nodes_changed_at);
        let limit = self.config.failover_lag;
        if waited >= limit {
            return Need::Failover(Cause::NeverSeenPrimary);
        }
        let unknown = self.map.unknown.iter().cloned().collect();
        let until = self.nodes_changed_at + limit;
        Need::Nothing(Verdict::Hold(Blocker::RoleUnknown {
            nodes: unknown,
            waited,
            limit,
            until,
        }))
    }

    /// Rule 2.
    fn by_lag(&self, lag: LagReading, otherwise: Verdict) -> Decision {
        let disconnect_ignored = matches!(otherwise, Verdict::DisconnectIgnored { .. });
        let verdict = match lag.change {
            LagChange::Raised => Verdict::LagWarning {
                lag: lag.lag.unwrap_or_default(),
                limit: self.config.warning_lag,
            },
            _ if lag.over_failover_limit => self.failover(Cause::Lag {
                lag: lag.lag.unwrap_or_default(),
                limit: self.config.failover_lag,
            }),
            _ => otherwise,
        };
        Decision {
            verdict,
            lag,
            disconnect_ignored,
        }
    }

    /// Rule 3, in the order of its letters.
    fn failover(&self, cause: Cause) -> Verdict {
        let first = SIGNS_OF_LIFE.iter().find_map(|sign| sign(self));
        first.map_or_else(|| self.promotion(cause), Verdict::Hold)
    }

    /// 3a.
    fn connected_primary(&self) -> Option<Blocker> {
        let (primary, witness) = self.map.connected_primaries.first_key_value()?;
        Some(Blocker::PrimaryConnected {
            primary: primary.clone(),
            witness: witness.clone(),
        })
    }

    /// 3b. "Refused" is not "dead". A node whose role nobody knows counts as well when no primary
    /// was ever seen: it may be the primary, and it lives.
    fn refusal(&self) -> Option<Blocker> {
        let suspects = self.map.disconnected_primaries.iter();
        let untold = self
            .map
            .unknown
            .iter()
            .filter(|_| self.remembered.is_none());
        suspects.chain(untold).find_map(|node| {
            let failure = self.state.nodes.get(node)?.failure.as_ref()?;
            (failure.is_living_refusal() && !self.config.known_gone.contains(node)).then(|| {
                Blocker::PrimaryRefuses {
                    node: node.clone(),
                    failure: failure.clone(),
                }
            })
        })
    }

    /// 3c. Whoever sends WAL lives; the operator's word that the primary is gone ends this veto.
    fn wal_still_arrives(&self) -> Option<Blocker> {
        let gone = |primary: &NodeName| {
            !self.config.nodes.contains_key(primary) || self.config.known_gone.contains(primary)
        };
        if self.remembered.is_some_and(gone) {
            return None;
        }
        let interval = self.config.poll_interval;
        let (standby, at) = self.state.wal_arrivals().max_by_key(|(_, at)| *at)?;
        let age = self.now.since(at);
        (age < interval).then(|| Blocker::WalStillArrives {
            standby: standby.clone(),
            age,
            until: at + interval,
        })
    }

    /// 3d.
    fn contact_too_recent(&self) -> Option<Blocker> {
        let (node, at, witness) = self.last_contact()?;
        let limit = self.config.failover_lag;
        let age = self.now.since(at);
        (age < limit).then(|| Blocker::ContactTooRecent {
            node,
            witness,
            age,
            limit,
            until: at + limit,
        })
    }

    /// The last contact that anybody had with a primary of ours, whatever that node is now.
    fn last_contact(&self) -> Option<(NodeName, Monotonic, Witness)> {
        let former = self
            .previous_contacts
            .iter()
            .map(|(node, at)| (node, *at, Witness::Ourselves));
        self.state
            .primary_contacts()
            .chain(former)
            .filter(|(node, ..)| {
                self.config.nodes.contains_key(*node) && !self.config.known_gone.contains(*node)
            })
            .max_by_key(|(_, at, _)| *at)
            .map(|(node, at, witness)| (node.clone(), at, witness))
    }

    /// Rules 3e to 3h: who, and may we.
    fn promotion(&self, cause: Cause) -> Verdict {
        let contenders = candidate::contenders(self.config, self.map, self.now);
        let Some(winner) = contenders
            .first()
            .filter(|first| first.place.is_candidate())
        else {
            return Verdict::Hold(Blocker::NoCandidate);
        };
        if Some(&winner.node) != self.config.own_db.as_ref() {
            return Verdict::OtherCandidate {
                winner: winner.candidate(),
                own: self.own_candidate(&contenders),
            };
        }
        let quorum = quorum::count(self, &contenders).quorum();
        match self.own_blockers(quorum).next() {
            Some(blocker) => Verdict::Hold(blocker),
            None => Verdict::Promote {
                cause,
                winner: winner.candidate(),
                quorum,
                last_contact: self.contact_age(),
            },
        }
    }

    /// Rules 3f and 3g: what keeps us from it although we go first.
    fn own_blockers(&self, quorum: Quorum) -> impl Iterator<Item = Blocker> {
        let file = || self.config.maintenance_mode_file.clone();
        let to_come = |until: Option<Monotonic>| until.filter(|until| *until > self.now);
        let blockers = [
            self.maintenance
                .then(|| Blocker::Maintenance { file: file() }),
            (!quorum.is_met()).then_some(Blocker::NoQuorum { quorum }),
            self.promoting.then_some(Blocker::PromotionRunning),
            to_come(self.held_off_until).map(|until| Blocker::PreviousCommand { until }),
            self.unsettled.then_some(Blocker::OwnNodeNotPolledSince),
            to_come(self.tried_until).map(|until| Blocker::TriedJustNow { until }),
        ];
        blockers.into_iter().flatten()
    }

    fn own_candidate(&self, contenders: &[Contender]) -> Option<Candidate> {
        let candidates = contenders
            .iter()
            .filter(|contender| contender.place.is_candidate());
        let own =
            candidates.filter(|contender| Some(&contender.node) == self.config.own_db.as_ref());
        own.map(Contender::candidate).next()
    }

    fn contact_age(&self) -> Option<Duration> {
        self.last_contact().map(|(_, at, _)| self.now.since(at))
    }
}

/// Rules 3a to 3d: is the primary alive, or was it just now.
const SIGNS_OF_LIFE: [fn(&Snapshot<'_>) -> Option<Blocker>; 4] = [
    |snapshot| snapshot.connected_primary(),
    |snapshot| snapshot.refusal(),
    |snapshot| snapshot.wal_still_arrives(),
    |snapshot| snapshot.contact_too_recent(),
];

#[cfg(test)]
#[path = "failover_tests.rs"]
mod tests;
