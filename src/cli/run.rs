//! `pglookout CONFIG`: the daemon.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::sys::config_file;

pub(super) fn main(config: &Path) -> ExitCode {
    match config_file::load(config) {
        Ok(_) => output::complain("pglookout: this build has no daemon yet; only --check-config works"),
        Err(error) => output::complain(error),
    }
    ExitCode::FAILURE
}
