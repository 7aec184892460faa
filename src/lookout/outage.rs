//! The outage of the primary, from the first decision without one to the next that reaches one: who
//! goes first in it, what this daemon has announced, and the alert that it lasts too long.

use super::turn::Turn;
use super::{Alert, Effect, Memory};
use crate::cluster::{DaemonState, NodeMap};
use crate::config::{Config, NodeName};
use crate::failover::{Announcement, Blocker, Candidate, Decision, Verdict};
use crate::time::Monotonic;

/// Where the outage stands.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// The first decision without a primary that did not end it.
    since: Option<Monotonic>,
    /// The node that went first by the last decision.
    went_first: Option<NodeName>,
    announced: Option<Announcement>,
    /// By the last decision this node goes first without a quorum, or is no candidate. A question for
    /// fresh facts in between changes nothing in what is shown, or who asks at that moment would wait
    /// for us.
    steps_aside: Option<DaemonState>,
    /// The alert `failover_stuck` stands.
    stuck: bool,
}

impl Outage {
    pub(super) fn recall(memory: &Memory) -> Self {
        Self {
            went_first: memory.went_first.clone(),
            stuck: memory.failover_stuck,
            ..Self::default()
        }
    }

    pub(super) fn went_first(&self) -> Option<&NodeName> {
        self.went_first.as_ref()
    }

    pub(super) fn announced(&self) -> Option<Announcement> {
        self.announced
    }

    pub(super) fn steps_aside(&self) -> Option<DaemonState> {
        self.steps_aside
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// What this daemon shows from now on, at the position that it announced first.
    pub(super) fn announce(&mut self, winner: &Candidate, by_script: bool, now: Monotonic) {
        self.announced.get_or_insert(Announcement {
            at: now,
            position: winner.position,
            by_script,
        });
    }

    /// Nothing is announced any more.
    pub(super) fn withdraw(&mut self) {
        self.announced = None;
    }

    /// Follows a decision. `changes`: what would end it.
    pub(super) fn follow(
        &mut self,
        map: &NodeMap,
        decision: &Decision,
        changes: &[String],
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        if !map.connected_primaries.is_empty() {
            self.over(turn);
            return;
        }
        let verdict = &decision.verdict;
        match verdict {
            Verdict::OtherCandidate { winner, .. } => self.went_first = Some(winner.node.clone()),
            Verdict::Announce { .. } | Verdict::Promote { .. } => {
                self.went_first.clone_from(&config.own_db);
            }
            _ => {}
        }
        if !matches!(verdict, Verdict::WantsFreshFacts { .. }) {
            self.steps_aside = match verdict {
                Verdict::Hold(
                    Blocker::NoQuorum { .. }
                    | Blocker::SteppedAside { .. }
                    | Blocker::BoundToTerm(_)
                    | Blocker::NoVoteFile { .. },
                ) => Some(DaemonState::NoQuorum),
                // Whoever does not know what makes it none would wait for it.
                Verdict::OtherCandidate { own: None, .. } => Some(DaemonState::NoCandidate),
                _ => None,
            };
        }
        // A question is no answer: what comes of it is looked at.
        let is_open = matches!(
            verdict,
            Verdict::WantsFreshFacts { .. }
                | Verdict::Announce { .. }
                | Verdict::Promote { .. }
                | Verdict::Observing { .. }
                | Verdict::PrimaryItself { .. }
                | Verdict::NoStandby { .. }
        );
        if !is_open {
            self.undecided(&verdict.to_string(), changes, config, turn);
        }
    }

    /// Nothing was decided that ends the outage: for how long already.
    pub(super) fn undecided(
        &mut self,
        reason: &str,
        changes: &[String],
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let lasts = now.since(*self.since.get_or_insert(now));
        if lasts < config.failover_lag * 2 {
            return;
        }
        if !std::mem::replace(&mut self.stuck, true) {
            let lasts = lasts.as_secs_f64();
            let mut text =
                format!("no primary for {lasts:.3} s, and this node was not promoted: {reason}");
            if !changes.is_empty() {
                text += &format!("; what would end it: {}", changes.join("; "));
            }
            turn.error(text.clone());
            turn.push(Effect::RaiseAlert {
                alert: Alert::FailoverStuck,
                text,
            });
        }
    }

    /// A primary is reached, or our promotion has succeeded.
    pub(super) fn over(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(self).stuck {
            turn.push(Effect::ClearAlert(Alert::FailoverStuck));
        }
    }
}
