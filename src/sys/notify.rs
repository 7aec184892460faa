//! The protocol of `sd_notify(3)` and `sd_watchdog_enabled(3)`: what the service manager passed to us in
//! the environment, and messages to it. What is sent and when is not decided here.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use super::socket::{Datagrams, Receiver};

/// A service manager that wants to be notified, or none.
#[derive(Debug, Default)]
pub struct ServiceManager {
    receiver: Option<Receiver>,
    /// What it did not take yet.
    waiting: VecDeque<String>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that has started this process, if it says so. `Err`: what it says makes no sense.
    pub fn of_this_process() -> Result<Self, String> {
        Self::from_variables(|name| std::env::var_os(name), std::process::id())
    }

    /// This one; it ends us when it has got no notification for so long.
    pub fn new(receiver: Receiver, watchdog: Option<Duration>) -> Self {
        Self {
            receiver: Some(receiver),
            waiting: VecDeque::new(),
            watchdog,
        }
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        own_id: u32,
    ) -> Result<Self, String> {
        let Some(socket) = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return Ok(Self::default());
        };
        let receiver = Receiver::unix(&socket).ok_or_else(|| {
            format!("NOTIFY_SOCKET is {socket:?}: expected a path, or a name after \"@\"")
        })?;
        let number = |name: &str| {
            variable(name)
                .as_deref()
                .and_then(OsStr::to_str)?
                .parse::<u64>()
                .ok()
        };
        let is_ours =
            variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(own_id));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|micros| *micros > 0 && is_ours)
            .map(Duration::from_micros);
        Ok(Self::new(receiver, watchdog))
    }

    /// Does it listen at all.
    pub fn is_there(&self) -> bool {
        self.receiver.is_some()
    }

    /// It ends this process when it has got no notification for so long.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends it something, `NAME=value` on each line. What it cannot take now is sent by
    /// [`ServiceManager::flush`].
    pub fn send(&mut self, message: String) {
        if self.is_there() && self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(message);
            self.flush();
        }
    }

    /// Sends it something that is worth nothing later. Was it taken.
    pub fn send_now(&mut self, message: &str) -> bool {
        self.flush();
        self.waiting.is_empty()
            && self
                .receiver
                .as_ref()
                .is_some_and(|receiver| send(receiver, message).is_ok())
    }

    /// Sends what waits, as far as it goes without waiting.
    pub fn flush(&mut self) {
        let Some(receiver) = &self.receiver else {
            return;
        };
        while let Some(message) = self.waiting.front() {
            match send(receiver, message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody is there to receive it.
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }

    /// Does something still wait to be sent.
    pub fn has_backlog(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Over a new socket each time: that is rare, and a service manager that was restarted is found
/// again.
fn send(receiver: &Receiver, message: &str) -> io::Result<()> {
    Datagrams::open(receiver)?.send(message.as_bytes())
}

/// More is never to be sent at a time.
const MOST_WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Result<(bool, Option<u64>), ()>) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        };
        let manager = ServiceManager::from_variables(variable, 7);
        let seen = manager.map(|manager| {
            (
                manager.is_there(),
                manager.watchdog().map(|time| time.as_secs()),
            )
        });
        assert_eq!(seen.map_err(|_| ()), expected, "{variables:?}");
    }

    #[test]
    fn the_watchdog_is_fed_by_the_process_that_it_is_meant_for() {
        let socket = ("NOTIFY_SOCKET", "/run/x");
        let half_a_minute = ("WATCHDOG_USEC", "30000000");
        check(&[], Ok((false, None)));
        check(&[half_a_minute], Ok((false, None)));
        check(&[("NOTIFY_SOCKET", "")], Ok((false, None)));
        check(&[("NOTIFY_SOCKET", "x")], Err(()));
        check(&[socket], Ok((true, None)));
        check(&[socket, half_a_minute], Ok((true, Some(30))));
        check(
            &[socket, half_a_minute, ("WATCHDOG_PID", "7")],
            Ok((true, Some(30))),
        );
        check(
            &[socket, half_a_minute, ("WATCHDOG_PID", "8")],
            Ok((true, None)),
        );
        check(
            &[socket, half_a_minute, ("WATCHDOG_PID", "x")],
            Ok((true, None)),
        );
        for nonsense in ["0", "-1", "x", ""] {
            check(&[socket, ("WATCHDOG_USEC", nonsense)], Ok((true, None)));
        }
    }
}
