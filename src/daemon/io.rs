//! What every component needs of the loop to carry on: where sources are registered, what names
//! and certificates are known, what time it is, and where events go.

use super::address_book::{AddressBook, Known};
use super::keyring::Keyring;
use super::registry::Registry;
use crate::lookout::Event;
use crate::time::Now;

/// The one context that is handed around.
pub(super) struct Io {
    pub(super) registry: Registry,
    pub(super) addresses: AddressBook,
    pub(super) tls_files: Keyring,
    /// For the core, in this turn or the next.
    pub(super) events: Vec<Event>,
    /// As of the beginning of this turn.
    pub(super) now: Now,
}

impl Io {
    /// What is known of `name`; starts a look-up if its time has come.
    pub(super) fn look_up(&mut self, name: &str) -> Known {
        self.addresses
            .look_up(name, &mut self.registry, self.now.mono)
    }
}
