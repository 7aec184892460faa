//! Which of two passwords a node is logged in to with, while its role's password is being changed:
//! the one that it accepted last goes first, and when it rejects that the other one is tried.

use crate::config::ConnInfo;

#[derive(Debug)]
pub(super) struct Passwords {
    /// The connection with the next password.
    next: Option<Box<ConnInfo>>,
    is_next_chosen: bool,
    /// Both have been tried since the last login.
    is_changed: bool,
}

impl Passwords {
    pub(super) fn new(info: &ConnInfo) -> Self {
        Self {
            next: info.with_next_password().map(Box::new),
            is_next_chosen: false,
            is_changed: false,
        }
    }

    /// `info`, or the same with the next password.
    pub(super) fn chosen<'a>(&'a self, info: &'a ConnInfo) -> &'a ConnInfo {
        let next = self.next.as_deref().filter(|_| self.is_next_chosen);
        next.unwrap_or(info)
    }

    /// The chosen one was rejected: whether there is another to be tried.
    pub(super) fn change(&mut self) -> bool {
        if self.next.is_none() || self.is_changed {
            return false;
        }
        self.is_changed = true;
        self.is_next_chosen = !self.is_next_chosen;
        true
    }

    /// The attempt is over: at the next one both may be tried.
    pub(super) fn settled(&mut self) {
        self.is_changed = false;
    }
}
