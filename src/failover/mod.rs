//! The decision: a function from a snapshot to a named verdict. It reads like the rule book ("The
//! decision" in behaviour.md): early returns, each a verdict of its own; every refusal is a
//! [`Blocker`] with its figures.
//!
//! No memory and no clock: what must be remembered from one decision to the next is `lookout`'s.

mod announce;
mod blocker;
mod candidate;
mod change;
mod evidence;
mod figures;
mod lag;
mod prospect;
mod quorum;
#[cfg(test)]
mod scene;
mod sentence;
mod snapshot;
mod succession;
mod verdict;
mod warnings;

pub use blocker::{Blocker, Cause, LookAgain};
pub use candidate::{Candidate, Contender, Place};
pub use evidence::Evidence;
pub use figures::{EvidenceFigure, Figures, LagFigure, PrimaryFigure, PrimaryStanding};
pub use lag::{LagChange, LagReading};
pub use prospect::{Outlook, Prospect};
pub use quorum::{NoVote, Quorum, Voter, Votes};
pub use snapshot::{Announcement, Snapshot};
pub use verdict::{Decision, Verdict, Wait};

use crate::cluster::{NodeState, Reached};
use crate::config::NodeName;
use crate::time::Monotonic;

/// Decides. Whether it is time to decide at all (everybody asked once, no pause) is the caller's to
/// know.
pub fn decide(snapshot: &Snapshot<'_>) -> Decision {
    let Some(own) = snapshot.deciding_node() else {
        return Decision::without_lag(snapshot.why_not_deciding());
    };
    let lag = lag::read(snapshot, own);
    if let Some(from) = snapshot.predecessor {
        return Decision {
            lag: lag.unchanged(),
            ..Decision::without_lag(snapshot.succession(from))
        };
    }
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
    /// Nothing that a failover could help.
    Nothing(Verdict),
    /// Rule 2; the verdict stands unless lag decides otherwise.
    LookAtLag { otherwise: Verdict },
    /// Rules 3 and 4.
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
    fn why_not_deciding(&self) -> Verdict {
        if let Some(verdict) = self.for_an_operator() {
            return verdict;
        }
        match &self.config.own_db {
            None => Verdict::Observing {
                primary: self.map.sole_primary().cloned(),
            },
            Some(own) if self.map.standbys.is_empty() => Verdict::NoStandby { own: own.clone() },
            Some(own) => Verdict::PrimaryItself { own: own.clone() },
        }
    }

    /// Connected primaries of which an operator must choose.
    fn for_an_operator(&self) -> Option<Verdict> {
        let connected = &self.map.connected_primaries;
        match &self.map.reached {
            Reached::Several => Some(Verdict::SeveralPrimaries {
                primaries: connected.keys().cloned().collect(),
            }),
            Reached::Outdated(primary) => Some(Verdict::OutdatedPrimary {
                primary: primary.clone(),
                witness: connected.get(primary)?.clone(),
            }),
            Reached::Primary(_) | Reached::Nobody => None,
        }
    }

    /// Rule 1.
    fn need(&self) -> Need {
        let reachable = self.map.connected_primaries.first_key_value();
        let reachable = reachable.map(|(primary, witness)| Verdict::PrimaryReachable {
            primary: primary.clone(),
            witness: witness.clone(),
        });
        if let Some(otherwise) = self.for_an_operator().or(reachable) {
            return match self.fresh {
                true => Need::Nothing(otherwise),
                false => Need::LookAtLag { otherwise },
            };
        }
        let Some(primary) = self.remembered else {
            return self.unless_just_changed(Cause::NeverSeenPrimary, None);
        };
        let is_configured = self.config.nodes.contains_key(primary);
        let is_lost = self.map.disconnected_primaries.contains(primary);
        let primary = primary.clone();
        let cause = match (is_configured, is_lost) {
            (true, true) if !self.config.failover_on_disconnect => {
                return Need::LookAtLag {
                    otherwise: Verdict::DisconnectIgnored { primary },
                };
            }
            (true, true) => Cause::PrimaryUnreachable { primary },
            (false, _) => Cause::PrimaryRemoved { primary },
            (true, false) => Cause::PrimaryNoLonger { primary },
        };
        self.unless_just_changed(cause, self.remembered)
    }

    /// After a change of `remote_conns` a primary that is missing is given a time to appear.
    fn unless_just_changed(&self, cause: Cause, primary: Option<&NodeName>) -> Need {
        let is_gone = primary.is_some_and(|primary| self.state.history.gone.contains(primary));
        let Some(until) = self.time_to_appear_until().filter(|_| !is_gone) else {
            return Need::Failover(cause);
        };
        Need::LookAtLag {
            otherwise: Verdict::Hold(Blocker::NodesJustChanged {
                at_start: self.nodes_changed_at == self.started_at,
                since_change: self.now.since(self.nodes_changed_at),
                patience: self.config.missing_primary_timeout,
                until,
            }),
        }
    }

    /// A primary that is missing after a change of the nodes may appear until then; `None`: that is over.
    fn time_to_appear_until(&self) -> Option<Monotonic> {
        let until = self.nodes_changed_at + self.config.missing_primary_timeout;
        Some(until).filter(|until| *until > self.now)
    }

    /// Rule 2.
    fn by_lag(&self, lag: LagReading, otherwise: Verdict) -> Decision {
        let disconnect_ignored = matches!(otherwise, Verdict::DisconnectIgnored { .. });
        let limit = self.config.failover_lag;
        let verdict = match lag.change {
            LagChange::Raised => Verdict::LagWarning {
                lag: lag.lag.unwrap_or_default(),
                limit: self.config.warning_lag,
            },
            _ if lag.over_failover_limit && !self.map.needs_an_operator() => {
                let lag = lag.lag.unwrap_or_default();
                self.failover(Cause::Lag { lag, limit })
            }
            _ => otherwise,
        };
        Decision {
            verdict,
            lag,
            disconnect_ignored,
        }
    }

    /// Rules 3 and 4: on facts asked for since the cause arose, and in the order of the letters.
    fn failover(&self, cause: Cause) -> Verdict {
        if let Some(blocker) = self.connected_primary() {
            return Verdict::Hold(blocker);
        }
        if let Some(paused) = self.paused() {
            return Verdict::Hold(paused);
        }
        if !self.fresh {
            return Verdict::WantsFreshFacts { cause };
        }
        let recent = self.recent_evidence();
        recent.map_or_else(|| self.promotion(cause), Verdict::Hold)
    }

    /// Whatever else is the case.
    fn paused(&self) -> Option<Blocker> {
        let pause = self.pause?;
        Some(Blocker::Paused { pause })
    }

    /// Rules a and b: is a primary alive, or was it just now.
    fn signs_of_life(&self) -> impl Iterator<Item = Blocker> {
        let connected = self.connected_primary().into_iter();
        connected.chain(self.recent_evidence())
    }

    fn connected_primary(&self) -> Option<Blocker> {
        let (primary, witness) = self.map.connected_primaries.first_key_value()?;
        Some(Blocker::PrimaryConnected {
            primary: primary.clone(),
            witness: witness.clone(),
        })
    }

    fn recent_evidence(&self) -> Option<Blocker> {
        let evidence = self.evidence()?;
        let (limit, age) = (self.evidence_limit(), self.now.since(evidence.at));
        let until = evidence.at + limit;
        (age < limit).then_some(Blocker::RecentEvidence {
            evidence,
            age,
            limit,
            until,
        })
    }

    /// Rules c to h: who, and may we.
    fn promotion(&self, cause: Cause) -> Verdict {
        let evidence = self.evidence().map(|evidence| evidence.at);
        let contenders = candidate::contenders(self, evidence);
        if let Some(blocker) = self.no_candidate(&contenders) {
            return Verdict::Hold(blocker);
        }
        let mut candidates = contenders.iter().map(Contender::candidate);
        let Some(winner) = candidates.next() else {
            return Verdict::Hold(self.nobody());
        };
        if Some(&winner.node) != self.config.own_db.as_ref() {
            return Verdict::OtherCandidate {
                winner,
                own: self.own_candidate(&contenders),
            };
        }
        let quorum = quorum::count(self, &contenders).quorum();
        if let Some(blocker) = self.own_blockers(quorum).next() {
            return Verdict::Hold(blocker);
        }
        self.announcement(&winner).unwrap_or(Verdict::Promote {
            cause,
            winner,
            quorum,
            evidence: evidence.map(|at| self.now.since(at)),
        })
    }

    /// Rules c and d: is there nobody who could go first.
    fn no_candidate(&self, contenders: &[Contender]) -> Option<Blocker> {
        if contenders.first().is_some_and(|it| it.place.is_candidate()) {
            return None;
        }
        let passed_over = contenders.iter().filter(|it| it.place.is_passed_over());
        let nodes: Vec<_> = passed_over.map(|it| it.node.clone()).collect();
        Some(match nodes.is_empty() {
            true => self.nobody(),
            false => Blocker::AllStepAside { nodes },
        })
    }

    fn nobody(&self) -> Blocker {
        let unknown = self.map.unknown.iter().cloned().collect();
        Blocker::NoCandidate { unknown }
    }

    /// Rules d, f and g: what keeps us from it although we go first.
    fn own_blockers(&self, quorum: Quorum) -> impl Iterator<Item = Blocker> {
        let file = || self.config.maintenance_mode_file.clone();
        let to_come = |until: Option<Monotonic>| until.filter(|until| *until > self.now);
        let blockers = [
            self.maintenance
                .then(|| Blocker::Maintenance { file: file() }),
            (!self.is_quorum_met(&quorum)).then_some(Blocker::NoQuorum { quorum }),
            self.promoting.then_some(Blocker::PromotionRunning),
            to_come(self.held_off_until).map(|until| Blocker::PreviousCommand { until }),
            self.unsettled.then_some(Blocker::OwnNodeNotPolledSince),
            to_come(self.tried_until).map(|until| Blocker::TriedJustNow { until }),
            self.other_promotes(),
            self.election.and_then(Blocker::of_election),
        ];
        blockers.into_iter().flatten()
    }

    /// Where voters elect, a majority of them is asked in its place.
    fn is_quorum_met(&self, quorum: &Quorum) -> bool {
        self.election.is_some() || quorum.is_met()
    }

    /// What forbids running the command after this daemon was elected, which takes a moment.
    pub fn forbids_elected(&self) -> Option<Blocker> {
        let file = || self.config.maintenance_mode_file.clone();
        let maintenance = || {
            self.maintenance
                .then(|| Blocker::Maintenance { file: file() })
        };
        let running = || self.promoting.then_some(Blocker::PromotionRunning);
        let alive = match self.predecessor {
            Some(from) => self.forbids_succession(from),
            None => self.signs_of_life().next(),
        };
        alive
            .or_else(|| self.paused())
            .or_else(maintenance)
            .or_else(running)
    }

    fn own_candidate(&self, contenders: &[Contender]) -> Option<Candidate> {
        let candidates = contenders
            .iter()
            .filter(|contender| contender.place.is_candidate());
        let own =
            candidates.filter(|contender| Some(&contender.node) == self.config.own_db.as_ref());
        own.map(Contender::candidate).next()
    }
}

#[cfg(test)]
#[path = "failover_tests.rs"]
mod tests;
