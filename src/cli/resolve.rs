//! `pglookout --resolve NAME`: one look-up in a process of its own, because it may block.

use std::process::ExitCode;

use crate::sys;

pub(super) fn main(name: &str) -> ExitCode {
    sys::resolve::main(name)
}
