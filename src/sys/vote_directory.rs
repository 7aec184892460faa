//! The directory of the vote files: on a disk, ours alone, and used by one process at a time. The
//! lock is of the open descriptor, which the writers of vote files keep too: after a crash nobody
//! gets it before a writer that was left behind has ended, so that none of them puts an older record
//! in the place of a newer one.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use nix::unistd::geteuid;

/// The lock on the directory, for as long as this lives.
#[derive(Debug)]
pub struct VoteDirectory(Flock<File>);

impl VoteDirectory {
    /// Locks it. Waits for nobody who has the lock; on a disk that hangs it may wait for the disk, so
    /// [`check`](Self::check) it in a child first.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that another process has it.
    pub fn lock(path: &Path) -> Result<Self> {
        let directory = checked(path)?;
        let locked = Flock::lock(directory, FlockArg::LockExclusiveNonblock);
        locked.map(Self).map_err(|_| {
            let path = path.display();
            let users = "another pglookout, or one that still writes for a former process, uses it";
            Error::new(ErrorKind::ResourceBusy, format!("{path}: {users}"))
        })
    }

    /// Checks it without locking it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(path: &Path) -> Result<()> {
        checked(path).map(drop)
    }
}

impl AsFd for VoteDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn checked(path: &Path) -> Result<File> {
    let about = |reason: String| Error::other(format!("{}: {reason}", path.display()));
    let mut options = OpenOptions::new();
    let options = options.read(true);
    let options = options.custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let directory = options
        .open(path)
        .map_err(|error| about(error.to_string()))?;
    let found = directory.metadata()?;
    let mode = found.mode() & 0o777;
    if found.uid() != geteuid().as_raw() {
        return Err(about(format!(
            "it belongs to user id {}, expected our own",
            found.uid()
        )));
    }
    if mode & 0o077 != 0 {
        return Err(about(format!(
            "others may use it (mode {mode:04o}), expected 0700"
        )));
    }
    let kind = fstatfs(&directory)?.filesystem_type();
    if kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
        return Err(about(
            "it is in memory, and lost with it; expected a disk".to_owned(),
        ));
    }
    Ok(directory)
}

/// 128 random bits, from the keys that the operating system has given this process.
pub fn random_bits() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    (half() << 64) | half()
}

/// Of statfs(2).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn one_process_uses_a_directory_that_is_its_own() {
        let scratch = Scratch::new("votes");
        let mode =
            |mode| fs::set_permissions(&scratch.0, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o750);
        let error = VoteDirectory::lock(&scratch.0).unwrap_err().to_string();
        assert!(error.contains("mode 0750"), "{error}");
        mode(0o700);
        let lock = VoteDirectory::lock(&scratch.0).unwrap();
        assert!(VoteDirectory::lock(&scratch.0).is_err());
        VoteDirectory::check(&scratch.0).unwrap();
        drop(lock);
        VoteDirectory::lock(&scratch.0).unwrap();
        assert!(VoteDirectory::check(&scratch.0.join("none")).is_err());
        let memory = Path::new("/dev/shm");
        if fs::metadata(memory).is_ok_and(|found| found.uid() == geteuid().as_raw()) {
            assert!(VoteDirectory::check(memory).is_err());
        }
    }

    #[test]
    fn random_bits_differ() {
        assert_ne!(random_bits(), random_bits());
    }
}
