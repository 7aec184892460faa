//! What surrounds the configuration file, as values: environment variables, the operating system's
//! user, libpq's files. Reads nothing itself; `sys::config_file` fills it in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where libpq takes defaults from. The default is an empty world: no variable, no user, no file.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Environment variables; those that begin with `PG` are looked at.
    pub vars: BTreeMap<String, String>,
    /// Name of the user this process runs as: the default of `user`.
    pub os_user: Option<String>,
    /// That user's home directory, where `.pgpass` and `.pg_service.conf` are.
    pub home: Option<PathBuf>,
    /// Reads a password file, or says why it must not be used.
    pub read_passfile: fn(&Path) -> FileContent,
    /// Reads a connection service file, or says why it cannot be used.
    pub read_service_file: fn(&Path) -> FileContent,
}

/// What came of reading one of libpq's files.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// There is none; nor is there a password file if it cannot be opened, as libpq sees it.
    Absent,
    /// It is there but must not be used, and why.
    Refused(String),
    /// Its text.
    Text(String),
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            vars: BTreeMap::new(),
            os_user: None,
            home: None,
            read_passfile: |_| FileContent::Absent,
            read_service_file: |_| FileContent::Absent,
        }
    }
}
