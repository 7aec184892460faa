//! One PostgreSQL server on its host: started as our own child, killed, stopped, asked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::{Account, Host, give_to_server};
use super::postgres::{Postgres, append, query_from};
use super::run_dir::{kill_all_in, remove_shared_memory, run, signal_all_in, tail};
use super::wait::{SOON, wait_until};

/// A server, running or not.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) data: PathBuf,
    /// Where it listens: at its host's address, unless a test sets another.
    pub(crate) listen_addresses: String,
    /// What is in its environment besides the tests' own.
    pub(crate) variables: Vec<(String, String)>,
    postgres: Programs,
    child: Option<Child>,
}

/// Owned, since the template's own server exists before `Postgres` is complete.
struct Programs {
    version: u32,
    postgres: PathBuf,
    psql: PathBuf,
}

impl Server {
    pub(crate) fn new(postgres: &Postgres, host: Host, data: PathBuf) -> Self {
        let programs = Programs {
            version: postgres.version,
            postgres: postgres.program("postgres"),
            psql: postgres.psql.clone(),
        };
        let listen_addresses = host.address.to_string();
        Self {
            host,
            data,
            listen_addresses,
            variables: Vec::new(),
            postgres: programs,
            child: None,
        }
    }

    /// Makes the data directory a copy of the template; a standby streams from `primary`.
    pub(crate) fn copy_template(&self, template: &Path, primary: Option<&Host>) {
        let mut cp = self.host.command("cp", Account::Own);
        run(cp
            .args(["-a", "--reflink=auto"])
            .arg(template)
            .arg(&self.data))
        .expect("a copy of the template");
        append(
            &self.data.join("postgresql.conf"),
            &format!("cluster_name = '{}'\n", self.host.name),
        );
        if let Some(primary) = primary {
            self.make_standby();
            let line = format!(
                "primary_conninfo = '{}'\n",
                self.conninfo_for_streaming(primary)
            );
            append(&self.recovery_settings("postgresql.conf"), &line);
        }
    }

    /// From its next start on it is a standby.
    pub(crate) fn make_standby(&self) {
        let (path, text) = match self.postgres.version {
            ..12 => (
                self.data.join("recovery.conf"),
                "standby_mode = 'on'\nrecovery_target_timeline = 'latest'\n",
            ),
            12.. => (self.data.join("standby.signal"), ""),
        };
        fs::write(&path, text).expect("the sign of a standby");
        give_to_server(&path);
    }

    /// Where recovery settings stand: `newer` from PostgreSQL 12 on.
    pub(crate) fn recovery_settings(&self, newer: &str) -> PathBuf {
        self.data.join(if self.postgres.version < 12 {
            "recovery.conf"
        } else {
            newer
        })
    }

    pub(crate) fn conninfo_for_streaming(&self, primary: &Host) -> String {
        format!(
            "host={} user=postgres application_name={} connect_timeout=2",
            primary.address, self.host.name
        )
    }

    /// Starts the server and waits until it accepts connections.
    pub(crate) fn start(&mut self) {
        self.start_unready();
        self.wait_ready();
    }

    /// Starts the server without waiting for it.
    pub(crate) fn start_unready(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.host.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("the server's log");
        let mut command = self.host.command(&self.postgres.postgres, Account::Server);
        command
            .arg("-D")
            .arg(&self.data)
            .arg(format!("-clisten_addresses={}", self.listen_addresses));
        command
            .current_dir(&self.data)
            .envs(self.variables.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().expect("the postgres program"));
    }

    /// Waits until the server's own word is that it accepts connections.
    pub(crate) fn wait_ready(&mut self) {
        let child = self.child.as_mut().expect("a started server");
        let (pid, path) = (child.id().to_string(), self.data.join("postmaster.pid"));
        wait_until(
            &format!("{} accepts connections", self.host.name),
            SOON,
            || {
                assert!(
                    matches!(child.try_wait(), Ok(None)),
                    "{} ended while starting",
                    self.host.name
                );
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = text.lines().map(str::trim).collect();
                lines.first() == Some(&pid.as_str()) && lines.get(7) == Some(&"ready")
            },
        );
    }

    /// As a power cut: no process of it sends anything more.
    pub(crate) fn kill_nine_all(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Stopped first, so that it starts no child while its children are killed.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP);
            kill_all_in(&self.data);
            child.wait().expect("the killed server");
        }
    }

    /// A hang: connections are accepted by the kernel and nothing answers.
    pub(crate) fn hang(&self) {
        signal_all_in(&self.data, Signal::SIGSTOP);
    }

    /// The end of a hang.
    pub(crate) fn wake(&self) {
        signal_all_in(&self.data, Signal::SIGCONT);
    }

    /// A clean stop, as `pg_ctl stop -m fast`.
    pub(crate) fn stop_fast(&mut self) {
        let mut child = self.child.take().expect("a running server");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("a running server");
        wait_until(&format!("{} stops", self.host.name), SOON, || {
            matches!(child.try_wait(), Ok(Some(_)))
        });
    }

    /// Runs statements as superuser and returns what the last one gives, columns parted by `|`.
    pub(crate) fn query(&self, sql: &str) -> String {
        self.try_query(sql)
            .unwrap_or_else(|error| panic!("{}: {sql}: {error}", self.host.name))
    }

    pub(crate) fn try_query(&self, sql: &str) -> std::io::Result<String> {
        let target = format!(
            "host={} user=postgres dbname=postgres connect_timeout=5",
            self.host.address
        );
        query_from(&self.host, &self.postgres.psql, &target, sql)
    }

    pub(crate) fn is_in_recovery(&self) -> bool {
        self.query("SELECT pg_is_in_recovery()") == "t"
    }

    /// Writes rows; their number in the end.
    pub(crate) fn insert_rows(&self, count: u32) -> String {
        self.query(&format!(
            "INSERT INTO rows (t) SELECT repeat('x', 100) FROM generate_series(1, {count})"
        ));
        self.query("SELECT count(*) FROM rows")
    }

    pub(crate) fn pause_replay(&self) {
        self.query("SELECT pg_wal_replay_pause()");
    }

    pub(crate) fn resume_replay(&self) {
        self.query("SELECT pg_wal_replay_resume()");
    }

    /// Streams from elsewhere, or from nowhere, from now on; the server itself runs on.
    pub(crate) fn stream_from(&self, conninfo: &str) {
        // Two calls: ALTER SYSTEM refuses to be one statement of several.
        self.query(&format!("ALTER SYSTEM SET primary_conninfo = '{conninfo}'"));
        self.query("SELECT pg_reload_conf()");
    }

    /// The same on every version: up to PostgreSQL 12 the server is restarted for it.
    pub(crate) fn stream_from_anew(&mut self, conninfo: &str) {
        if self.postgres.version >= 13 {
            return self.stream_from(conninfo);
        }
        let settings = self.recovery_settings("postgresql.auto.conf");
        append(&settings, &format!("primary_conninfo = '{conninfo}'\n"));
        self.stop_fast();
        self.start();
    }

    /// Ends the connections of the daemons' account.
    pub(crate) fn disconnect_daemons(&self) {
        self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pglookout'",
        );
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- PostgreSQL {}:\n{}",
                self.host.name,
                tail(&self.log(), 15)
            );
        }
        self.kill_nine_all();
        remove_shared_memory(&self.data);
    }
}
