//! What the service manager is told: that we are ready, that we reload, that we end, how things
//! stand in one sentence, and, by the watchdog, that decisions are being made. A loop that merely
//! turns does not feed the watchdog.

use std::time::Duration;

use crate::config::NodeName;
use crate::lookout::Lookout;
use crate::sys::notify::ServiceManager;
use crate::sys::text::escape_controls;
use crate::time::{Monotonic, Now};

/// The service manager's side of the daemon.
#[derive(Debug)]
pub(super) struct Service {
    manager: ServiceManager,
    /// The sentence that it was told last.
    status: String,
    /// Of which round it was made.
    status_of: Option<Now>,
    /// When the watchdog is fed next.
    feed_at: Option<Monotonic>,
    /// It should be fed, and is not.
    withheld: bool,
}

impl Service {
    /// Whoever has started this process.
    pub(super) fn new() -> Self {
        let manager = ServiceManager::of_this_process().unwrap_or_else(|error| {
            log::warn!("{error}; the service manager is not notified");
            ServiceManager::default()
        });
        Self::of(manager)
    }

    fn of(manager: ServiceManager) -> Self {
        Self {
            manager,
            status: String::new(),
            status_of: None,
            feed_at: None,
            withheld: false,
        }
    }

    /// The listener is bound and the former process's memory is loaded: the loop is about to begin.
    pub(super) fn ready(&mut self, now: Monotonic) {
        self.manager.send("READY=1".to_owned());
        self.feed_at = self.manager.watchdog().map(|_| now);
    }

    /// A reload begins; what is said of it ends with [`Service::ready`].
    pub(super) fn reloading(&mut self, now: Monotonic) {
        self.manager.send(format!(
            "RELOADING=1\nMONOTONIC_USEC={}",
            now.since_boot().as_micros()
        ));
    }

    /// We end, perhaps not at once.
    pub(super) fn stopping(&mut self, sentence: &str) {
        self.status = sentence.to_owned();
        self.manager.send(format!("STOPPING=1\nSTATUS={sentence}"));
    }

    /// At the end of each turn: the sentence if it is another, and the watchdog's food if it is
    /// time for it and deserved. While we end no decisions are made, and turning is enough.
    pub(super) fn tend(&mut self, lookout: &Lookout, is_ending: bool, now: Now) {
        if !self.manager.is_there() {
            return;
        }
        self.manager.flush();
        if !is_ending {
            self.tell_status(lookout);
        }
        if self.feed_at.is_some_and(|at| at <= now.mono) {
            self.feed(is_ending || lookout.is_deciding(now.mono), now.mono);
        }
    }

    /// There is a new sentence when there was a decision.
    fn tell_status(&mut self, lookout: &Lookout) {
        let round = lookout.last_round().map(|round| round.at);
        if !self.status.is_empty() && round == self.status_of {
            return;
        }
        self.status_of = round;
        let status = status(lookout);
        if status != self.status {
            self.manager.send(format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// While the watchdog is not fed somebody else's deadlines make the turns.
    pub(super) fn next_deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let backlog = self.manager.has_backlog().then_some(now + RETRY);
        self.feed_at
            .filter(|_| !self.withheld)
            .into_iter()
            .chain(backlog)
            .min()
    }

    fn feed(&mut self, is_deserved: bool, now: Monotonic) {
        if is_deserved {
            let is_taken = self.manager.send_now("WATCHDOG=1");
            let again = self.manager.watchdog().map(|limit| limit / 2);
            self.feed_at = again.map(|again| now + if is_taken { again } else { again.min(RETRY) });
        } else if !self.withheld {
            log::error!("no decisions are being made: the watchdog is not notified");
        }
        self.withheld = !is_deserved;
    }
}

/// Who is the primary, what we are, and what we wait for.
fn status(lookout: &Lookout) -> String {
    let primary = lookout
        .primary()
        .map_or("no primary is known", NodeName::as_str);
    let is_standby =
        |own: &NodeName| Some(lookout.state().nodes.get(own)?.answer.as_ref()?.in_recovery);
    let own = match &lookout.config().own_db {
        None => "observer".to_owned(),
        Some(own) => match is_standby(own) {
            Some(true) => format!("standby {own}"),
            Some(false) => format!("primary {own}"),
            None => format!("{own}, role unknown"),
        },
    };
    let waits = lookout
        .last_round()
        .map(|round| format!("; {}", round.decision.verdict))
        .unwrap_or_default();
    let sentence: String = format!("primary: {primary}; this node: {own}{waits}")
        .chars()
        .take(STATUS_CHARS)
        .collect();
    escape_controls(&sentence).into_owned()
}

/// A longer sentence is cut: systemd takes 4 KiB.
const STATUS_CHARS: usize = 500;
/// How soon to try again where the service manager took nothing.
const RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Environment, parse};
    use crate::lookout::{Event, GivenTurn, Memory};
    use crate::sys::socket::Receiver;
    use crate::time::WallTime;

    fn at(seconds: f64) -> Now {
        let since = Duration::from_secs_f64(seconds);
        Now {
            mono: Monotonic::from_duration(since),
            wall: WallTime::from_unix_micros(0) + since,
        }
    }

    /// Everything that was said since.
    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4096];
        let next = || {
            socket
                .recv(&mut buffer)
                .ok()
                .map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned())
        };
        std::iter::from_fn(next)
            .filter(|words| !words.starts_with("STATUS="))
            .collect()
    }

    fn config() -> Config {
        parse(
            r#"{"replication_state_check_interval": 10, "poll_timeout": 1}"#,
            &Environment::default(),
        )
        .unwrap()
        .config
    }

    #[test]
    fn the_watchdog_hungers_when_decisions_stop_though_the_loop_turns() {
        let name = format!("pglookout-service-{}", std::process::id());
        let socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = ServiceManager::new(
            Receiver::Abstract(name.into_bytes()),
            Some(Duration::from_secs(4)),
        );
        let mut service = Service::of(manager);
        let mut lookout =
            Lookout::with_given_turns(Arc::new(config()), &Memory::default(), at(0.0));
        service.ready(at(0.0).mono);
        assert_eq!(heard(&socket), ["READY=1"]);
        let mut effects = Vec::new();
        let mut turn = |decides: bool, seconds: f64| {
            let deadlines = decides.then_some(Event::Turn(GivenTurn::Deadlines));
            let events = std::iter::once(Event::CheckRequested).chain(deadlines);
            lookout.turn(events, false, at(seconds), &mut effects);
            service.tend(&lookout, false, at(seconds));
            (
                heard(&socket).len(),
                service
                    .next_deadline(at(seconds).mono)
                    .map(|next| next.since_boot().as_secs_f64()),
            )
        };
        // Every half of the limit, as long as there are decisions.
        assert_eq!(turn(true, 0.0), (1, Some(2.0)));
        assert_eq!(turn(true, 1.0), (0, Some(2.0)));
        assert_eq!(turn(true, 30.0), (1, Some(32.0)));
        // Two intervals and the time that fresh facts may take, 2 x 10 s + 15 s, after the last
        // one.
        assert_eq!(turn(false, 65.0), (1, Some(67.0)));
        assert_eq!(turn(false, 67.0), (0, None));
        assert_eq!(turn(false, 100.0), (0, None));
        assert_eq!(turn(true, 101.0), (1, Some(103.0)));
    }
}
