//! `pglookout CONFIG`: the daemon.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::daemon;

pub(super) fn main(config: &Path) -> ExitCode {
    match daemon::load_config(config) {
        Ok(loaded) => daemon::run(config, loaded),
        Err(error) => {
            output::complain(error);
            ExitCode::FAILURE
        }
    }
}
