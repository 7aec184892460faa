//! Numbers that nobody can guess, for names that nobody shall have taken before us.

#![allow(unsafe_code)]

use nix::errno::Errno;

/// A random number of the kernel's.
pub(super) fn number() -> nix::Result<u64> {
    let mut bytes = [0; size_of::<u64>()];
    // SAFETY: the kernel writes at most as many bytes as the array has.
    let written =
        Errno::result(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) })?;
    if usize::try_from(written) == Ok(bytes.len()) {
        Ok(u64::from_ne_bytes(bytes))
    } else {
        Err(Errno::EIO)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_does_not_come_again() {
        let numbers: BTreeSet<u64> = (0..1000).map(|_| number().unwrap()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
