//! A descriptor that log lines are written to and that must never be waited for.
//!
//! The descriptor may be shared with whoever started us, so O_NONBLOCK is not ours to set on it. A
//! pipe or a terminal is opened a second time through `/proc`, which gives a non-blocking
//! description of our own; a socket has a flag per call; a regular file takes what it is given.
//! Where a pipe cannot be opened again (it is another user's), it is asked first and given no more
//! than it then surely takes.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;

/// Where lines go, by the way in which it is written to without waiting.
#[derive(Debug)]
pub(super) enum Sink {
    /// Our own non-blocking description of a pipe or terminal, or a regular file.
    Direct(OwnedFd),
    /// A stream or datagram socket.
    Socket(OwnedFd),
    /// A shared pipe or terminal: asked before each write, at most so many bytes at a time.
    Asked(OwnedFd, usize),
}

impl Sink {
    /// Finds out what `descriptor` is.
    pub(super) fn new(descriptor: &impl AsFd) -> io::Result<Self> {
        let ours = descriptor.as_fd().try_clone_to_owned()?;
        let kind = SFlag::from_bits_truncate(fstat(&ours)?.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFSOCK {
            return Ok(Self::Socket(ours));
        }
        if kind != SFlag::S_IFIFO && kind != SFlag::S_IFCHR {
            return Ok(Self::Direct(ours));
        }
        let most = if kind == SFlag::S_IFIFO {
            libc::PIPE_BUF
        } else {
            TERMINAL_BYTES
        };
        Ok(open_again(&ours).map_or(Self::Asked(ours, most), Self::Direct))
    }

    /// Writes as much of `bytes` as goes without waiting; `WouldBlock` if nothing does.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        // A pipe takes up to PIPE_BUF bytes whole or not at all, so that lines of several writers
        // do not mix.
        let bytes = bytes
            .get(..whole_lines(bytes, libc::PIPE_BUF))
            .unwrap_or(bytes);
        let written = match self {
            Self::Direct(file) => write(file, bytes),
            Self::Socket(socket) => send(
                socket.as_raw_fd(),
                bytes,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            ),
            Self::Asked(file, most) => ask(file).and_then(|()| {
                let fitting = bytes.get(..*most).unwrap_or(bytes);
                write(file, fitting)
            }),
        };
        written.map_err(io::Error::from)
    }
}

/// A terminal that says it is writable has room for this many bytes.
const TERMINAL_BYTES: usize = 256;

/// How many of `bytes` make whole lines of together at most `most` bytes; `most` if the first one
/// is longer.
fn whole_lines(bytes: &[u8], most: usize) -> usize {
    let window = bytes.get(..most).unwrap_or(bytes);
    window
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(window.len(), |at| at + 1)
}

fn open_again(file: &OwnedFd) -> Option<OwnedFd> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)
        .ok()
        .map(OwnedFd::from)
}

/// EAGAIN unless `file` takes a write now.
fn ask(file: &OwnedFd) -> nix::Result<()> {
    let mut asked = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut asked, PollTimeout::ZERO)? {
        0 => Err(Errno::EAGAIN),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    use super::*;

    /// Fills the sink until it would wait, and returns how much it took.
    fn fill(sink: &Sink) -> usize {
        let line = [vec![b'x'; 99], b"\n".to_vec()].concat().repeat(20);
        let mut taken = 0;
        loop {
            match sink.write(&line) {
                Ok(n) => taken += n,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return taken;
                }
            }
        }
    }

    fn flags(file: &impl AsFd) -> OFlag {
        OFlag::from_bits_truncate(nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFL).unwrap())
    }

    #[test]
    fn a_full_pipe_is_not_waited_for_and_stays_blocking_for_others() {
        for asked in [false, true] {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let sink = match asked {
                false => Sink::new(&writer).unwrap(),
                true => Sink::Asked(writer.try_clone().unwrap(), libc::PIPE_BUF),
            };
            assert_eq!(matches!(sink, Sink::Direct(_)), !asked);
            let taken = fill(&sink);
            assert!(taken >= libc::PIPE_BUF, "{taken}");
            assert!(!flags(&writer).contains(OFlag::O_NONBLOCK));
            let mut buffer = vec![0; taken];
            let mut reader = std::fs::File::from(reader);
            reader.read_exact(&mut buffer).unwrap();
            assert!(fill(&sink) > 0);
        }
    }

    #[test]
    fn a_full_socket_is_not_waited_for() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let sink = Sink::new(&ours).unwrap();
        assert!(matches!(sink, Sink::Socket(_)));
        assert!(fill(&sink) > 0);
        assert!(!flags(&ours).contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn what_nobody_reads_any_more_is_an_error_and_no_signal() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let sink = Sink::new(&writer).unwrap();
        drop(reader);
        assert_eq!(
            sink.write(b"x\n").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(
            Sink::new(&ours).unwrap().write(b"x\n").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn lines_are_written_whole_where_they_fit() {
        let check = |text: &[u8], most, expected| assert_eq!(whole_lines(text, most), expected);
        check(b"one\ntwo\n", 100, 8);
        check(b"one\ntwo\n", 7, 4);
        check(b"one\ntwo", 6, 4);
        check(b"longer than that\n", 6, 6);
        check(b"", 6, 0);
    }
}
