//! `pglookout --resolve NAME`: one look-up in a process of its own, because it may block.

use std::process::ExitCode;

use super::output;

pub(super) fn main(_name: &str) -> ExitCode {
    output::complain("pglookout: this build cannot look names up yet");
    ExitCode::FAILURE
}
