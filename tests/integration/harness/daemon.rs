//! One daemon: the real binary with a configuration, files and a port of its own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::host::{Account, Host};
use super::http::{self, Answer};
use super::run_dir::{kill_all_in, tail};
use super::wait::{SOON, wait_until};

/// Where daemons answer; every host has an address of its own.
pub(crate) const HTTP_PORT: u16 = 15000;

/// A daemon, running or not.
pub(crate) struct Daemon {
    pub(crate) host: Host,
    /// What it reads at start and at SIGHUP.
    pub(crate) config: Value,
    /// What is in its environment besides the tests' own.
    pub(crate) variables: Vec<(String, String)>,
    /// The program, and its arguments before the configuration file.
    pub(crate) program: Vec<String>,
    /// How many descriptors it may have open, if not as many as the tests.
    pub(crate) descriptors: Option<u64>,
    dir: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// A daemon on this host, with its files in a new directory below `parent`; not started yet.
    pub(crate) fn prepare(host: Host, parent: &Path, mut config: Value) -> Self {
        let dir = parent.join(format!("{}.daemon", host.name));
        fs::create_dir_all(dir.join("alerts")).expect("a directory for the daemon");
        config["http_address"] = json!(host.address);
        config["http_port"] = json!(HTTP_PORT);
        config["alert_file_dir"] = json!(dir.join("alerts"));
        config["json_state_file_path"] = json!(dir.join("state.json"));
        config["maintenance_mode_file"] = json!(dir.join("maintenance"));
        let program = vec![env!("CARGO_BIN_EXE_pglookout").to_owned()];
        Self {
            host,
            config,
            variables: Vec::new(),
            program,
            descriptors: None,
            dir,
            child: None,
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the daemon's log");
        self.start_with_stderr(log.into());
        wait_until(
            &format!("the daemon {} answers", self.host.name),
            SOON,
            || {
                assert!(
                    self.is_running(),
                    "the daemon {} ended: {}",
                    self.host.name,
                    self.log()
                );
                self.get("/state.json").is_ok()
            },
        );
    }

    /// Starts it with this as its stderr, and waits for nothing.
    pub(crate) fn start_with_stderr(&mut self, stderr: Stdio) {
        assert!(self.child.is_none(), "{} runs already", self.host.name);
        self.write_config(&self.config.to_string());
        let (program, arguments) = self.program.split_first().expect("a program");
        let mut command = self.host.command(program, Account::Own);
        command
            .args(arguments)
            .arg(self.config_path())
            .current_dir(&self.dir)
            .envs(self.variables.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        if let Some(most) = self.descriptors {
            // SAFETY: one system call between fork and exec.
            unsafe {
                command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?))
            };
        }
        self.child = Some(command.spawn().expect("the pglookout program"));
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a running daemon");
    }

    /// Waits for the exit of a daemon that got a signal to stop.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("a started daemon");
        let mut status = None;
        wait_until(
            &format!("the daemon {} ends", self.host.name),
            limit,
            || {
                status = child.try_wait().expect("its status");
                status.is_some()
            },
        );
        status.expect("its status")
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.wait_exit(SOON);
    }

    /// Its sudden end; a command that it runs goes on.
    pub(crate) fn kill_nine(&mut self) {
        if let Some(mut child) = self.child.take() {
            child
                .kill()
                .and_then(|()| child.wait())
                .expect("the killed daemon");
        }
    }

    /// Replaces the configuration file with any text, and sends SIGHUP.
    pub(crate) fn reload_text(&self, text: &str) {
        self.write_config(text);
        self.signal(Signal::SIGHUP);
    }

    /// Has the daemon read `self.config` again.
    pub(crate) fn reload(&self) {
        self.reload_text(&self.config.to_string());
    }

    /// Replaces the configuration file without a word to the daemon.
    pub(crate) fn write_config(&self, text: &str) {
        // At once as a whole: an earlier SIGHUP may still be on its way.
        let part = self.path("config.json.part");
        fs::write(&part, text)
            .and_then(|()| fs::rename(part, self.config_path()))
            .expect("the configuration file");
    }

    pub(crate) fn get(&self, target: &str) -> std::io::Result<Answer> {
        http::request(&self.host, HTTP_PORT, "GET", target)
    }

    pub(crate) fn post_check(&self) -> u16 {
        http::request(&self.host, HTTP_PORT, "POST", "/check")
            .expect("an answer to POST /check")
            .status
    }

    /// `/state.json`; null while there is none.
    pub(crate) fn state(&self) -> Value {
        self.get("/state.json")
            .ok()
            .and_then(|answer| serde_json::from_str(&answer.body).ok())
            .unwrap_or_default()
    }

    /// The state file; null while there is none.
    pub(crate) fn state_file(&self) -> Value {
        fs::read(self.dir.join("state.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// The moment of the last decision, by `/decisions.json`.
    pub(crate) fn decided_at(&self) -> Option<String> {
        let answer = self.get("/decisions.json").ok()?;
        let decisions: Value = serde_json::from_str(&answer.body).ok()?;
        Some(decisions.get(0)?["at"].as_str()?.to_owned())
    }

    /// The primary, by its state file.
    pub(crate) fn current_primary(&self) -> Option<String> {
        Some(
            self.state_file()
                .get("current_master")?
                .as_str()?
                .to_owned(),
        )
    }

    pub(crate) fn alert(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.dir.join("alerts").join(name)).ok()
    }

    pub(crate) fn has_alert(&self, name: &str) -> bool {
        self.alert(name).is_some()
    }

    /// Waits until the alert is raised with these words in it: a child of the daemon writes it,
    /// while everything else goes on and can be seen.
    pub(crate) fn wait_alert(&self, name: &str, words: &str) {
        let what = format!("the daemon {} raises {name} with: {words}", self.host.name);
        wait_until(&what, SOON, || {
            self.alert(name).is_some_and(|text| text.contains(words))
        });
    }

    /// When its failover command was started, each time, in seconds since 1970.
    pub(crate) fn promotions(&self) -> Vec<f64> {
        let text = fs::read_to_string(self.promotions_path()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    pub(crate) fn promotions_path(&self) -> PathBuf {
        self.path("promotions")
    }

    /// A file of this name in the daemon's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("config.json")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path("log")
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("a running daemon").id() as i32)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- pglookout {}:\n{}",
                self.host.name,
                tail(&self.log_path(), 40)
            );
        }
        self.kill_nine();
        kill_all_in(&self.dir);
    }
}

/// Where the daemon of this host answers.
pub(crate) fn url(host: &Host) -> String {
    format!("http://{}:{HTTP_PORT}", host.address)
}

/// The time of day as the failover script writes it.
pub(crate) fn seconds_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs_f64()
}
