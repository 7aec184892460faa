//! The look at the recovery settings, in a helper process of its own: a disk that is sick, or slow
//! to fsync, must not hold up polls, decisions and answers. Considered and left: doing it in the
//! loop, since the server on that very disk is about to be restarted anyway; but this daemon may
//! have to promote it first, and a look that finds nothing to do is made on every reload as well.

use std::path::PathBuf;
use std::time::Duration;

use super::children::{Exit, Task, helper};
use super::io::Io;
use super::recovery::{Job, Prepared};
use super::time_limit::TimeLimit;
use crate::config::{Keywords, NodeName};
use crate::lookout::{Event, FollowOutcome};

/// Sends the helper to see that the settings name this primary. One that hangs in the disk is ended
/// only when the disk answers; until then the core asks for no second one.
pub(super) fn prepare(
    primary: &NodeName,
    conninfo: &Keywords,
    data_directory: PathBuf,
    io: &mut Io,
) {
    let job = Job::new(data_directory, primary.to_string(), conninfo);
    let limit = TimeLimit::kill_after(HELPER_TIME, io.now.mono);
    let (argv, task) = (helper(&["--recovery"]), Task::RecoverySettings);
    let (children, registry) = (&mut io.children, &mut io.registry);
    let started = job
        .to_input()
        .and_then(|input| children.start(task, &argv, Some(&input), limit, registry));
    if let Err(error) = started {
        let reason = format!("cannot start a process to read the recovery settings: {error}");
        io.events
            .push(Event::FollowPrepared(FollowOutcome::Failed(reason)));
    }
}

pub(super) fn outcome(exit: &Exit) -> FollowOutcome {
    match Prepared::from_output(&exit.printed) {
        Some(Prepared::Changed) => FollowOutcome::Changed,
        Some(Prepared::Unchanged) => FollowOutcome::Unchanged,
        Some(Prepared::NotAStandby(reason)) => FollowOutcome::NotAStandby(reason),
        Some(Prepared::Failed(reason)) => FollowOutcome::Failed(reason),
        None if exit.is_overdue => {
            FollowOutcome::Unknown("reading the recovery settings timed out".to_owned())
        }
        None => FollowOutcome::Unknown(
            "the process that reads the recovery settings was killed".to_owned(),
        ),
    }
}

/// How long the helper may take; an fsync on a busy disk has been seen to take seconds.
const HELPER_TIME: Duration = Duration::from_secs(30);
