//! How a switchover that comes to nothing before the release leads back: our own server is to be the primary
//! again, under the same lease.

use super::{Stage, Switchover, SwitchoverState};
use crate::config::Config;
use crate::lookout::CommandPurpose;
use crate::lookout::decisions::Decisions;
use crate::lookout::schedule::Schedule;
use crate::lookout::tenure::Seen;
use crate::lookout::turn::Turn;

impl Decisions {
    /// Our server is to be the primary again.
    pub(super) fn go_back(
        &mut self,
        switchover: &mut Switchover,
        why: String,
        schedule: &Schedule,
        turn: &mut Turn<'_>,
    ) {
        switchover.step(format!("going back: {why}"), turn);
        switchover.stage = Stage::GoingBack {
            why,
            since: turn.now.mono,
            starting: None,
            start_at: turn.now.mono,
        };
        self.poll_own_anew(switchover, schedule, turn);
    }

    /// A command has changed our own server, which the switchover polls itself.
    pub(super) fn poll_own_anew(
        &mut self,
        switchover: &mut Switchover,
        schedule: &Schedule,
        turn: &Turn<'_>,
    ) {
        self.tenure.await_poll(schedule);
        switchover.poll_at = turn.now.mono;
    }

    /// Our server is to be the primary again: it may be so still, or is started until it is.
    pub(super) fn start_again(
        &mut self,
        switchover: &mut Switchover,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        if self.fail_without_lease(switchover, config, turn) {
            return;
        }
        let (now, seen) = (turn.now.mono, self.own_server_seen(config));
        let (is_awaited, term) = (self.tenure.awaited.is_some(), switchover.term);
        let Stage::GoingBack {
            why,
            since,
            starting,
            start_at,
        } = &mut switchover.stage
        else {
            return;
        };
        if seen == Seen::Primary {
            let text = format!("{why}; this server is the primary, under term {term} as before");
            switchover.end(SwitchoverState::Aborted, text, turn);
            return;
        }
        // One that turns this daemon away may do so until an operator mends that. It keeps its lease.
        if seen == Seen::Alive && now.since(*since) > config.failover_lag {
            let text = format!(
                "{why}; this server is up, and does not let this daemon find out whether it is the primary"
            );
            switchover.end(SwitchoverState::Failed, text, turn);
            return;
        }
        let is_due = !is_awaited && starting.is_none() && *start_at <= now;
        if !is_due || seen == Seen::Alive {
            return;
        }
        if let Some(demotion) = config.demotion() {
            let start = demotion.start_command.clone();
            *starting = Some(turn.run(CommandPurpose::FollowStart, start, config));
            switchover.step(
                "starting the server again by pg_start_command".to_owned(),
                turn,
            );
        }
    }
}
