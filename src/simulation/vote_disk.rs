//! The vote file of a host: what a reader finds, what is there after a power loss, and the write that is
//! under way. It outlives every process of its daemon.

use super::Micros;
use super::in_flight::ProcessId;
use super::rng::Rng;
use crate::config::{ClusterName, VoterName};
use crate::format::VoteFile;
use crate::votes::{Record, SaveId, VoterList};

/// The disk with the vote file of one voter.
#[derive(Clone, Debug)]
pub(super) struct VoteDisk {
    cluster: ClusterName,
    voter: VoterName,
    /// What a reader finds; `None`: no file.
    visible: Option<Vec<u8>>,
    /// What is there after a power loss: what was written last, and is synced.
    durable: Option<Vec<u8>>,
    /// Everything that the file ever held, the oldest first: somebody may have kept it.
    copies: Vec<Vec<u8>>,
    write: Option<VoteWrite>,
    last_write: u64,
    pub(super) faults: VoteDiskFaults,
}

/// A write of the vote file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VoteWrite {
    /// A later one has a higher number.
    pub(super) number: u64,
    /// Who gets its end.
    pub(super) by: ProcessId,
    pub(super) id: SaveId,
    pub(super) record: Record,
    /// It has failed, and is repeated later by the daemon that wants it.
    pub(super) has_failed: bool,
}

/// What is wrong with the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct VoteDiskFaults {
    /// Writes take so much longer.
    pub(super) slow: Micros,
    /// Writes fail.
    pub(super) is_full: bool,
    /// The daemon is killed in its next write, which happens or not.
    pub(super) ends_in_write: Option<bool>,
}

impl VoteDisk {
    /// With the file that an operator has made before the daemon was first started.
    pub(super) fn new(cluster: ClusterName, voter: VoterName, list: VoterList) -> Self {
        let record = Record::new(list);
        Self::with(cluster, voter, &record)
    }

    /// With the file of a voter that is new.
    pub(super) fn joining(cluster: ClusterName, voter: VoterName, list: VoterList) -> Self {
        let record = Record::joining(list);
        Self::with(cluster, voter, &record)
    }

    /// Whose file it is.
    pub(super) fn voter(&self) -> &VoterName {
        &self.voter
    }

    fn with(cluster: ClusterName, voter: VoterName, record: &Record) -> Self {
        let mut disk = Self {
            cluster,
            voter,
            visible: None,
            durable: None,
            copies: Vec::new(),
            write: None,
            last_write: 0,
            faults: VoteDiskFaults::default(),
        };
        disk.replace(record);
        disk.sync();
        disk
    }

    /// What a new process finds, as the daemon reads it: synced before, because whoever has written it may
    /// have been killed before that.
    pub(super) fn read(&mut self) -> Result<Record, String> {
        if self.write.is_some() {
            return Err("one that still writes for a former process uses it".to_owned());
        }
        let content = self.visible.as_ref().ok_or("no such file")?;
        let file = VoteFile::read(content)?;
        let record = file.record_for(&self.cluster, &self.voter)?;
        self.sync();
        Ok(record)
    }

    /// A write begins. A former one of this process has come back.
    pub(super) fn begin(&mut self, by: ProcessId, id: SaveId, record: Record) -> u64 {
        self.last_write += 1;
        self.write = Some(VoteWrite {
            number: self.last_write,
            by,
            id,
            record,
            has_failed: false,
        });
        self.last_write
    }

    /// The write of this number, if it is still under way.
    pub(super) fn write(&self, number: u64) -> Option<&VoteWrite> {
        self.write.as_ref().filter(|write| write.number == number)
    }

    /// The new file takes the place of the old one: readers find it from now on.
    pub(super) fn rename(&mut self) {
        if let Some(record) = self.write.as_ref().map(|write| write.record.clone()) {
            self.replace(&record);
        }
    }

    /// The write has failed, or is repeated.
    pub(super) fn mark(&mut self, has_failed: bool) {
        if let Some(write) = &mut self.write {
            write.has_failed = has_failed;
        }
    }

    /// A former process has left nobody behind who writes.
    pub(super) fn end_of_process(&mut self, is_writer_killed: bool) {
        self.write
            .take_if(|write| is_writer_killed || write.has_failed);
    }

    /// The write ends, and whoever writes is gone. `is_done`: it has reached the disk.
    pub(super) fn end(&mut self, is_done: bool) -> Option<VoteWrite> {
        if is_done {
            self.sync();
        }
        self.write.take()
    }

    /// The machine goes down: a write ends where it is, and of a file that is not synced either the old or
    /// the new one is found.
    pub(super) fn power_loss(&mut self, rng: &mut Rng) {
        self.write = None;
        if rng.percent(50) {
            self.visible = self.durable.clone();
        }
        self.sync();
    }

    /// The file is gone.
    pub(super) fn lose(&mut self) {
        (self.visible, self.durable) = (None, None);
    }

    /// Half of the file is gone.
    pub(super) fn tear(&mut self) {
        if let Some(content) = &mut self.visible {
            content.truncate(content.len() / 2);
        }
        self.sync();
    }

    /// Somebody puts an older copy in the place of the file: the last one before, or any.
    pub(super) fn put_back(&mut self, rng: &mut Rng) {
        let before = self.copies.len().saturating_sub(1);
        let place = match rng.percent(50) {
            true => before.saturating_sub(1),
            false => rng.below(before),
        };
        self.visible = self.copies.get(place).cloned();
        self.sync();
    }

    fn replace(&mut self, record: &Record) {
        let file = VoteFile {
            cluster: self.cluster.clone(),
            voter: self.voter.clone(),
            record: record.clone(),
        };
        let content = file.to_json();
        self.copies.push(content.clone());
        self.visible = Some(content);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
    }
}

#[cfg(test)]
#[path = "vote_disk_tests.rs"]
mod tests;
