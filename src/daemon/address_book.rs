//! Names to addresses: the cache, and one short-lived helper process per look-up, because
//! getaddrinfo blocks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use mio::{Interest, Token};
use nix::sys::signal::Signal;

use super::registry::{Owner, Registry};
use crate::dns;
use crate::sys::child::{Child, Reading, own_program};
use crate::sys::limits::InheritedLimit;
use crate::time::Monotonic;

/// What is known of a name now.
pub(super) enum Known {
    /// Its addresses, never empty.
    Addresses(Vec<IpAddr>),
    /// It is being looked up.
    Soon,
    /// It has none: why.
    Nothing(String),
}

/// The cache and the helpers that are out.
pub(super) struct AddressBook {
    cache: dns::Cache,
    running: BTreeMap<Token, Lookup>,
    limit: Option<InheritedLimit>,
}

struct Lookup {
    name: String,
    child: Child,
    deadline: Monotonic,
}

impl AddressBook {
    pub(super) fn new(limit: Option<InheritedLimit>) -> Self {
        Self {
            cache: dns::Cache::default(),
            running: BTreeMap::new(),
            limit,
        }
    }

    /// What is known of `name`; starts a look-up if its time has come.
    pub(super) fn look_up(&mut self, name: &str, registry: &mut Registry, now: Monotonic) -> Known {
        let mut answer = self.cache.lookup(name, now);
        if answer.wants_lookup {
            match self.start(name, registry, now) {
                Ok(()) => answer.failure = None,
                Err(error) => {
                    self.cache
                        .finished(name, Err(format!("no look-up helper: {error}")), now);
                    answer.failure = Some(format!("no look-up helper: {error}"));
                }
            }
        }
        if !answer.addresses.is_empty() {
            return Known::Addresses(answer.addresses);
        }
        answer.failure.map_or(Known::Soon, Known::Nothing)
    }

    /// The helper's pipe is readable: only its status says that it is done, so this keeps the pipe
    /// from filling.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry) {
        let Some(lookup) = self.running.get_mut(&token) else {
            return;
        };
        if matches!(
            lookup.child.read_output(&mut Vec::new()),
            Ok(Reading::Unfinished)
        ) {
            registry.again(token);
        }
    }

    /// Asks every helper whether it has ended. True if one has: whoever waits for a name may go on.
    pub(super) fn reap(&mut self, registry: &mut Registry, now: Monotonic) -> bool {
        let ended: Vec<Token> = self
            .running
            .iter_mut()
            .filter_map(|(token, lookup)| lookup.has_ended(*token))
            .collect();
        for token in &ended {
            if let Some(mut lookup) = self.running.remove(token) {
                registry.forget(&mut lookup.child, *token);
                let outcome = lookup.outcome();
                self.cache.finished(&lookup.name, outcome, now);
            }
        }
        !ended.is_empty()
    }

    /// Ends the helpers whose time is up; their end is seen by [`AddressBook::reap`].
    pub(super) fn expire(&mut self, now: Monotonic) {
        for lookup in self
            .running
            .values_mut()
            .filter(|lookup| lookup.deadline <= now)
        {
            // Gone already is as good.
            let _ = lookup.child.kill_group(Signal::SIGKILL);
            lookup.deadline = now + HELPER_TIME;
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.running.values().map(|lookup| lookup.deadline).min()
    }

    /// Forgets the names that are no longer configured.
    pub(super) fn retain(&mut self, is_configured: impl FnMut(&str) -> bool) {
        self.cache.retain(is_configured);
    }

    fn start(
        &mut self,
        name: &str,
        registry: &mut Registry,
        now: Monotonic,
    ) -> std::io::Result<()> {
        let program = own_program();
        let mut child = Child::start(
            &[program.as_os_str(), "--resolve".as_ref(), name.as_ref()],
            self.limit,
        )?;
        let token = registry.register(&mut child, Owner::Lookup, Interest::READABLE)?;
        self.running.insert(
            token,
            Lookup {
                name: name.to_owned(),
                child,
                deadline: now + HELPER_TIME,
            },
        );
        Ok(())
    }
}

impl Lookup {
    fn has_ended(&mut self, token: Token) -> Option<Token> {
        // A status that cannot be had will never be had.
        let ended = self
            .child
            .try_wait()
            .map_or(true, |status| status.is_some());
        ended.then_some(token)
    }

    fn outcome(&mut self) -> Result<Vec<IpAddr>, String> {
        self.child.finish(&mut Vec::new());
        let succeeded = matches!(self.child.try_wait(), Ok(Some(status)) if status.success());
        let (printed, _) = self.child.tail();
        dns::parse_answer(succeeded, &printed)
    }
}

/// How long a look-up may take.
const HELPER_TIME: Duration = Duration::from_secs(5);
