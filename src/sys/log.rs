//! The log: one line per record on standard error, and to syslog if that is wanted. Neither must
//! ever hold the daemon up.
//!
//! What cannot be written at once waits in a bounded queue; when that is full, lines are lost and
//! counted, and one line says so when writing goes on. The loop calls [`flush`] once per turn. The
//! logger is the one global of the daemon.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ::log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use bytes::{Buf, BytesMut};

use super::clock;
use super::sink::Sink;
use super::socket::Receiver;
use super::syslog::{Syslog, SyslogChange};
use super::text::escape_controls;
use crate::time::timestamp;
use crate::time::{Monotonic, WallTime};

/// Starts logging to standard error; lines begin with the time unless a service manager adds it.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    let with_time = std::env::var_os("NOTIFY_SOCKET").is_none();
    let logger = LOGGER.get_or_init(|| {
        Logger(Mutex::new(Sinks {
            lines: Lines::new(&io::stderr(), with_time),
            syslog: None,
        }))
    });
    ::log::set_logger(logger)?;
    set_level(level);
    Ok(())
}

/// From now on only records at `level` and graver ones are written.
pub fn set_level(level: LevelFilter) {
    ::log::set_max_level(level);
}

/// From now on records go to syslog as well, or no longer: the facility's code and, once it is
/// known, the receiver. Records wait for it.
pub fn set_syslog(wanted: Option<(u8, Option<Receiver>)>) {
    if let Some(logger) = LOGGER.get() {
        let now = clock::monotonic();
        let mut sinks = logger.sinks();
        let Some((facility, receiver)) = wanted else {
            sinks.syslog = None;
            return;
        };
        let known = sinks
            .syslog
            .take()
            .filter(|syslog| syslog.facility() == facility);
        sinks
            .syslog
            .insert(known.unwrap_or_else(|| Syslog::new(facility)))
            .set_receiver(receiver);
        sinks.flush(now);
    }
}

/// Writes what waits, as far as it goes without waiting.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        logger.sinks().flush(clock::monotonic());
    }
}

/// When lines that still wait after [`flush`] are to be tried again, since no event will say that
/// there is room.
pub fn next_deadline(now: Monotonic) -> Option<Monotonic> {
    let sinks = LOGGER.get()?.sinks();
    let lines = sinks.lines.has_backlog().then_some(now + RETRY);
    lines
        .into_iter()
        .chain(sinks.syslog.as_ref().and_then(Syslog::next_deadline))
        .min()
}

/// What may wait to be written.
const QUEUE_BYTES: usize = 256 * 1024;
/// A longer message is cut.
const MESSAGE_BYTES: usize = 16 * 1024;

/// What one record of syslog may hold of a message: rsyslog cuts at 8 KiB, others sooner.
const SYSLOG_BYTES: usize = 4 * 1024;
/// How soon to try again to write lines that nobody takes.
const RETRY: Duration = Duration::from_millis(100);

static LOGGER: OnceLock<Logger> = OnceLock::new();

#[derive(Debug)]
struct Logger(Mutex<Sinks>);

impl Logger {
    /// A panic elsewhere while a line was queued leaves at worst half a line.
    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Formatted before the lock is taken: a message may come from code that logs itself.
            let message = record.args().to_string();
            self.sinks().push(record.target(), record.level(), &message);
        }
    }

    fn flush(&self) {
        flush();
    }
}

/// Where records go.
#[derive(Debug)]
struct Sinks {
    lines: Lines,
    syslog: Option<Syslog>,
}

impl Sinks {
    fn push(&mut self, target: &str, level: Level, message: &str) {
        self.lines.push(clock::wall(), target, level, message);
        let Some(syslog) = &mut self.syslog else {
            return;
        };
        let text = format!(
            "{} {}: {}",
            escape_controls(component(target)),
            level_name(level),
            shortened(message, SYSLOG_BYTES)
        );
        let change = syslog.push(level, &text, clock::monotonic());
        self.report(change);
    }

    fn flush(&mut self, now: Monotonic) {
        self.lines.flush();
        let change = self.syslog.as_mut().and_then(|syslog| syslog.flush(now));
        self.report(change);
    }

    /// What became of syslog is logged where it can be read.
    fn report(&mut self, change: Option<SyslogChange>) {
        let (level, message) = match change {
            None => return,
            Some(SyslogChange::Gone(reason)) => (
                Level::Warn,
                format!("syslog is unreachable, buffering records: {reason}"),
            ),
            Some(SyslogChange::Back) => (Level::Info, "syslog is reachable again".to_owned()),
        };
        if level <= ::log::max_level() {
            self.lines
                .push(clock::wall(), module_path!(), level, &message);
        }
    }
}

/// Lines on their way to one descriptor.
#[derive(Debug)]
struct Lines {
    /// `None` once the descriptor proved to be closed.
    sink: Option<Sink>,
    with_time: bool,
    queue: BytesMut,
    lost: u64,
}

impl Lines {
    fn new(descriptor: &impl AsFd, with_time: bool) -> Self {
        Self {
            sink: Sink::new(descriptor).ok(),
            with_time,
            queue: BytesMut::new(),
            lost: 0,
        }
    }

    fn push(&mut self, at: WallTime, target: &str, level: Level, message: &str) {
        if self.sink.is_none() {
            return;
        }
        self.flush();
        let line = self.line(at, target, level, message);
        // While lines are missing none may follow until that is logged.
        if self.lost > 0 || self.queue.len() + line.len() > QUEUE_BYTES {
            self.lost += 1;
            return;
        }
        self.queue.extend_from_slice(line.as_bytes());
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(sink) = self.sink.as_ref().filter(|_| !self.queue.is_empty()) {
            match sink.write(&self.queue) {
                Ok(written) => self.queue.advance(written.min(self.queue.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_for_now(&error) => return,
                Err(_) => self.sink = None,
            }
            if self.queue.is_empty() {
                self.report_lost();
            }
        }
        // An idle log needs no memory.
        self.queue = BytesMut::new();
    }

    fn has_backlog(&self) -> bool {
        !self.queue.is_empty()
    }

    fn report_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let message = format!("{lost} log lines were dropped: they were not read in time");
            let line = self.line(clock::wall(), module_path!(), Level::Warn, &message);
            self.queue.extend_from_slice(line.as_bytes());
        }
    }

    fn line(&self, at: WallTime, target: &str, level: Level, message: &str) -> String {
        let time = if self.with_time {
            timestamp::format_millis(at) + "\t"
        } else {
            String::new()
        };
        let component = escape_controls(component(target));
        format!(
            "{time}{component}\t{}\t{}\n",
            level_name(level),
            shortened(message, MESSAGE_BYTES)
        )
    }
}

/// One line of it, and no more than so many bytes before they are escaped.
fn shortened(message: &str, bytes: usize) -> String {
    let kept = start_of(message, bytes);
    let mark = if kept.len() < message.len() {
        " [cut]"
    } else {
        ""
    };
    format!("{}{mark}", escape_controls(kept))
}

/// The first characters of `text` that fit into `bytes`.
fn start_of(text: &str, bytes: usize) -> &str {
    let cut = (0..=bytes.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    text.get(..cut.unwrap_or(0)).unwrap_or(text)
}

/// A full disk gets room again, like a full pipe; a closed descriptor does not open again.
fn is_for_now(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, StorageFull, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | StorageFull | QuotaExceeded | OutOfMemory
    ) || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// The room that a record comes from; a target that is no path of ours is its own name.
fn component(target: &str) -> &str {
    match target.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::")) {
        Some(path) => path.split("::").next().unwrap_or(path),
        None => target,
    }
}

/// The original's names.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    use super::*;

    const NOON: WallTime = WallTime::from_unix_micros(1_714_480_496_789_012);

    fn pipe() -> (File, OwnedFd) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        (File::from(reader), writer)
    }

    /// What `lines` still writes once `reader` takes everything.
    fn rest(reader: &mut File, mut lines: Lines, writer: OwnedFd) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while lines.has_backlog() {
            let n = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..n]);
            lines.flush();
        }
        drop((lines, writer));
        reader.read_to_end(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn printed(with_time: bool, target: &str, level: Level, message: &str) -> String {
        let (mut reader, writer) = pipe();
        let mut lines = Lines::new(&writer, with_time);
        lines.push(NOON, target, level, message);
        assert!(!lines.has_backlog());
        rest(&mut reader, lines, writer)
    }

    #[test]
    fn a_record_is_one_line_of_time_component_level_and_message() {
        let own = "pglookout::failover::verdict";
        let check = |with_time, target, level, message, expected: &str| {
            assert_eq!(printed(with_time, target, level, message), expected);
        };
        check(
            true,
            own,
            Level::Warn,
            "held",
            "2024-04-30T12:34:56.789Z\tfailover\tWARNING\theld\n",
        );
        check(false, own, Level::Trace, "held", "failover\tDEBUG\theld\n");
        check(
            false,
            "pglookout",
            Level::Info,
            "started",
            "pglookout\tINFO\tstarted\n",
        );
        check(
            false,
            "mio::poll",
            Level::Error,
            "a\nb\tc",
            "mio::poll\tERROR\ta\\nb\\tc\n",
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let line = printed(false, "x", Level::Info, &"ü".repeat(MESSAGE_BYTES));
        assert_eq!(
            line,
            format!("x\tINFO\t{} [cut]\n", "ü".repeat(MESSAGE_BYTES / 2))
        );
        let whole = "y".repeat(MESSAGE_BYTES);
        assert_eq!(
            printed(false, "x", Level::Info, &whole),
            format!("x\tINFO\t{whole}\n")
        );
    }

    #[test]
    fn a_stalled_reader_loses_lines_and_gets_their_number() {
        let (mut reader, writer) = pipe();
        let mut lines = Lines::new(&writer, false);
        let message = "m".repeat(1000);
        for number in 0..2000 {
            lines.push(NOON, "x", Level::Info, &format!("{number} {message}"));
            assert!(lines.queue.len() <= QUEUE_BYTES);
        }
        assert!(lines.has_backlog());
        let lost = lines.lost;
        assert!(lost > 1000, "{lost}");
        let text = rest(&mut reader, lines, writer);
        let kept = 2000 - lost;
        for (number, line) in (0..kept).zip(text.lines()) {
            assert_eq!(line, format!("x\tINFO\t{number} {message}"));
        }
        let expected =
            format!("sys\tWARNING\t{lost} log lines were dropped: they were not read in time");
        assert_eq!(
            text.lines()
                .skip(usize::try_from(kept).unwrap())
                .collect::<Vec<_>>(),
            [expected]
        );
    }

    #[test]
    fn a_closed_descriptor_ends_the_log_and_nothing_else() {
        let (reader, writer) = pipe();
        let mut lines = Lines::new(&writer, false);
        drop(reader);
        lines.push(NOON, "x", Level::Info, "lost");
        lines.push(NOON, "x", Level::Info, "lost");
        assert!(lines.sink.is_none() && !lines.has_backlog());
    }

    #[test]
    fn a_regular_file_is_appended_to_where_it_stands() {
        let path = std::env::temp_dir().join(format!("pglookout-log-{}", std::process::id()));
        std::fs::write(&path, "before\n").unwrap();
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        Lines::new(&file, false).push(NOON, "x", Level::Info, "after");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "before\nx\tINFO\tafter\n"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
