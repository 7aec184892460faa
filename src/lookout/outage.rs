//! The outage of the primary, from the first decision without one to the next that reaches one: who
//! goes first in it, what this daemon has announced, and the alert that it lasts too long.

use super::turn::Turn;
use super::{Alert, Effect, Memory};
use crate::cluster::NodeMap;
use crate::config::{Config, NodeName};
use crate::failover::{Announcement, Candidate, Decision, Verdict};
use crate::time::Monotonic;

/// Where the outage stands.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// The first decision without a primary that did not end it.
    since: Option<Monotonic>,
    /// The node that went first by the last decision.
    went_first: Option<NodeName>,
    announced: Option<Announcement>,
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

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// What this daemon shows from now on. Says whether it is announced for the first time.
    pub(super) fn announce(&mut self, winner: &Candidate, by_script: bool, now: Monotonic) -> bool {
        let is_new = self.announced.is_none();
        self.announced.get_or_insert(Announcement {
            at: now,
            position: winner.position,
            by_script,
        });
        is_new
    }

    /// Nothing is announced any more.
    pub(super) fn withdraw(&mut self) {
        self.announced = None;
    }

    /// Follows a decision: `deciding` if this daemon is one that could promote its node.
    pub(super) fn follow(
        &mut self,
        map: &NodeMap,
        decision: &Decision,
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
            self.undecided(verdict, config, turn);
        }
    }

    /// Nothing was decided that ends the outage: for how long already.
    pub(super) fn undecided(&mut self, verdict: &Verdict, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let lasts = now.since(*self.since.get_or_insert(now));
        if lasts < config.failover_lag * 2 {
            return;
        }
        if !std::mem::replace(&mut self.stuck, true) {
            let text = format!(
                "no primary for {:.3} s, and this node was not promoted: {verdict}",
                lasts.as_secs_f64()
            );
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
