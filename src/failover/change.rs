//! What would have to change for another verdict, in words.

use super::candidate::Contender;
use super::quorum::Votes;
use super::sentence::{Names, Seconds};
use super::{Blocker, LookAgain, Snapshot, Verdict, Wait};
use crate::cluster::EvidenceKind;
use crate::config::NodeName;
use crate::time::Monotonic;

/// What would have to change for another `verdict` than this; of what forbids a failover everything
/// that does so now, not only what came first.
pub(super) fn changes(
    snapshot: &Snapshot<'_>,
    verdict: &Verdict,
    contenders: &[Contender],
    votes: &Votes,
) -> Vec<String> {
    let time = verdict.look_again_at().map(|at| time(snapshot, at));
    let lag = || {
        let limit = Seconds(snapshot.config.failover_lag);
        format!("only once lag exceeds the failover limit of {limit}")
    };
    match verdict {
        Verdict::Wait(Wait::FirstAnswers { nodes, observers }) => {
            let observers = observers.iter().map(|name| format!("observer {name}"));
            let names = nodes.iter().map(NodeName::to_string).chain(observers);
            vec![reports(&names.collect::<Vec<_>>())]
        }
        Verdict::Wait(Wait::PauseAfterFailover { .. }) => time.into_iter().collect(),
        Verdict::Wait(Wait::FreshFactsOverdue)
        | Verdict::WantsFreshFacts { .. }
        | Verdict::Announce {
            why: LookAgain::Announced | LookAgain::NotShown { .. },
            ..
        } => vec![reports(&["all nodes and observers"])],
        Verdict::Announce {
            why: LookAgain::OldRelay { observers },
            ..
        } => vec![reports(observers)],
        Verdict::Announce {
            why: LookAgain::OthersAnnounced { daemons },
            ..
        } => vec![format!("pglookout on {} must withdraw", Names(daemons))],
        Verdict::Observing { .. } => {
            vec!["an observer promotes nothing: it has no own_db".to_owned()]
        }
        Verdict::PrimaryItself { own } => {
            vec![format!("{own} must be a standby: it is the primary")]
        }
        Verdict::NoStandby { .. } => vec!["a reachable standby is required".to_owned()],
        Verdict::PrimaryReachable { primary, .. } => vec![unreached(primary)],
        Verdict::SeveralPrimaries { primaries } => {
            vec![format!("stop all but one of: {}", Names(primaries))]
        }
        Verdict::OutdatedPrimary { primary, .. } => {
            vec![format!("stop {primary}, or make it a standby")]
        }
        Verdict::DisconnectIgnored { .. } => {
            vec!["set failover_on_disconnect to true".to_owned(), lag()]
        }
        Verdict::LagWarning { .. } => vec![lag()],
        Verdict::Hold(first) => by_all_blockers(snapshot, first, contenders, votes),
        Verdict::OtherCandidate { winner, .. } => {
            let winner = &winner.node;
            vec![format!(
                "pglookout on {winner} must promote it; if {winner} becomes unreachable, the next candidate is promoted"
            )]
        }
        Verdict::Promote { .. } if snapshot.config.failover_command.is_none() => {
            vec!["set failover_command: it is empty".to_owned()]
        }
        Verdict::Promote { .. } => Vec::new(),
    }
}

/// The longest wait first, then whatever else each blocker asks for.
fn by_all_blockers(
    snapshot: &Snapshot<'_>,
    first: &Blocker,
    contenders: &[Contender],
    votes: &Votes,
) -> Vec<String> {
    let mut all = vec![first.clone()];
    all.extend(snapshot.signs_of_life());
    match contenders
        .first()
        .filter(|first| first.place.is_candidate())
    {
        None => all.extend(snapshot.no_candidate(contenders)),
        Some(winner) if Some(&winner.node) == snapshot.config.own_db.as_ref() => {
            all.extend(snapshot.own_blockers(votes.quorum()));
        }
        Some(_) => {}
    }
    let wait = all.iter().filter_map(Blocker::until).max();
    let wait = wait.map(|at| time(snapshot, at));
    let others = all.iter().flat_map(|it| by_blocker(snapshot, it, votes));
    let mut found: Vec<String> = Vec::new();
    for change in wait.into_iter().chain(others) {
        if !found.contains(&change) {
            found.push(change);
        }
    }
    found
}

/// Besides the passing of time.
fn by_blocker(snapshot: &Snapshot<'_>, blocker: &Blocker, votes: &Votes) -> Vec<String> {
    let gone = |node: &NodeName| {
        format!("if {node} is gone for good: add it to known_gone_nodes and reload")
    };
    match blocker {
        Blocker::NodesJustChanged { .. }
        | Blocker::PreviousCommand { .. }
        | Blocker::TriedJustNow { .. }
        | Blocker::VotesRefused { .. }
        | Blocker::SteppedAside { .. }
        | Blocker::BoundToTerm(_) => Vec::new(),
        Blocker::AskingVotes { tally } => {
            let missing: Vec<_> = tally.missing.keys().collect();
            vec![format!("votes required from: {}", Names(&missing))]
        }
        Blocker::NoVoteFile { .. } => {
            vec![
                "make or repair the vote file, or end the change of voters: pglookout votes"
                    .to_owned(),
            ]
        }
        Blocker::PrimaryConnected { primary, .. } => vec![unreached(primary)],
        Blocker::RecentEvidence { evidence, .. } => match (evidence.kind, &evidence.node) {
            (EvidenceKind::Refused, Some(node)) => vec![
                format!(
                    "make {node} accept this daemon's connections: password, pg_hba.conf, connection slots"
                ),
                gone(node),
            ],
            (EvidenceKind::Received, _) => snapshot.remembered.map(gone).into_iter().collect(),
            (EvidenceKind::Started, _) => {
                let unknown: Vec<_> = snapshot.map.unknown.iter().collect();
                let unknown = Some(unknown).filter(|unknown| !unknown.is_empty());
                unknown
                    .map(|unknown| reports(&unknown))
                    .into_iter()
                    .collect()
            }
            (_, node) => node.as_ref().map(gone).into_iter().collect(),
        },
        Blocker::NoCandidate { .. } => vec![
            "a reachable standby with a recent poll that may be promoted is required".to_owned(),
        ],
        Blocker::AllStepAside { nodes } => vec![format!(
            "end what makes pglookout step aside on one of: {}",
            Names(nodes)
        )],
        Blocker::OtherPromotes { daemon, .. } | Blocker::OtherAnnounced { daemon, .. } => {
            vec![format!("pglookout on {daemon} must succeed or give up")]
        }
        Blocker::Paused { .. } => vec!["pglookout resume".to_owned()],
        Blocker::Maintenance { file } => vec![format!("remove {}", file.display())],
        Blocker::NoQuorum { quorum } => {
            let missing = quorum.needed().saturating_sub(quorum.known);
            let of: Vec<_> = votes.could_be_known().collect();
            vec![match (missing, of.is_empty()) {
                (missing, true) => format!("{missing} more votes required, and no voter is left"),
                (1, false) => format!("1 more vote required from: {}", Names(&of)),
                (missing, false) => format!("{missing} more votes required from: {}", Names(&of)),
            }]
        }
        Blocker::PromotionRunning => vec!["failover_command must end".to_owned()],
        Blocker::OwnNodeNotPolledSince => {
            let own: Vec<_> = snapshot.config.own_db.iter().collect();
            vec![reports(&own)]
        }
    }
}

fn time(snapshot: &Snapshot<'_>, at: Monotonic) -> String {
    format!("{} must pass", Seconds(at.since(snapshot.now)))
}

fn reports<T: std::fmt::Display>(names: &[T]) -> String {
    format!("poll results required: {}", Names(names))
}

fn unreached(primary: &NodeName) -> String {
    format!("only once no poll reaches {primary} as a primary")
}
