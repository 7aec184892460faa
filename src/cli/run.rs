//! `pglookout CONFIG`: the daemon.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::daemon;
use crate::sys::config_file;

pub(super) fn main(config: &Path) -> ExitCode {
    match config_file::load(config) {
        Ok(loaded) => daemon::run(config, loaded),
        Err(error) => {
            output::complain(error);
            ExitCode::FAILURE
        }
    }
}
