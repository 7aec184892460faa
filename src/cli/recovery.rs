//! `pglookout --recovery`: one look at the recovery settings in a process of its own, because a
//! disk may not answer.

use std::process::ExitCode;

use crate::sys;

pub(super) fn main() -> ExitCode {
    sys::recovery::main()
}
