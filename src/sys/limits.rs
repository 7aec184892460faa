//! How many descriptors this process may have open: one per node, observer and HTTP client.

use std::io;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// No fleet needs more; an unlimited hard limit must not become a table of a billion descriptors.
const MOST_DESCRIPTORS: rlim_t = 65_536;

/// The limit on open descriptors that we were started with. Commands that we run get it back: a
/// program that walks through all possible descriptors, or uses `select`, was promised the one that
/// the administrator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedLimit {
    pub(super) soft: rlim_t,
    pub(super) hard: rlim_t,
}

/// Raises the soft limit on open descriptors to the hard one, within reason, and returns what it
/// was and what it is.
pub fn raise_descriptors() -> io::Result<(InheritedLimit, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(MOST_DESCRIPTORS).max(soft);
    if wanted > soft {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok((InheritedLimit { soft, hard }, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_lowers_and_may_be_asked_twice() {
        let (before, raised) = raise_descriptors().unwrap();
        assert!(raised >= before.soft);
        let (again, same) = raise_descriptors().unwrap();
        assert_eq!(
            (again.soft, again.hard, same),
            (raised, before.hard, raised)
        );
    }
}
