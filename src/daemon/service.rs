//! Notifications for the service manager: ready, reloading, stopping, the status in one sentence, and
//! the watchdog's keep-alives, which are sent as long as decisions are made.

use std::time::Duration;

use crate::config::NodeName;
use crate::lookout::Lookout;
use crate::sys::notify::ServiceManager;
use crate::sys::text::escape_controls;
use crate::time::{Monotonic, Now};

#[derive(Debug)]
pub(super) struct Service {
    manager: ServiceManager,
    /// As last sent.
    status: String,
    /// The time of the decision that it is about, and whether HTTP had failed.
    status_of: (Option<Now>, bool),
    /// The next keep-alive.
    keep_alive_at: Option<Monotonic>,
    /// A keep-alive is due, and no decisions are made.
    is_withheld: bool,
}

impl Service {
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
            status_of: (None, false),
            keep_alive_at: None,
            is_withheld: false,
        }
    }

    /// The start or a reload is complete.
    pub(super) fn ready(&mut self, now: Monotonic) {
        self.manager.send("READY=1".to_owned());
        self.keep_alive_at = self.manager.watchdog().map(|_| now);
    }

    /// A reload begins, to be completed by [`Service::ready`].
    pub(super) fn reloading(&mut self, now: Monotonic) {
        self.manager.send(format!(
            "RELOADING=1\nMONOTONIC_USEC={}",
            now.since_boot().as_micros()
        ));
    }

    pub(super) fn stopping(&mut self, status: &str) {
        self.status = status.to_owned();
        self.manager.send(format!("STOPPING=1\nSTATUS={status}"));
    }

    /// At the end of each turn. During the shutdown no decisions are made, and each turn counts.
    /// `failure`: why there is no HTTP, if so.
    pub(super) fn notify(
        &mut self,
        lookout: &Lookout,
        failure: Option<&str>,
        is_stopping: bool,
        now: Now,
    ) {
        if !self.manager.is_there() {
            return;
        }
        self.manager.flush();
        if !is_stopping {
            self.send_status(lookout, failure);
        }
        if self.keep_alive_at.is_some_and(|at| at <= now.mono) {
            self.keep_alive(is_stopping || lookout.is_deciding(now.mono), now.mono);
        }
    }

    /// The status changes with a decision, and when HTTP comes and goes.
    fn send_status(&mut self, lookout: &Lookout, failure: Option<&str>) {
        let round = lookout.last_round().map(|round| round.at);
        let status_of = (round, failure.is_some());
        if !self.status.is_empty() && status_of == self.status_of {
            return;
        }
        self.status_of = status_of;
        let status = status(lookout, failure);
        if status != self.status {
            self.manager.send(format!("STATUS={status}"));
            self.status = status;
        }
    }

    pub(super) fn next_deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let backlog = self.manager.has_backlog().then_some(now + RETRY);
        self.keep_alive_at
            .filter(|_| !self.is_withheld)
            .into_iter()
            .chain(backlog)
            .min()
    }

    fn keep_alive(&mut self, is_deciding: bool, now: Monotonic) {
        if is_deciding {
            let is_sent = self.manager.send_now("WATCHDOG=1");
            let interval = self.manager.watchdog().map(|limit| limit / 2);
            let interval = interval.map(|half| if is_sent { half } else { half.min(RETRY) });
            self.keep_alive_at = interval.map(|interval| now + interval);
        } else if !self.is_withheld {
            log::error!("no decisions are being made: the watchdog is not notified");
        }
        self.is_withheld = !is_deciding;
    }
}

/// The primary, this node's role, and the last verdict.
fn status(lookout: &Lookout, failure: Option<&str>) -> String {
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
    let verdict = lookout
        .last_round()
        .map(|round| format!("; {}", round.decision.verdict))
        .unwrap_or_default();
    let failure = failure.map(|failure| format!("{failure}; "));
    let failure = failure.unwrap_or_default();
    let status: String = format!("{failure}primary: {primary}; this node: {own}{verdict}")
        .chars()
        .take(STATUS_CHARS)
        .collect();
    escape_controls(&status).into_owned()
}

/// The rest is cut: systemd takes 4 KiB.
const STATUS_CHARS: usize = 500;
/// After a notification that the service manager did not take.
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

    /// The notifications since the last call.
    fn received(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4096];
        let next = || {
            socket
                .recv(&mut buffer)
                .ok()
                .map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned())
        };
        std::iter::from_fn(next)
            .filter(|text| !text.starts_with("STATUS="))
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
    fn the_watchdog_is_not_notified_when_decisions_stop_though_the_loop_turns() {
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
        assert_eq!(received(&socket), ["READY=1"]);
        let mut effects = Vec::new();
        let mut turn = |decides: bool, seconds: f64| {
            let deadlines = decides.then_some(Event::Turn(GivenTurn::Deadlines));
            let events = std::iter::once(Event::CheckRequested).chain(deadlines);
            lookout.turn(events, false, at(seconds), &mut effects);
            service.notify(&lookout, None, false, at(seconds));
            (
                received(&socket).len(),
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
