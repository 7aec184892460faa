//! The pipes of commands that are over, though what they have started keeps writing. One that
//! writes without end is read in measured portions: nobody waits for it any more.

use std::collections::BTreeMap;
use std::time::Duration;

use mio::Token;

use super::registry::Registry;
use crate::sys::child::{Child, Reading};
use crate::time::Monotonic;

/// All such pipes, the oldest first: tokens grow.
pub(super) struct OpenPipes {
    pipes: BTreeMap<Token, OpenPipe>,
    max: usize,
}

struct OpenPipe {
    /// The command's key in the configuration, for the log.
    key: &'static str,
    child: Child,
    /// When it is read next.
    read_at: Option<Monotonic>,
}

impl OpenPipes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            pipes: BTreeMap::new(),
            max,
        }
    }

    /// So many may be open from the next end of a command on. Of a command that leaves something
    /// behind at every attempt the latest are kept; who writes to an older one gets SIGPIPE, as
    /// without a reader.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn insert(&mut self, token: Token, key: &'static str, child: Child, now: Monotonic) {
        log::info!("{key} is over; what it has started keeps its output open");
        let read_at = Some(now + REST);
        let pipe = OpenPipe {
            key,
            child,
            read_at,
        };
        self.pipes.insert(token, pipe);
    }

    pub(super) fn ready(&mut self, token: Token, now: Monotonic) {
        if let Some(pipe) = self.pipes.get_mut(&token) {
            pipe.read_at.get_or_insert(now + REST);
        }
    }

    pub(super) fn close_oldest(&mut self, registry: &mut Registry) {
        let open = self.pipes.len();
        while self.pipes.len() > self.max
            && let Some((token, mut pipe)) = self.pipes.pop_first()
        {
            log::warn!(
                "closing the oldest of {open} outputs that are open though their commands are over"
            );
            registry.forget(&mut pipe.child, token);
        }
    }

    /// Reads those whose time has come, and gives the next time.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        self.pipes.retain(|token, pipe| {
            let is_due = pipe.read_at.is_some_and(|at| at <= now);
            let is_open = !is_due || pipe.read(now);
            if !is_open {
                registry.forget(&mut pipe.child, *token);
            }
            is_open
        });
        self.pipes.values().filter_map(|pipe| pipe.read_at).min()
    }

    pub(super) fn leave(&mut self) {
        let pipes = std::mem::take(&mut self.pipes).into_values();
        pipes.for_each(|pipe| leave(pipe.key, pipe.child));
    }
}

impl OpenPipe {
    /// Is it still open.
    fn read(&mut self, now: Monotonic) -> bool {
        let mut lines = Vec::new();
        let reading = self.child.read_output(&mut lines).unwrap_or(Reading::Ended);
        if reading == Reading::Ended {
            self.child.finish(&mut lines);
        }
        log_lines(self.key, &lines);
        self.read_at = (reading == Reading::Unfinished).then_some(now + REST);
        reading != Reading::Ended
    }
}

pub(super) fn log_lines(key: &str, lines: &[String]) {
    lines.iter().for_each(|line| log::info!("{key}: {line}"));
}

/// Somebody else reads what it writes from now on.
pub(super) fn leave(key: &str, child: Child) {
    if let Err(error) = child.leave() {
        log::warn!("{key}: nobody reads its output any more: {error}");
    }
}

/// From one reading of such a pipe to the next.
const REST: Duration = Duration::from_millis(10);
