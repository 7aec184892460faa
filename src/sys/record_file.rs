//! A file that lines are appended to for as long as there is room, rotated once. For the flight
//! recorder: nothing here waits, and nothing depends on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::files::{about_path, not_a_file, of_another_user};

/// An open file of whole lines.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// Device and inode: is the file still the one under its name.
    identity: (u64, u64),
}

impl RecordFile {
    /// Opens the file `path`, or makes it, readable for us alone. A link, or anything but a regular
    /// file of our own, is refused. A line that the previous process did not finish is removed.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path).map_err(|error| about_path(path, "cannot record to", &error))
    }

    /// Bytes in it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Is it still what its name leads to, with all that we wrote. If somebody has moved or removed
    /// it, what is written is written for nobody; if it was emptied (`copytruncate`), what follows
    /// has lost its beginning.
    pub fn is_in_place(&self) -> bool {
        let is_ours = |found: fs::Metadata| {
            (found.dev(), found.ino()) == self.identity && found.len() >= self.size
        };
        fs::symlink_metadata(&self.path).is_ok_and(is_ours)
    }

    /// Appends whole lines, or nothing: what did not fit is taken back.
    pub fn append(&mut self, lines: &str) -> io::Result<()> {
        match self.file.write_all(lines.as_bytes()) {
            Ok(()) => {
                self.size = self
                    .size
                    .saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(error) => {
                // Half a line that cannot be removed is removed when the file is opened again.
                let _ = self.file.set_len(self.size);
                Err(about_path(&self.path, "cannot record to", &error))
            }
        }
    }

    /// Puts `.1` behind its name, in the place of what was there, and begins a new file.
    pub fn rotate(self) -> io::Result<Self> {
        let mut older = self.path.as_os_str().to_owned();
        older.push(".1");
        fs::rename(&self.path, PathBuf::from(older))
            .map_err(|error| about_path(&self.path, "cannot rotate", &error))?;
        Self::open(&self.path)
    }

    fn open_at(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let mut file = options.open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(not_a_file());
        }
        if found.nlink() > 1 {
            return Err(io::Error::other("it has another hard link"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(of_another_user(found.uid()));
        }
        let size = drop_unfinished_line(&mut file, found.size())?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            identity: (found.dev(), found.ino()),
        })
    }
}

/// Cuts what stands behind the last line end, and gives the size that is left.
fn drop_unfinished_line(file: &mut File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK_BYTES);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        Read::by_ref(file)
            .take(end - begin)
            .read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            end = begin
                .saturating_add(u64::try_from(at).unwrap_or(0))
                .saturating_add(1);
            break;
        }
        end = begin;
        if size - end > LONGEST_LINE_BYTES {
            return Err(io::Error::other("its content is not lines"));
        }
    }
    if end < size {
        file.set_len(end)?;
    }
    Ok(end)
}

const BLOCK_BYTES: u64 = 64 << 10;
/// An unfinished line that is longer is none of ours.
const LONGEST_LINE_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::Scratch;

    fn record(scratch: &Scratch) -> PathBuf {
        scratch.0.join("record")
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let scratch = Scratch::new("append");
        for (lines, content) in [("a\nb\n", "a\nb\n"), ("c\n", "a\nb\nc\n")] {
            let mut file = RecordFile::open(&record(&scratch)).unwrap();
            file.append(lines).unwrap();
            assert_eq!(fs::read_to_string(record(&scratch)).unwrap(), content);
            assert_eq!(file.size(), u64::try_from(content.len()).unwrap());
        }
        assert_eq!(
            fs::metadata(record(&scratch)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn an_unfinished_line_is_removed() {
        let scratch = Scratch::new("torn");
        let long = "x".repeat(200_000);
        for (content, left) in [
            ("", ""),
            ("a\n", "a\n"),
            ("a\n{\"t\": 1", "a\n"),
            ("torn", ""),
            (&format!("a\n{long}"), "a\n"),
        ] {
            fs::write(record(&scratch), content).unwrap();
            assert_eq!(
                RecordFile::open(&record(&scratch)).unwrap().size(),
                u64::try_from(left.len()).unwrap()
            );
            assert_eq!(fs::read_to_string(record(&scratch)).unwrap(), left);
        }
    }

    #[test]
    fn a_rotation_keeps_one_older_file() {
        let scratch = Scratch::new("rotate");
        let mut file = RecordFile::open(&record(&scratch)).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            file.append(line).unwrap();
            file = file.rotate().unwrap();
            assert_eq!(
                (
                    file.size(),
                    fs::read_to_string(scratch.0.join("record.1"))
                        .unwrap()
                        .as_str()
                ),
                (0, line)
            );
        }
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_the_size_as_it_was() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut file = RecordFile {
            path: PathBuf::from("/dev/full"),
            file,
            size: 7,
            identity: (0, 0),
        };
        let error = file.append("a line\n").unwrap_err();
        assert_eq!((error.kind(), file.size()), (io::ErrorKind::StorageFull, 7));
        assert!(
            error
                .to_string()
                .starts_with("cannot record to /dev/full: No space left")
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_noticed() {
        let scratch = Scratch::new("moved");
        let file = RecordFile::open(&record(&scratch)).unwrap();
        assert!(file.is_in_place());
        fs::rename(record(&scratch), scratch.0.join("elsewhere")).unwrap();
        assert!(!file.is_in_place());
        fs::write(record(&scratch), "").unwrap();
        assert!(!file.is_in_place());
    }

    #[test]
    fn a_file_that_was_emptied_is_noticed() {
        let scratch = Scratch::new("emptied");
        let mut file = RecordFile::open(&record(&scratch)).unwrap();
        file.append("a line\n").unwrap();
        assert!(file.is_in_place());
        File::options()
            .write(true)
            .open(record(&scratch))
            .unwrap()
            .set_len(0)
            .unwrap();
        assert!(!file.is_in_place());
    }

    #[track_caller]
    fn check_refused(path: &Path, expected: &str) {
        let error = RecordFile::open(path).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn nothing_but_a_file_of_our_own_is_written_to() {
        let scratch = Scratch::new("kinds");
        check_refused(&scratch.0, "directory");
        check_refused(Path::new("/dev/full"), "not a regular file");
        let (fifo, link, other) = (
            scratch.0.join("fifo"),
            scratch.0.join("link"),
            scratch.0.join("other"),
        );
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        check_refused(&fifo, "not a regular file");
        fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        check_refused(&link, "symbolic link");
        fs::hard_link(&other, scratch.0.join("another name")).unwrap();
        check_refused(&other, "hard link");
        check_refused(&scratch.0.join("none/record"), "No such file");
    }
}
