//! A switchover on the holder's side (rules S1 to S3): what was asked for, where it stands, and what was
//! found and done. How it goes on is in `course`, what has to hold before in `checks`, how it comes to
//! nothing in `way_back`, and how it outlives its process in `resume`.

mod checks;
mod course;
mod resume;
mod way_back;

use std::time::Duration;

use super::turn::Turn;
use super::{CommandId, PastSwitchover, SwitchoverRequest};
use crate::cluster::{ControlData, Lsn};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// One switchover, under way or over.
#[derive(Debug)]
pub struct Switchover {
    request: SwitchoverRequest,
    pub(super) began: Monotonic,
    /// The term that is given up for it; 0: none is held.
    pub(super) term: u64,
    pub(super) stage: Stage,
    /// When who is waited for is polled next.
    poll_at: Monotonic,
    steps: Vec<Step>,
}

/// What was found or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long after the request.
    pub after: Duration,
    /// One sentence.
    pub text: String,
}

/// Where a switchover stands, for whoever has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchoverState {
    /// It goes on.
    Running,
    /// A dry run: no check failed.
    Possible,
    /// A check failed; nothing was changed.
    Refused,
    /// The successor has won its term, and is seen as the primary.
    Done,
    /// It was given up, and our own server is the primary under the same term.
    Aborted,
    /// It was given up otherwise.
    Failed,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Rule S1.
    Checking(Facts),
    /// Rule S2: the command runs.
    Demoting(CommandId),
    /// It has ended well, or is not known here, and the control file is being read: until then it may still
    /// have to be that of a server that is shut down.
    Looking {
        until: Monotonic,
    },
    /// It was not, and is read again.
    LookingAgain {
        until: Monotonic,
    },
    /// The process before us has begun to stop the server. Until then there has to be a lease again.
    Resuming {
        until: Monotonic,
    },
    /// Rule S3: the successor has to replay the last checkpoint.
    CatchingUp {
        checkpoint: Lsn,
        until: Monotonic,
    },
    /// The record is being cleared, then the term released.
    Releasing {
        until: Monotonic,
    },
    /// Until then the successor has to be the primary.
    Awaiting {
        until: Monotonic,
    },
    /// It is given up, and our server to be the primary again.
    GoingBack {
        why: String,
        since: Monotonic,
        starting: Option<CommandId>,
        start_at: Monotonic,
    },
    Over(SwitchoverState),
}

/// What was found out for the checks.
#[derive(Debug)]
pub(super) struct Facts {
    /// They are given up then.
    pub(super) until: Monotonic,
    pub(super) control: Option<Result<ControlData, String>>,
    /// Where our server wrote at the first poll after the request.
    pub(super) written: Option<Lsn>,
    /// What the other server had received at the first poll after the request.
    pub(super) received: Option<Lsn>,
}

impl SwitchoverState {
    /// Its name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Possible => "possible",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

impl Switchover {
    /// One that the process before us has left under way.
    pub(super) fn resumed(past: &PastSwitchover, config: &Config, now: Monotonic) -> Self {
        let text = "this daemon was restarted on the way: it goes on once it has its lease again";
        Self {
            request: SwitchoverRequest {
                id: past.id,
                to: past.to.clone(),
                dry_run: false,
            },
            began: now,
            term: past.term,
            stage: Stage::Resuming {
                until: now + config.failover_lag,
            },
            poll_at: now,
            steps: vec![Step {
                after: Duration::ZERO,
                text: text.to_owned(),
            }],
        }
    }

    /// What a later process must know of it: the server may be down because of it.
    pub(super) fn memory(&self) -> Option<PastSwitchover> {
        let is_under_way = match &self.stage {
            Stage::Demoting(_)
            | Stage::Looking { .. }
            | Stage::LookingAgain { .. }
            | Stage::Resuming { .. }
            | Stage::CatchingUp { .. }
            | Stage::Releasing { .. }
            | Stage::GoingBack { .. } => true,
            Stage::Checking(_) | Stage::Awaiting { .. } | Stage::Over(_) => false,
        };
        is_under_way.then(|| PastSwitchover {
            id: self.request.id,
            to: self.request.to.clone(),
            term: self.term,
        })
    }

    /// What was asked for.
    pub fn request(&self) -> &SwitchoverRequest {
        &self.request
    }

    /// Where it stands.
    pub fn state(&self) -> SwitchoverState {
        match self.stage {
            Stage::Over(state) => state,
            _ => SwitchoverState::Running,
        }
    }

    /// What was found and done, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn is_running(&self) -> bool {
        self.state() == SwitchoverState::Running
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let until = match &self.stage {
            Stage::Checking(facts) => facts.until,
            Stage::Resuming { until }
            | Stage::CatchingUp { until, .. }
            | Stage::Releasing { until }
            | Stage::Awaiting { until } => *until,
            Stage::GoingBack { .. } | Stage::LookingAgain { .. } => self.poll_at,
            Stage::Demoting(_) | Stage::Looking { .. } | Stage::Over(_) => return None,
        };
        Some(until.min(self.poll_at))
    }

    /// Whose polls are waited for.
    fn polled<'a>(&'a self, own: Option<&'a NodeName>) -> impl Iterator<Item = &'a NodeName> {
        let (ours, theirs) = match &self.stage {
            Stage::Checking(_) | Stage::CatchingUp { .. } => (true, true),
            Stage::Awaiting { .. } => (false, true),
            Stage::Resuming { .. } | Stage::GoingBack { .. } => (true, false),
            _ => (false, false),
        };
        let own = own.filter(|_| ours);
        own.into_iter().chain(theirs.then_some(&self.request.to))
    }

    pub(super) fn step(&mut self, text: String, turn: &mut Turn<'_>) {
        turn.info(format!("switchover to {}: {text}", self.request.to));
        let after = turn.now.mono.since(self.began);
        self.steps.push(Step { after, text });
        // What a later process must know may have changed.
        turn.save = true;
    }

    pub(super) fn end(&mut self, state: SwitchoverState, text: String, turn: &mut Turn<'_>) {
        let (to, name) = (&self.request.to, state.name());
        match state {
            SwitchoverState::Running | SwitchoverState::Possible => {}
            _ => turn.warning(format!("switchover to {to} {name}: {text}")),
        }
        let after = turn.now.mono.since(self.began);
        self.steps.push(Step { after, text });
        self.stage = Stage::Over(state);
        turn.save = true;
    }
}

#[cfg(test)]
mod checks_tests;
#[cfg(test)]
mod scene;
