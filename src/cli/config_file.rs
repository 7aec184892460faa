//! The configuration file that a subcommand is given.

use std::path::Path;

use crate::config::Config;
use crate::daemon;

/// The configuration at `path` without its warnings. An error is a line for each reason.
pub(super) fn load(path: &Path) -> Result<Config, String> {
    let loaded = daemon::load_config(path);
    loaded
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string())
}
