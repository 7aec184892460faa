//! What can go wrong with votes, one thing at a time, and in a line of text for people.

use super::setup::Setup;
use super::units::seconds;
use super::{HostId, Micros};

/// What happens to the exchanges of voters, or to the vote file of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VoteFault {
    /// So many requests and answers out of a hundred are held up, or repeated later.
    HoldsUp(u64),
    /// Writes of the vote file take so much longer.
    SlowDisk(HostId, Micros),
    /// The disk with the vote file is full, or no longer.
    DiskFull(HostId, bool),
    /// The daemon is killed in the next write of its vote file, which has happened or not, and is started
    /// again.
    EndsInWrite(HostId, bool),
    /// The vote file is gone.
    LosesFile(HostId),
    /// Half of the vote file is gone.
    TearsFile(HostId),
    /// The vote file is put back to an older copy: what no voter can bear.
    PutsFileBack(HostId),
    /// An operator edits the configuration of this host to have the voters of this generation, and reloads
    /// the daemon, or restarts it; is he careless.
    Edits(HostId, u64, (bool, bool)),
}

impl VoteFault {
    /// Whose vote file it is about.
    pub(super) fn host(self) -> Option<HostId> {
        match self {
            Self::HoldsUp(_) => None,
            Self::SlowDisk(host, _)
            | Self::DiskFull(host, _)
            | Self::EndsInWrite(host, _)
            | Self::LosesFile(host)
            | Self::TearsFile(host)
            | Self::PutsFileBack(host)
            | Self::Edits(host, ..) => Some(host),
        }
    }

    /// In a line, with the names of this cluster.
    pub(super) fn text(self, setup: &Setup) -> String {
        let host = self.host().map_or("", |host| setup.host_name(host));
        let what = match self {
            Self::HoldsUp(percent) => {
                return format!("{percent} % of all requests for votes are held up or repeated");
            }
            Self::SlowDisk(_, by) => format!("takes {} s longer to write", seconds(by)),
            Self::DiskFull(_, true) => "cannot be written".to_owned(),
            Self::DiskFull(_, false) => "can be written again".to_owned(),
            Self::EndsInWrite(_, true) => {
                "is written, and the daemon killed before it knows".to_owned()
            }
            Self::EndsInWrite(_, false) => "is not written, the daemon is killed before".to_owned(),
            Self::LosesFile(_) => "is lost".to_owned(),
            Self::TearsFile(_) => "is torn".to_owned(),
            Self::Edits(_, generation, (restarts, is_careless)) => {
                let how = if restarts { "restarted" } else { "reloaded" };
                let when = if is_careless { ", carelessly" } else { "" };
                return format!("{host} gets list {generation}, and is {how}{when}");
            }
            Self::PutsFileBack(_) => "is put back to an older copy".to_owned(),
        };
        let next = match self {
            Self::EndsInWrite(..) => "next time ",
            _ => "",
        };
        format!("{next}the vote file of {host} {what}")
    }
}
