//! The recovery settings of a data directory, rewritten on disk by a helper, `pglookout --recovery`: a
//! disk that does not answer, or an fsync that takes its time, delays the helper and not the daemon.
//! Considered and left: doing it in the loop, since the server on that disk is about to be restarted
//! anyway; but this daemon may have to promote it first, and settings that need no change are read
//! on every reload as well.
//!
//! Everything is opened relative to the data directory, which may be a link; in it no link is
//! followed, because what is in it belongs to another account. The new file has its whole content,
//! owner and mode on disk before it takes the old one's name, so that there is no moment at which
//! PostgreSQL could read half of it.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};

use super::children::{Exit, Task, TimeLimit, helper};
use super::io::Io;
use crate::config::{Keywords, NodeName};
use crate::format::recovery;
use crate::lookout::{Event, FollowOutcome};
use crate::sys::child::Invocation;
use crate::sys::clock;
use crate::sys::files::read_at_most;
use crate::sys::text::escape_controls;
use crate::time::WallTime;

/// Starts the helper that makes the settings name this primary. One that hangs in the disk exits only
/// when the disk answers; until then the core requests no second one.
pub(super) fn start(primary: &NodeName, conninfo: &Keywords, data_directory: PathBuf, io: &mut Io) {
    let job = Job {
        data_directory,
        primary: primary.to_string(),
        conninfo: conninfo.to_conninfo_string(),
    };
    let limit = TimeLimit::kill_after(HELPER_TIME, io.now.mono);
    let (argv, task) = (helper(&["--recovery"]), Task::RecoverySettings);
    let input = serde_json::to_vec(&job).map_err(io::Error::from);
    let started = input.and_then(|input| {
        let run = Invocation {
            input: Some(&input),
            ..Invocation::of(&argv)
        };
        io.start_program(task, &run, limit)
    });
    if let Err(error) = started {
        let reason = format!("cannot start a process to read the recovery settings: {error}");
        let outcome = FollowOutcome::Failed(reason);
        io.events.push(Event::FollowPrepared(outcome));
    }
}

/// What the exit of the helper means.
pub(super) fn outcome(exit: &Exit) -> FollowOutcome {
    match serde_json::from_slice(&exit.printed) {
        Ok(Prepared::Changed) => FollowOutcome::Changed,
        Ok(Prepared::Unchanged) => FollowOutcome::Unchanged,
        Ok(Prepared::NotAStandby(reason)) => FollowOutcome::NotAStandby(reason),
        Ok(Prepared::Failed(reason)) => FollowOutcome::Failed(reason),
        Err(_) => FollowOutcome::Unknown(match exit.is_overdue {
            true => "reading the recovery settings timed out".to_owned(),
            false => "the process that reads the recovery settings was killed".to_owned(),
        }),
    }
}

/// The helper reads it on stdin, because it holds a password. For the same reason it has no `Debug`.
#[derive(Serialize, Deserialize)]
struct Job {
    data_directory: PathBuf,
    /// The new primary's name, for the comment line.
    primary: String,
    /// `primary_conninfo`.
    conninfo: String,
}

/// What the helper prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Prepared {
    Changed,
    Unchanged,
    /// Nothing was written, for this reason.
    NotAStandby(String),
    /// The old settings are in place, for this reason.
    Failed(String),
}

/// `pglookout --recovery`: carries out the job on stdin and prints the outcome.
pub fn main() -> ExitCode {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(INPUT_BYTES).read_to_end(&mut input);
    let job = read.and_then(|_| Ok(serde_json::from_slice::<Job>(&input)?));
    let prepared = match job {
        Ok(job) => prepare(&job, clock::wall()),
        Err(error) => Prepared::Failed(format!("the job cannot be read: {error}")),
    };
    let printed = serde_json::to_writer(io::stdout().lock(), &prepared);
    if printed.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn prepare(job: &Job, at: WallTime) -> Prepared {
    rewrite(job, at).unwrap_or_else(|error| {
        let directory = job.data_directory.to_string_lossy();
        Prepared::Failed(escape_controls(&format!("{directory}: {error}")).into_owned())
    })
}

fn rewrite(job: &Job, at: WallTime) -> io::Result<Prepared> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = File::from(open(&job.data_directory, flags, Mode::empty())?);
    let (_, version) = read(&directory, "PG_VERSION", VERSION_BYTES)?;
    let layout = recovery::layout(&version)
        .ok_or_else(|| io::Error::other("PG_VERSION holds no version"))?;
    if !exists(&directory, layout.standby_mark)? {
        let directory = job.data_directory.to_string_lossy();
        let reason = format!("there is no {} in {directory}", layout.standby_mark);
        return Ok(Prepared::NotAStandby(escape_controls(&reason).into_owned()));
    }
    let conninfo =
        Keywords::parse(&job.conninfo).map_err(|error| io::Error::other(error.to_string()))?;
    let (file, old) = read(&directory, layout.settings, SETTINGS_BYTES)?;
    match recovery::rewrite(&old, &conninfo, &job.primary, at) {
        None => Ok(Prepared::Unchanged),
        Some(new) => replace(&directory, layout.settings, &file, &new).map(|()| Prepared::Changed),
    }
}

/// Puts `new` in the place of `old`, which is the file `name`.
fn replace(directory: &File, name: &str, old: &File, new: &[u8]) -> io::Result<()> {
    let beside = format!("{name}.pglookout");
    let placed = write_beside(directory, &beside, old, new).and_then(|()| {
        if !is_still(directory, name, old)? {
            return Err(about(name, &"another process changed it just now"));
        }
        renameat(directory, beside.as_str(), directory, name).map_err(|error| about(name, &error))
    });
    if let Err(error) = placed {
        // It holds a password, so it must not stay.
        let _ = unlinkat(directory, beside.as_str(), UnlinkatFlags::NoRemoveDir);
        return Err(error);
    }
    // The new settings are in force from here on, even if this fails.
    let _ = directory.sync_all();
    Ok(())
}

/// Creates the file `name` with the owner and mode of `model`, and waits until it is on disk.
fn write_beside(directory: &File, name: &str, model: &File, content: &[u8]) -> io::Result<()> {
    let like = model.metadata()?;
    let mut file = create(directory, name).map_err(|error| about(name, &error))?;
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid())).map_err(|error| {
            let owner = format!("{}:{}", like.uid(), like.gid());
            let reason = format!("cannot be given to the owner of the old one ({owner}): {error}");
            about(name, &reason)
        })?;
    }
    let written = file.set_permissions(Permissions::from_mode(like.mode() & PERMISSIONS));
    written
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .map_err(|error| about(name, &error))
}

/// A new file, readable by this account alone. A leftover of a killed helper is removed first.
fn create(directory: &File, name: &str) -> nix::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let create = || openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from);
    match create() {
        Err(Errno::EEXIST) => {
            unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)?;
            create()
        }
        other => other,
    }
}

/// The regular file `name`, and its content of at most `limit` bytes.
fn read(directory: &File, name: &str, limit: usize) -> io::Result<(File, Vec<u8>)> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ELOOP) => return Err(about(name, &"is a symbolic link")),
        Err(error) => return Err(about(name, &error)),
    };
    if !file.metadata()?.is_file() {
        return Err(about(name, &"is not a regular file"));
    }
    let content = read_at_most(&file, limit).map_err(|error| about(name, &error))?;
    let content = content.ok_or_else(|| about(name, &format!("is larger than {limit} bytes")))?;
    Ok((file, content))
}

fn exists(directory: &File, name: &str) -> io::Result<bool> {
    match fstatat(directory, name, AtFlags::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(about(name, &error)),
    }
}

/// Is `name` still the file that was read. ALTER SYSTEM renames a new one over it, people write
/// into it.
fn is_still(directory: &File, name: &str, known: &File) -> io::Result<bool> {
    let known = known.metadata()?;
    let found: FileStat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(|error| about(name, &error))?;
    Ok((found.st_dev, found.st_ino) == (known.dev(), known.ino())
        && (found.st_mtime, found.st_mtime_nsec) == (known.mtime(), known.mtime_nsec()))
}

fn about(name: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{name}: {error}"))
}

/// An fsync on a busy disk has been seen to take seconds.
const HELPER_TIME: Duration = Duration::from_secs(30);
const INPUT_BYTES: u64 = 1024 * 1024;
/// `PG_VERSION` holds a few characters.
const VERSION_BYTES: usize = 64;
/// ALTER SYSTEM makes files of a few hundred lines at most.
const SETTINGS_BYTES: usize = 1024 * 1024;
/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
