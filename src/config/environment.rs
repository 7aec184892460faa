//! What surrounds the configuration file, as values: environment variables, the operating system's user, password files.
//! Reads nothing itself; `sys::config_file` fills it in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where libpq takes defaults from. The default is an empty world: no variable, no user, no password file.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Environment variables; those that begin with `PG` are looked at.
    pub vars: BTreeMap<String, String>,
    /// Name of the user this process runs as: the default of `user`.
    pub os_user: Option<String>,
    /// That user's home directory, where `.pgpass` is.
    pub home: Option<PathBuf>,
    /// Reads a password file, or says why it must not be used.
    pub read_passfile: fn(&Path) -> PassfileContent,
}

/// What came of reading a password file.
#[derive(Clone, PartialEq, Eq)]
pub enum PassfileContent {
    /// There is none, or it cannot be opened: no password from here, and nothing to say.
    Absent,
    /// It is there but must not be used, and why: shown as a warning.
    Refused(String),
    /// Its text.
    Text(String),
}

impl Default for Environment {
    fn default() -> Self {
        Self { vars: BTreeMap::new(), os_user: None, home: None, read_passfile: |_| PassfileContent::Absent }
    }
}
