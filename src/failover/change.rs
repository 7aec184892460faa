//! What would have to change for another verdict: one closed list, each with a sentence.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::candidate::Contender;
use super::quorum::{Voter, Votes};
use super::sentence::{Names, Seconds};
use super::{Blocker, SIGNS_OF_LIFE, Snapshot, Verdict, Wait};
use crate::config::{NodeName, ObserverName};

/// Something that would make a decision come out differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Time has to pass.
    Time {
        /// How much.
        after: Duration,
    },
    /// These have to answer, or to fail.
    Reports {
        /// Nodes.
        nodes: Vec<NodeName>,
        /// Observers.
        observers: Vec<ObserverName>,
    },
    /// Everybody has to answer, or to fail, once more.
    FreshReports,
    /// An observer would need a server of its own.
    OwnServer,
    /// This node, the primary, would have to become a standby.
    OwnRole {
        /// Its name.
        own: NodeName,
    },
    /// A standby would have to become known.
    AnyStandby,
    /// Nobody may reach these as primaries any more.
    PrimariesGone {
        /// Who they are.
        primaries: Vec<NodeName>,
    },
    /// All primaries but one have to be stopped.
    AllButOneStopped {
        /// Who they are.
        primaries: Vec<NodeName>,
    },
    /// `failover_on_disconnect` would have to be true.
    DisconnectAllowed,
    /// Our lag would have to grow to the failover limit.
    LagOver {
        /// The limit.
        limit: Duration,
    },
    /// The server has to let this daemon in.
    AllowLogin {
        /// Which server.
        node: NodeName,
    },
    /// The operator's word that the primary is gone for good.
    KnownGone {
        /// Which node.
        node: NodeName,
    },
    /// A standby that could be promoted is needed.
    AnyCandidate,
    /// The better candidate's own daemon promotes it, or it is lost.
    OtherPromotes {
        /// Which one.
        winner: NodeName,
    },
    /// The maintenance file has to go.
    RemoveFile {
        /// Which file.
        file: PathBuf,
    },
    /// More votes have to be known.
    MoreVotes {
        /// How many.
        missing: usize,
        /// Whose they could be.
        of: Vec<Voter>,
    },
    /// The failover command has to end.
    CommandEnds,
    /// `failover_command` has to be set.
    SetCommand,
}

/// What would have to change for another `verdict` than this; of what forbids a failover everything
/// that does so now, not only what came first.
pub(super) fn changes(
    snapshot: &Snapshot<'_>,
    verdict: &Verdict,
    contenders: &[Contender],
    votes: &Votes,
) -> Vec<Change> {
    let time = verdict.look_again_at().map(|at| Change::Time {
        after: at.since(snapshot.now),
    });
    match verdict {
        Verdict::Wait(Wait::FirstAnswers { nodes, observers }) => {
            vec![Change::Reports {
                nodes: nodes.clone(),
                observers: observers.clone(),
            }]
        }
        Verdict::Wait(Wait::ObserversSinceWarning { observers, .. }) => {
            let reports = Change::Reports {
                nodes: Vec::new(),
                observers: observers.clone(),
            };
            time.into_iter().chain([reports]).collect()
        }
        Verdict::Wait(Wait::PauseAfterFailover { .. }) => time.into_iter().collect(),
        Verdict::Wait(Wait::FreshFactsOverdue) | Verdict::WantsFreshFacts { .. } => {
            vec![Change::FreshReports]
        }
        Verdict::Observing { .. } => vec![Change::OwnServer],
        Verdict::PrimaryItself { own } => vec![Change::OwnRole { own: own.clone() }],
        Verdict::NoStandby { .. } => vec![Change::AnyStandby],
        Verdict::PrimaryReachable { primary, .. } => vec![Change::PrimariesGone {
            primaries: vec![primary.clone()],
        }],
        Verdict::SeveralPrimaries { primaries } => vec![Change::AllButOneStopped {
            primaries: primaries.clone(),
        }],
        Verdict::DisconnectIgnored { .. } => {
            vec![
                Change::DisconnectAllowed,
                Change::LagOver {
                    limit: snapshot.config.failover_lag,
                },
            ]
        }
        Verdict::LagWarning { .. } => vec![Change::LagOver {
            limit: snapshot.config.failover_lag,
        }],
        Verdict::Hold(first) => by_all_blockers(snapshot, first, contenders, votes),
        Verdict::OtherCandidate { winner, .. } => vec![Change::OtherPromotes {
            winner: winner.node.clone(),
        }],
        Verdict::Promote { .. } if snapshot.config.failover_command.is_none() => {
            vec![Change::SetCommand]
        }
        Verdict::Promote { .. } => Vec::new(),
    }
}

fn by_all_blockers(
    snapshot: &Snapshot<'_>,
    first: &Blocker,
    contenders: &[Contender],
    votes: &Votes,
) -> Vec<Change> {
    let mut all = vec![first.clone()];
    all.extend(SIGNS_OF_LIFE.iter().filter_map(|sign| sign(snapshot)));
    match contenders
        .first()
        .filter(|first| first.place.is_candidate())
    {
        None => all.push(Blocker::NoCandidate),
        Some(winner) if Some(&winner.node) == snapshot.config.own_db.as_ref() => {
            all.extend(snapshot.own_blockers(votes.quorum()));
        }
        Some(_) => {}
    }
    let mut found: Vec<Change> = Vec::new();
    for change in all
        .iter()
        .flat_map(|blocker| by_blocker(snapshot, blocker, votes))
    {
        // All of the time has to pass: the longest wait counts.
        let longest = found.iter_mut().find_map(|known| {
            if let Change::Time { after } = known {
                Some(after)
            } else {
                None
            }
        });
        match (longest, &change) {
            (Some(longest), Change::Time { after }) => *longest = (*longest).max(*after),
            _ => found.push(change),
        }
    }
    let mut seen: Vec<Change> = Vec::new();
    found.retain(|change| {
        let is_new = !seen.contains(change);
        seen.push(change.clone());
        is_new
    });
    found
}

fn by_blocker(snapshot: &Snapshot<'_>, blocker: &Blocker, votes: &Votes) -> Vec<Change> {
    let until = |at| Change::Time {
        after: crate::time::Monotonic::since(at, snapshot.now),
    };
    let gone = |node: &NodeName| Change::KnownGone { node: node.clone() };
    match blocker {
        Blocker::NodesJustChanged { until: at, .. } => vec![until(*at)],
        Blocker::RoleUnknown {
            nodes, until: at, ..
        } => {
            vec![
                until(*at),
                Change::Reports {
                    nodes: nodes.clone(),
                    observers: Vec::new(),
                },
            ]
        }
        Blocker::PrimaryConnected { primary, .. } => vec![Change::PrimariesGone {
            primaries: vec![primary.clone()],
        }],
        Blocker::PrimaryRefuses { node, .. } => {
            vec![Change::AllowLogin { node: node.clone() }, gone(node)]
        }
        Blocker::WalStillArrives { until: at, .. } => std::iter::once(until(*at))
            .chain(snapshot.remembered.map(gone))
            .collect(),
        Blocker::ContactTooRecent {
            node, until: at, ..
        } => vec![until(*at), gone(node)],
        Blocker::NoCandidate => vec![Change::AnyCandidate],
        Blocker::Maintenance { file } => vec![Change::RemoveFile { file: file.clone() }],
        Blocker::NoQuorum { quorum } => vec![Change::MoreVotes {
            missing: quorum.needed().saturating_sub(quorum.known),
            of: votes.could_be_known().cloned().collect(),
        }],
        Blocker::PromotionRunning => vec![Change::CommandEnds],
        Blocker::PreviousCommand { until: at } | Blocker::TriedJustNow { until: at } => {
            vec![until(*at)]
        }
        Blocker::OwnNodeNotPolledSince => {
            vec![Change::Reports {
                nodes: snapshot.config.own_db.iter().cloned().collect(),
                observers: Vec::new(),
            }]
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { after } => write!(f, "{} must pass", Seconds(*after)),
            Self::Reports { nodes, observers } => {
                let nodes = nodes.iter().map(|node| Voter::Standby(node.clone()));
                let observers = observers
                    .iter()
                    .map(|observer| Voter::Observer(observer.clone()));
                write!(
                    f,
                    "poll results required: {}",
                    Names(&nodes.chain(observers).collect::<Vec<_>>())
                )
            }
            Self::FreshReports => f.write_str("poll results required: all nodes and observers"),
            Self::OwnServer => f.write_str("an observer promotes nothing: it has no own_db"),
            Self::OwnRole { own } => write!(f, "{own} must be a standby: it is the primary"),
            Self::AnyStandby => f.write_str("a reachable standby is required"),
            Self::PrimariesGone { primaries } => {
                write!(
                    f,
                    "only once no poll reaches {} as a primary",
                    Names(primaries)
                )
            }
            Self::AllButOneStopped { primaries } => {
                write!(f, "stop all but one of: {}", Names(primaries))
            }
            Self::DisconnectAllowed => f.write_str("set failover_on_disconnect to true"),
            Self::LagOver { limit } => write!(
                f,
                "only once lag exceeds the failover limit of {}",
                Seconds(*limit)
            ),
            Self::AllowLogin { node } => write!(
                f,
                "make {node} accept this daemon's connections: password, pg_hba.conf, connection slots"
            ),
            Self::KnownGone { node } => {
                write!(
                    f,
                    "if {node} is gone for good: add it to known_gone_nodes and reload"
                )
            }
            Self::AnyCandidate => f.write_str(
                "a reachable standby with a recent poll that may be promoted is required",
            ),
            Self::OtherPromotes { winner } => {
                write!(
                    f,
                    "pglookout on {winner} must promote it; if {winner} becomes unreachable, the next candidate is promoted"
                )
            }
            Self::RemoveFile { file } => write!(f, "remove {}", file.display()),
            Self::MoreVotes { missing, of } if of.is_empty() => {
                write!(f, "{missing} more votes required, and no voter is left")
            }
            Self::MoreVotes { missing, of } => {
                write!(
                    f,
                    "{missing} more {} required from: {}",
                    if *missing == 1 { "vote" } else { "votes" },
                    Names(of)
                )
            }
            Self::CommandEnds => f.write_str("failover_command must end"),
            Self::SetCommand => f.write_str("set failover_command: it is empty"),
        }
    }
}
