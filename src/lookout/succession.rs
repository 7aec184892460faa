//! A switchover on its successor's side: when the decision is due that asks for votes (rule S4). The
//! decision itself is the room `failover`'s.

use std::time::Duration;

use super::ProbeId;
use super::schedule::Schedule;
use crate::config::NodeName;
use crate::time::Monotonic;

/// When this daemon decides that it succeeds a holder.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// Then a decision is made, whoever else has not reported yet.
    decide_at: Option<Monotonic>,
    /// This poll of our own node, or a later one, makes it due at once: by an older position a voter
    /// would take its own standby for further.
    awaited: Option<ProbeId>,
}

impl Succession {
    /// A holder has released its term for this daemon.
    pub(super) fn begin(
        &mut self,
        own: Option<&NodeName>,
        schedule: &mut Schedule,
        now: Monotonic,
    ) {
        self.awaited = Some(schedule.next_id());
        self.decide_at = Some(now + OWN_POLL);
        if let Some(own) = own {
            schedule.expedite_node(own, now);
        }
    }

    pub(super) fn own_node_polled(&mut self, probe: ProbeId, now: Monotonic) {
        if self.awaited.take_if(|awaited| *awaited <= probe).is_some() {
            self.decide_at = Some(now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.decide_at
    }

    /// Rule S4: an attempt was lost, and the next may begin then.
    pub(super) fn again(&mut self, at: Monotonic) {
        self.decide_at = Some(at);
    }

    /// Is it time; then it is not any more.
    pub(super) fn take_due(&mut self, now: Monotonic) -> bool {
        let is_due = self.decide_at.take_if(|at| *at <= now).is_some();
        if is_due {
            self.awaited = None;
        }
        is_due
    }

    /// Is there nothing under way that a recording would have to contain.
    pub(super) fn is_at_rest(&self) -> bool {
        self.decide_at.is_none()
    }
}

/// For so long the poll of our own node is waited for.
const OWN_POLL: Duration = Duration::from_millis(500);

#[cfg(test)]
#[path = "succession_tests.rs"]
mod tests;
