//! The real daemon, as an observer of any number of nodes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

use super::http::Client;
use super::{pause, wait_until};
use crate::stub::address;

/// Seconds between two polls of a node, and between two decisions.
pub const INTERVAL: f64 = 1.0;

/// A running daemon; it ends when this is dropped.
pub struct Daemon {
    child: Child,
    dir: PathBuf,
    pub port: u16,
}

impl Daemon {
    /// Starts one whose node `n` is at the `n`-th address of the stubs, on that port, and waits until
    /// it answers. The program is the one of this tree, or what `PGLOOKOUT` names.
    pub fn start(ports: &[u16]) -> Self {
        let nodes = ports.iter().enumerate().map(|(number, port)| {
            let conninfo = format!(
                "host={} port={port} user=pglookout dbname={} sslmode=disable",
                address(number),
                if number == 0 { "primary" } else { "standby" },
            );
            (name(number), json!(conninfo))
        });
        let dir = std::env::temp_dir().join(format!("pglookout-bench-{}", std::process::id()));
        fs::create_dir_all(dir.join("alerts")).expect("a directory");
        let port = free_port();
        let config = json!({
            "remote_conns": nodes.collect::<Map<_, _>>(),
            "http_address": "127.0.0.1",
            "http_port": port,
            "db_poll_interval": INTERVAL,
            "replication_state_check_interval": INTERVAL,
            "poll_timeout": 5.0,
            "alert_file_dir": dir.join("alerts"),
            "json_state_file_path": dir.join("state.json"),
            "maintenance_mode_file": dir.join("maintenance"),
        });
        fs::write(dir.join("config.json"), config.to_string()).expect("its configuration");
        let program = std::env::var("PGLOOKOUT");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_pglookout").to_owned());
        let log = File::create(dir.join("log")).expect("its log");
        let mut command = Command::new(program);
        command.arg(dir.join("config.json")).current_dir(&dir);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().expect("the pglookout program");
        let daemon = Self { child, dir, port };
        wait_until("the daemon answers", || Client::connect(port).is_ok());
        daemon
    }

    /// Waits until each of these nodes has been seen connected in `/state.json`.
    fn wait_connected(&self, mut nodes: Vec<usize>) {
        let mut client = Client::connect(self.port).expect("a running daemon");
        wait_until("all nodes are connected", || {
            let asked = Instant::now();
            let body = client.get("/state.json").expect("an answer");
            let state: Value = serde_json::from_slice(body).expect("JSON");
            nodes.retain(|number| state[name(*number)]["connection"] != true);
            // Whoever looks all the time is what keeps the daemon busy.
            let rest = asked.elapsed().as_secs_f64() * 4.0;
            pause(if nodes.is_empty() { 0.0 } else { rest });
            nodes.is_empty()
        });
    }

    /// Starts one and waits until it knows all its nodes but these; how long that took.
    pub fn start_connected(ports: &[u16], dead: &[usize]) -> (Self, Duration) {
        let begun = Instant::now();
        let daemon = Self::start(ports);
        let alive = (0..ports.len()).filter(|number| !dead.contains(number));
        daemon.wait_connected(alive.collect());
        (daemon, begun.elapsed())
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn name(number: usize) -> String {
    format!("n{number:04}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr());
    listener.expect("a free port").port()
}
