//! The PostgreSQL of this machine, and the data directory that every node begins as a copy of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::unistd::Uid;

use super::host::{Account, Host, give_to_server, server_account};
use super::node::Server;
use super::run_dir::{run, run_dir};

/// What the daemons log in with.
pub(crate) const USER: &str = "pglookout";
/// Its password, checked by SCRAM-SHA-256.
pub(crate) const PASSWORD: &str = "Lookout-Sees-9274";

/// The programs, and the template.
pub(crate) struct Postgres {
    /// The major version.
    pub(crate) version: u32,
    pub(crate) programs: PathBuf,
    pub(crate) psql: PathBuf,
    pub(crate) template: PathBuf,
}

impl Postgres {
    /// The PostgreSQL of this machine with its template built, or why there is none.
    pub(crate) fn here() -> Result<&'static Self, String> {
        static HERE: OnceLock<Result<Postgres, String>> = OnceLock::new();
        HERE.get_or_init(Self::prepare)
            .as_ref()
            .map_err(Clone::clone)
    }

    /// One of PostgreSQL's own programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn prepare() -> Result<Self, String> {
        if Uid::effective().is_root() && server_account().is_none() {
            return Err(
                "root may not run PostgreSQL, and there is no user postgres or nobody".to_owned(),
            );
        }
        let (version, programs) =
            newest().ok_or("there is no PostgreSQL here (set PGBIN to its bin directory)")?;
        if version < OLDEST {
            return Err(format!(
                "PostgreSQL {version} is older than {OLDEST}, the oldest these tests can set up"
            ));
        }
        let psql = Some(programs.join("psql"))
            .filter(|path| path.exists())
            .or_else(|| which("psql"));
        let psql = psql.ok_or("there is no psql here")?;
        let postgres = Self {
            version,
            template: run_dir().join("template"),
            programs,
            psql,
        };
        postgres.build_template();
        Ok(postgres)
    }

    /// How much WAL is kept.
    fn wal_settings(&self) -> &'static str {
        match self.version {
            ..11 => "wal_keep_segments = 4\nmax_wal_size = 64MB\nmin_wal_size = 32MB\n",
            11..13 => "wal_keep_segments = 32\nmax_wal_size = 8MB\nmin_wal_size = 2MB\n",
            13.. => "wal_keep_size = 32MB\nmax_wal_size = 8MB\nmin_wal_size = 2MB\n",
        }
    }

    /// Runs once after the settings are written, since pg_control must record them, or standbys
    /// refuse to start.
    fn build_template(&self) {
        let host = Host::on_loopback("template");
        fs::create_dir(&self.template).expect("a directory for the template");
        give_to_server(&self.template);
        let mut initdb = host.command(self.program("initdb"), Account::Server);
        initdb.args([
            "-N",
            "--no-locale",
            "-E",
            "UTF8",
            "-U",
            "postgres",
            "-A",
            "trust",
        ]);
        if self.version >= 11 {
            initdb.arg("--wal-segsize=1");
        }
        run(initdb.arg("-D").arg(&self.template)).expect("initdb");
        append(&self.template.join("postgresql.conf"), SETTINGS);
        append(&self.template.join("postgresql.conf"), self.wal_settings());
        fs::write(self.template.join("pg_hba.conf"), PG_HBA).expect("pg_hba.conf");
        let mut server = Server::new(self, host, self.template.clone());
        server.start();
        server.query(&format!(
            "CREATE USER {USER} PASSWORD '{PASSWORD}'; CREATE USER guest; CREATE TABLE rows (n serial, t text)"
        ));
        server.stop_fast();
    }
}

/// Runs statements from this host and returns what the last one gives, columns parted by `|`.
pub(crate) fn query_from(host: &Host, psql: &Path, target: &str, sql: &str) -> io::Result<String> {
    let mut command = host.command("timeout", Account::Own);
    command.arg("20").arg(psql);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    run(command.args(["-d", target, "-c", sql]))
}

/// Adds lines to a file of settings.
pub(crate) fn append(path: &Path, lines: &str) {
    let mut text = fs::read_to_string(path).unwrap_or_default();
    text.push_str(lines);
    fs::write(path, text).expect("a file of settings");
}

/// Looks a program up in PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|p| p.exists())
}

/// The newest version and its programs: PGBIN alone if it is set, else Debian's directories and
/// pg_config's.
fn newest() -> Option<(u32, PathBuf)> {
    let candidates: Vec<PathBuf> = match std::env::var_os("PGBIN") {
        Some(path) => vec![path.into()],
        None => {
            let versions = fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten();
            let configured = run(Command::new("pg_config")
                .arg("--bindir")
                .stderr(Stdio::null()))
            .ok();
            versions
                .map(|entry| entry.path().join("bin"))
                .chain(configured.map(PathBuf::from))
                .collect()
        }
    };
    candidates
        .into_iter()
        .filter_map(|path| Some((version_of(&path)?, path)))
        .max()
}

/// `postgres (PostgreSQL) 15.18 (Debian ...)` -> 15
fn version_of(programs: &Path) -> Option<u32> {
    if !programs.join("initdb").exists() {
        return None;
    }
    let text = run(Command::new(programs.join("postgres")).arg("--version")).ok()?;
    text.split_whitespace()
        .nth(2)?
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The oldest that the daemon is for. Tests that change `primary_conninfo` without a restart want
/// 13.
const OLDEST: u32 = 10;

const SETTINGS: &str = "
unix_socket_directories = ''
port = 5432
fsync = off
autovacuum = off
shared_buffers = 4MB
max_connections = 20
max_wal_senders = 6
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 300ms
password_encryption = 'scram-sha-256'
# A file in the data directory, so that a killed server leaves nothing in /dev/shm.
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] %u '
log_checkpoints = off
";

const PG_HBA: &str = "
host all postgres,guest all trust
host replication postgres all trust
host all pglookout all scram-sha-256
";
