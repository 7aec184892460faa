//! Log records for syslog, one datagram each, RFC 3164 as rsyslog, syslog-ng and journald read it:
//! `<PRI>pglookout[PID]: component LEVEL: message`. Without a time and a host name: who receives it
//! knows both, and the time would have to be in its time zone. Nothing waits for the receiver.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ::log::Level;

use super::socket::{Datagrams, Receiver};
use crate::time::Monotonic;

/// Records on their way to one receiver.
#[derive(Debug)]
pub(super) struct Syslog {
    facility: u8,
    /// `None` as long as its address is not known.
    receiver: Option<Receiver>,
    socket: Option<Datagrams>,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    lost: u64,
    /// Not before then: it could not be reached, or took nothing.
    retry_at: Option<Monotonic>,
    /// It cannot be reached, and that was logged.
    is_reported: bool,
}

/// What came of sending, for the other log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SyslogChange {
    /// It cannot be reached any more, and why.
    Gone(String),
    /// It is reached again.
    Back,
}

impl Syslog {
    /// For `facility`, RFC 3164's code.
    pub(super) fn new(facility: u8) -> Self {
        Self {
            facility,
            receiver: None,
            socket: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            lost: 0,
            retry_at: None,
            is_reported: false,
        }
    }

    /// Where records go from now on, those that wait included.
    pub(super) fn set_receiver(&mut self, receiver: Option<Receiver>) {
        if self.receiver != receiver {
            (self.receiver, self.socket, self.retry_at) = (receiver, None, None);
        }
    }

    pub(super) fn facility(&self) -> u8 {
        self.facility
    }

    /// Takes in a record; `text` is one line. Sends what can be sent.
    pub(super) fn push(
        &mut self,
        level: Level,
        text: &str,
        now: Monotonic,
    ) -> Option<SyslogChange> {
        let record = self.record(level, text);
        // While records are missing none may follow until that is logged.
        if self.lost > 0 || self.queued_bytes + record.len() > QUEUE_BYTES {
            self.lost = self.lost.saturating_add(1);
        } else {
            self.enqueue(record);
        }
        self.flush(now)
    }

    /// Sends what waits, as far as it goes without waiting.
    pub(super) fn flush(&mut self, now: Monotonic) -> Option<SyslogChange> {
        while !self.queue.is_empty() && self.retry_at.is_none_or(|at| at <= now) {
            match self.send_first() {
                Ok(()) => {
                    self.retry_at = None;
                    let sent = self.queue.pop_front().unwrap_or_default();
                    self.queued_bytes = self.queued_bytes.saturating_sub(sent.len());
                }
                Err(error) => {
                    let full = error.kind() == io::ErrorKind::WouldBlock;
                    self.retry_at = Some(now + if full { RETRY_FULL } else { RETRY_ABSENT });
                    return (!full && !std::mem::replace(&mut self.is_reported, true))
                        .then(|| SyslogChange::Gone(error.to_string()));
                }
            }
            if self.queue.is_empty() && self.lost > 0 {
                let text = format!(
                    "sys WARNING: {} log lines were dropped: they were not read in time",
                    self.lost
                );
                self.lost = 0;
                self.enqueue(self.record(Level::Warn, &text));
            }
        }
        let is_back =
            self.queue.is_empty() && self.socket.is_some() && std::mem::take(&mut self.is_reported);
        is_back.then_some(SyslogChange::Back)
    }

    /// When to try again, if something waits.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.retry_at.filter(|_| !self.queue.is_empty())
    }

    /// Over a new socket if the old one proves to lead nowhere: a syslog daemon that was restarted
    /// has made its own anew.
    fn send_first(&mut self) -> io::Result<()> {
        let Some(record) = self.queue.front() else {
            return Ok(());
        };
        if let Some(socket) = &self.socket {
            match socket.send(record) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.socket = None,
                sent => return sent,
            }
        }
        let receiver = self
            .receiver
            .as_ref()
            .ok_or_else(|| io::Error::other("its address is not known"))?;
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{receiver}: {error}"));
        self.socket
            .insert(Datagrams::open(receiver).map_err(about)?)
            .send(record)
            .map_err(about)
    }

    fn enqueue(&mut self, record: Vec<u8>) {
        self.queued_bytes += record.len();
        self.queue.push_back(record);
    }

    fn record(&self, level: Level, text: &str) -> Vec<u8> {
        let priority = u32::from(self.facility) * 8 + severity(level);
        format!("<{priority}>pglookout[{}]: {text}", std::process::id()).into_bytes()
    }
}

/// RFC 3164, section 4.1.1.
fn severity(level: Level) -> u32 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// What may wait to be sent.
const QUEUE_BYTES: usize = 128 * 1024;
/// How soon to try again where the receiver has no room: it holds ten records or some hundreds.
const RETRY_FULL: Duration = Duration::from_millis(100);
/// How soon to try again where there is no receiver.
const RETRY_ABSENT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    /// A syslog daemon's socket; it vanishes with the file.
    struct Daemon(PathBuf, UnixDatagram);

    impl Daemon {
        fn start(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("pglookout-syslog-{name}-{}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self(path, socket)
        }

        /// What has come, without the part that is always the same.
        fn records(&self) -> Vec<String> {
            let mut buffer = [0; 65_536];
            let next = || {
                self.1
                    .recv(&mut buffer)
                    .ok()
                    .map(|n| String::from_utf8(buffer[..n].to_vec()).unwrap())
            };
            let tag = format!("pglookout[{}]: ", std::process::id());
            std::iter::from_fn(next)
                .map(|record| record.replace(&tag, ""))
                .collect()
        }

        fn stop(self) {
            std::fs::remove_file(&self.0).unwrap();
        }
    }

    fn syslog(daemon: &Daemon) -> Syslog {
        let mut syslog = Syslog::new(18);
        syslog.set_receiver(Some(Receiver::Path(daemon.0.clone())));
        syslog
    }

    #[test]
    fn priority_is_facility_and_severity() {
        let daemon = Daemon::start("priority");
        let mut syslog = syslog(&daemon);
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
            assert_eq!(syslog.push(level, "lookout X: y", at(0)), None);
        }
        assert_eq!(
            daemon.records(),
            ["<147>", "<148>", "<150>", "<151>"].map(|pri| format!("{pri}lookout X: y"))
        );
        let mut kernel = Syslog::new(0);
        kernel.set_receiver(Some(Receiver::Path(daemon.0.clone())));
        kernel.push(Level::Error, "x", at(0));
        assert_eq!(daemon.records(), ["<3>x"]);
        daemon.stop();
    }

    #[test]
    fn a_restarted_receiver_is_found_again_and_gets_what_waited() {
        let daemon = Daemon::start("restart");
        let mut syslog = syslog(&daemon);
        syslog.push(Level::Info, "1", at(0));
        assert_eq!(daemon.records(), ["<150>1"]);
        // At once, if the new one is there already.
        daemon.stop();
        let daemon = Daemon::start("restart");
        assert_eq!(syslog.push(Level::Info, "2", at(0)), None);
        assert_eq!(daemon.records(), ["<150>2"]);
        daemon.stop();
        assert!(matches!(
            syslog.push(Level::Info, "3", at(1)),
            Some(SyslogChange::Gone(_))
        ));
        assert_eq!(syslog.push(Level::Info, "4", at(1)), None);
        assert_eq!(syslog.next_deadline(), Some(at(2)));
        let daemon = Daemon::start("restart");
        assert_eq!(syslog.flush(at(1)), None);
        assert_eq!(syslog.flush(at(2)), Some(SyslogChange::Back));
        assert_eq!(
            (daemon.records(), syslog.next_deadline()),
            (vec!["<150>3".to_owned(), "<150>4".to_owned()], None)
        );
        daemon.stop();
    }

    #[test]
    fn a_receiver_that_takes_nothing_loses_records_and_gets_their_number() {
        let daemon = Daemon::start("full");
        let mut syslog = syslog(&daemon);
        let text = "m".repeat(1000);
        for number in 0..500 {
            assert_eq!(
                syslog.push(Level::Info, &format!("{number} {text}"), at(0)),
                None,
                "that is no outage"
            );
            assert!(syslog.queued_bytes <= QUEUE_BYTES);
        }
        let lost = syslog.lost;
        assert!(lost > 100, "{lost}");
        let mut records = Vec::new();
        for second in 1..100 {
            records.extend(daemon.records());
            syslog.flush(at(second));
        }
        records.extend(daemon.records());
        let expected: Vec<_> = (0..500 - lost)
            .map(|number| format!("<150>{number} {text}"))
            .collect();
        let dropped =
            format!("<148>sys WARNING: {lost} log lines were dropped: they were not read in time");
        assert_eq!(records, [expected, vec![dropped]].concat());
        assert_eq!((syslog.queued_bytes, syslog.lost), (0, 0));
        daemon.stop();
    }

    #[test]
    fn records_wait_for_an_address() {
        let daemon = Daemon::start("address");
        let mut syslog = Syslog::new(18);
        assert!(matches!(
            syslog.push(Level::Info, "1", at(0)),
            Some(SyslogChange::Gone(_))
        ));
        syslog.set_receiver(Some(Receiver::Path(daemon.0.clone())));
        assert_eq!(syslog.flush(at(0)), Some(SyslogChange::Back));
        assert_eq!(daemon.records(), ["<150>1"]);
        daemon.stop();
    }
}
