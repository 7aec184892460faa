//! What surrounds the configuration file, as values: environment variables, the operating system's
//! user, libpq's files. Reads nothing itself; `daemon::config_loader` fills it in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

/// Where libpq takes defaults from. The default is an empty world: no variable, no user, no file.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Environment variables; those that begin with `PG` are looked at.
    pub vars: BTreeMap<String, String>,
    /// Name of the user this process runs as: the default of `user`.
    pub os_user: Option<String>,
    /// That user's home directory, where `.pgpass` and `.pg_service.conf` are.
    pub home: Option<PathBuf>,
    /// What this host calls itself.
    pub host_name: Option<String>,
    /// Reads a password file, or says why it must not be used.
    pub read_passfile: ReadFile,
    /// Reads a connection service file, or says why it cannot be used.
    pub read_service_file: ReadFile,
    /// Reads a file with the secret of a voting cluster, or says why it must not be used. Absent: no
    /// file is read here, and none is needed.
    pub read_secret_file: ReadFile,
}

/// What came of reading one of libpq's files.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileContent {
    /// There is none; nor is there a password file if it cannot be opened, as libpq sees it.
    Absent,
    /// It is there but must not be used, and why.
    Refused(String),
    /// Its text.
    Text(String),
}

/// How a file is read.
#[derive(Clone)]
pub struct ReadFile(Rc<dyn Fn(&Path) -> FileContent>);

impl ReadFile {
    /// Reads with this function.
    pub fn new(read: impl Fn(&Path) -> FileContent + 'static) -> Self {
        Self(Rc::new(read))
    }

    pub(super) fn read(&self, path: &Path) -> FileContent {
        (self.0)(path)
    }
}

impl fmt::Debug for ReadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadFile")
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            vars: BTreeMap::new(),
            os_user: None,
            home: None,
            host_name: None,
            read_passfile: ReadFile::new(|_| FileContent::Absent),
            read_service_file: ReadFile::new(|_| FileContent::Absent),
            read_secret_file: ReadFile::new(|_| FileContent::Absent),
        }
    }
}
