//! The vote files: each is read by a child process, which looks at the directory too, once more when we
//! have the lock of that, and what was written is reported to the core. Until then this daemon votes for
//! nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file_writes::{FileWrites, VOTES};
use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult};
use crate::config::{ClusterName, Config, Voting};
use crate::format::{MAX_VOTE_FILE_BYTES, VoteFile};
use crate::lookout::{Event, Lookout};
use crate::sys::files;
use crate::sys::forked::FileOp;
use crate::sys::vote_directory::{VoteDirectory, random_bits};
use crate::time::Monotonic;
use crate::votes::{Record, SaveId};

/// Which files are read and written.
#[derive(Debug, Default)]
pub(super) struct VoteFiles {
    /// The directory that is locked, or is to be.
    directory: Option<PathBuf>,
    /// When files that could not be used are looked at again.
    look_at: Option<Monotonic>,
    /// Writes that have not come back well yet.
    writes: BTreeMap<PathBuf, (ClusterName, SaveId)>,
}

impl VoteFiles {
    pub(super) fn new(config: &Config) -> Self {
        let mut files = Self::default();
        files.adopt(config, Monotonic::default());
        files
    }

    /// Follows the configuration.
    pub(super) fn adopt(&mut self, config: &Config, now: Monotonic) {
        let directory = config
            .voting
            .as_ref()
            .map(|voting| voting.directory.clone());
        self.look_at = directory.as_ref().map(|_| now);
        self.directory = directory;
    }

    /// Reads the files of clusters that have no record yet. Returns the next deadline.
    pub(super) fn tick(
        &mut self,
        lookout: &Lookout,
        files: &FileWrites,
        io: &mut Io,
    ) -> Option<Monotonic> {
        let due = self.look_at.filter(|at| *at <= io.now.mono);
        let (Some(_), Some(voting)) = (due, &lookout.config().voting) else {
            return self.look_at;
        };
        let missing = lookout.votes().filter(|(_, member)| member.is_err());
        let missing: Vec<_> = missing.map(|(name, _)| name.clone()).collect();
        self.look_at = (!missing.is_empty()).then(|| io.now.mono + LOOK_AGAIN);
        if missing.is_empty() {
            return None;
        }
        for cluster in missing {
            let path = VoteFile::path(&voting.directory, &cluster);
            // What stands there is older than what a former configuration has yet to write.
            if files.is_pending(&path) {
                continue;
            }
            let (request, directory) = (ReadRequest::VoteFile(cluster), &voting.directory);
            io.read_in_child(request, READ_TIME, || read(directory, &path));
        }
        self.look_at
    }

    /// Locks the directory, which a child has just looked at. Returns whether we had the lock before. That
    /// of another configuration is given back once nothing is written there any more.
    fn lock(&self, io: &mut Io) -> Result<bool, String> {
        let Some(directory) = &self.directory else {
            return Ok(true);
        };
        let held = io.vote_lock.as_ref().map(|(path, _)| path);
        if held == Some(directory) {
            return Ok(true);
        }
        let lock = VoteDirectory::lock(directory).map_err(|error| error.to_string())?;
        io.vote_lock = Some((directory.clone(), lock));
        Ok(false)
    }

    pub(super) fn finished(
        &mut self,
        cluster: ClusterName,
        result: ReadResult,
        config: &Config,
        io: &mut Io,
    ) {
        let Some(voting) = &config.voting else { return };
        let found = found(&cluster, result, voting);
        match found.and_then(|record| Ok((record, self.lock(io)?))) {
            Ok((record, true)) => io.events.push(Event::VoteFileRead {
                cluster,
                found: Ok(record),
                seed: random_bits(),
                resumed: None,
            }),
            // Whoever had the lock may have written meanwhile.
            Ok((_, false)) => self.look_at = Some(io.now.mono),
            Err(reason) => failed(cluster, reason, io),
        }
    }

    /// Writes a record.
    pub(super) fn save(
        &mut self,
        (cluster, id): (ClusterName, SaveId),
        record: Record,
        config: &Config,
        files: &mut FileWrites,
        io: &mut Io,
    ) {
        let voting = config.voting.as_ref();
        let Some((voting, own)) = voting.and_then(|it| Some((it, it.clusters.get(&cluster)?)))
        else {
            return;
        };
        let path = VoteFile::path(&voting.directory, &cluster);
        let file = VoteFile {
            cluster: cluster.clone(),
            voter: own.own.clone(),
            record,
        };
        self.writes.insert(path.clone(), (cluster, id));
        files.request(VOTES, path, FileOp::Replace(file.to_json()), io);
    }

    /// A write has come back; one that has failed is repeated.
    pub(super) fn written(&mut self, path: &Path, done: bool, io: &mut Io) {
        let Some((cluster, id)) = self.writes.get(path).cloned() else {
            return;
        };
        if done {
            self.writes.remove(path);
        }
        io.events.push(Event::VoteSaved { cluster, id, done });
    }
}

fn failed(cluster: ClusterName, reason: String, io: &mut Io) {
    io.events.push(Event::VoteFileRead {
        cluster,
        found: Err(reason),
        seed: 0,
        resumed: None,
    });
}

/// Runs in the child. An error begins with [`ERROR`], which no vote file does.
fn read(directory: &Path, path: &Path) -> Vec<u8> {
    // Votes are given again by what is read, so it must not be lost any more.
    let content = VoteDirectory::check(directory)
        .and_then(|()| files::read_own(path, MAX_VOTE_FILE_BYTES))
        .and_then(|content| files::sync(path).map(|()| content));
    content.unwrap_or_else(|error| {
        let mut text = vec![ERROR];
        text.extend_from_slice(error.to_string().as_bytes());
        text
    })
}

fn found(cluster: &ClusterName, result: ReadResult, voting: &Voting) -> Result<Record, String> {
    let own = voting.clusters.get(cluster).ok_or("not configured")?;
    let path = VoteFile::path(&voting.directory, cluster);
    let about = |reason: String| format!("{}: {reason}", path.display());
    let content = result.map_err(about)?;
    if let [ERROR, reason @ ..] = content.as_slice() {
        return Err(String::from_utf8_lossy(reason).into_owned());
    }
    let file = VoteFile::read(&content).map_err(about)?;
    file.record_for(cluster, &own.own).map_err(about)
}

const ERROR: u8 = b'!';
/// Between two looks at files that could not be used.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
