//! The look at the recovery settings, in a helper process of its own: a disk that is sick, or slow
//! to fsync, must not hold up polls, decisions and answers. Considered and left: doing it in the
//! loop, since the server on that very disk is about to be restarted anyway; but this daemon may
//! have to promote it first, and a look that finds nothing to do is made on every reload as well.

use std::path::PathBuf;
use std::time::Duration;

use mio::{Interest, Token};
use nix::sys::signal::Signal;

use super::recovery::{Job, Prepared};
use super::registry::{Owner, Registry};
use crate::config::{Keywords, NodeName};
use crate::lookout::{Event, FollowOutcome};
use crate::sys::child::{Child, Reading, own_program};
use crate::sys::limits::InheritedLimit;
use crate::time::Monotonic;

/// The helper, when it is out.
pub(super) struct Follower {
    running: Option<Running>,
    limit: Option<InheritedLimit>,
}

struct Running {
    token: Token,
    child: Child,
    deadline: Monotonic,
    overdue: bool,
}

impl Follower {
    pub(super) fn new(limit: Option<InheritedLimit>) -> Self {
        Self {
            running: None,
            limit,
        }
    }

    /// Sends the helper to see that the settings name this primary.
    pub(super) fn prepare(
        &mut self,
        primary: &NodeName,
        conninfo: &Keywords,
        data_directory: PathBuf,
        registry: &mut Registry,
        now: Monotonic,
        events: &mut Vec<Event>,
    ) {
        let job = Job::new(data_directory, primary.to_string(), conninfo);
        if let Err(error) = self.start(&job, registry, now) {
            let reason = format!("no helper to look at the recovery settings: {error}");
            events.push(Event::FollowPrepared(FollowOutcome::Failed(reason)));
        }
    }

    /// The helper's pipe is readable: only its status says that it is done, so this keeps the pipe
    /// from filling.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry) {
        let Some(running) = self
            .running
            .as_mut()
            .filter(|running| running.token == token)
        else {
            return;
        };
        if matches!(
            running.child.read_output(&mut Vec::new()),
            Ok(Reading::Unfinished)
        ) {
            registry.again(token);
        }
    }

    /// Asks the helper whether it has ended.
    pub(super) fn reap(&mut self, registry: &mut Registry, events: &mut Vec<Event>) {
        // A status that cannot be had will never be had.
        let has_ended = |running: &mut Running| {
            running
                .child
                .try_wait()
                .map_or(true, |status| status.is_some())
        };
        if let Some(mut running) = self.running.take_if(has_ended) {
            registry.forget(&mut running.child, running.token);
            running.child.finish(&mut Vec::new());
            let (printed, _) = running.child.tail();
            events.push(Event::FollowPrepared(outcome(
                Prepared::from_output(&printed),
                running.overdue,
            )));
        }
    }

    /// Ends a helper whose time is up; its end is seen by [`Follower::reap`]. One that hangs in the
    /// disk takes the signal only when the disk answers, and until then there is no second one.
    pub(super) fn expire(&mut self, now: Monotonic) {
        if let Some(running) = self
            .running
            .as_mut()
            .filter(|running| running.deadline <= now)
        {
            if !running.overdue {
                log::error!(
                    "the helper that looks at the recovery settings has run for too long: is the disk sick?"
                );
            }
            // Gone already is as good.
            let _ = running.child.kill_group(Signal::SIGKILL);
            running.overdue = true;
            running.deadline = now + HELPER_TIME;
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.running.as_ref().map(|running| running.deadline)
    }

    fn start(&mut self, job: &Job, registry: &mut Registry, now: Monotonic) -> std::io::Result<()> {
        let program = own_program();
        let argv = [program.as_os_str(), "--recovery".as_ref()];
        let mut child = Child::start_with_input(&argv, &job.to_input()?, self.limit)?;
        let token = registry.register(&mut child, Owner::Follower, Interest::READABLE)?;
        self.running = Some(Running {
            token,
            child,
            deadline: now + HELPER_TIME,
            overdue: false,
        });
        Ok(())
    }
}

fn outcome(prepared: Option<Prepared>, overdue: bool) -> FollowOutcome {
    match prepared {
        Some(Prepared::Changed) => FollowOutcome::Changed,
        Some(Prepared::Unchanged) => FollowOutcome::Unchanged,
        Some(Prepared::NotAStandby(reason)) => FollowOutcome::NotAStandby(reason),
        Some(Prepared::Failed(reason)) => FollowOutcome::Failed(reason),
        None if overdue => {
            FollowOutcome::Unknown("looking at the recovery settings took too long".to_owned())
        }
        None => FollowOutcome::Unknown(
            "the helper that looks at the recovery settings was ended".to_owned(),
        ),
    }
}

/// How long the helper may take; an fsync on a busy disk has been seen to take seconds.
const HELPER_TIME: Duration = Duration::from_secs(30);
