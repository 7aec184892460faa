//! Notifications for a service manager, and what it sees: systemd's protocol, its unit, a real
//! supervisord.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::host::Host;
use crate::harness::postgres::which;
use crate::harness::receivers::Inbox;
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{Daemon, SOON, or_skip, pause, wait_until};

/// A daemon that watches nothing, with this service manager.
fn observer(dir: &TestDir, socket: &str, watchdog_micros: u32) -> Daemon {
    let config = json!({"replication_state_check_interval": 0.2});
    let mut daemon = Daemon::prepare(Host::on_loopback("o"), dir.path(), config);
    daemon
        .variables
        .push(("NOTIFY_SOCKET".to_owned(), socket.to_owned()));
    daemon
        .variables
        .push(("WATCHDOG_USEC".to_owned(), watchdog_micros.to_string()));
    daemon
}

fn assignments(inbox: &Inbox, name: &str) -> Vec<String> {
    let text = inbox.wait_for(&format!("{name}="));
    text.lines().map(str::to_owned).collect()
}

fn monotonic_micros() -> u128 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    std::time::Duration::from(now).as_micros()
}

#[test]
fn the_service_manager_is_notified_of_readiness_status_reload_and_stop() {
    let dir = TestDir::new();
    let path = dir.path().join("notify");
    for named in [false, true] {
        let name = format!("pglookout-notify-{}", std::process::id());
        let (inbox, socket) = match named {
            false => (Inbox::at(&path), path.display().to_string()),
            true => (Inbox::named(&name), format!("@{name}")),
        };
        let mut daemon = observer(&dir, &socket, 400_000);
        let log = fs::File::create(daemon.log_path()).unwrap();
        daemon.start_with_stderr(log.into());
        assert_eq!(assignments(&inbox, "READY"), ["READY=1"]);
        assert!(
            daemon.get("/state.json").is_ok(),
            "READY=1 was sent before HTTP answered"
        );
        inbox.wait_for("STATUS=primary: no primary is known; this node: observer; observing: no primary is reachable");
        for _ in 0..3 {
            assert_eq!(assignments(&inbox, "WATCHDOG"), ["WATCHDOG=1"]);
        }
        let before = monotonic_micros();
        for text in [daemon.config.to_string(), "{".to_owned()] {
            daemon.reload_text(&text);
            let reloading = assignments(&inbox, "RELOADING");
            let micros: u128 = reloading[1]
                .strip_prefix("MONOTONIC_USEC=")
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!((reloading.len(), reloading[0].as_str()), (2, "RELOADING=1"));
            assert!((before..=monotonic_micros()).contains(&micros), "{micros}");
            assert_eq!(assignments(&inbox, "READY"), ["READY=1"]);
        }
        daemon.signal(Signal::SIGTERM);
        assert_eq!(
            assignments(&inbox, "STOPPING"),
            ["STOPPING=1", "STATUS=shutting down"]
        );
        assert_eq!(daemon.wait_exit(SOON).code(), Some(0));
        assert!(
            daemon.log().starts_with("daemon\tINFO\t"),
            "no time: the journal has one: {}",
            daemon.log()
        );
    }
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
    let dir = TestDir::new();
    let path = dir.path().join("notify");
    let inbox = Inbox::at(&path);
    let mut daemon = observer(&dir, path.to_str().unwrap(), 100_000);
    daemon
        .variables
        .push(("WATCHDOG_PID".to_owned(), "1".to_owned()));
    daemon.start();
    pause(1000);
    let received = inbox.drain();
    assert!(
        received.contains(&"READY=1".to_owned()) && !received.contains(&"WATCHDOG=1".to_owned()),
        "{received:?}"
    );
}

/// The unit with a program that is there.
fn unit(dir: &TestDir, drop_in: Option<&str>) -> PathBuf {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let path = dir.path().join("pglookout.service");
    let text = fs::read_to_string(packaging.join("pglookout.service")).unwrap();
    let installed = text.replace(
        "/usr/bin/pglookout ",
        &format!("{} ", env!("CARGO_BIN_EXE_pglookout")),
    );
    assert_ne!(text, installed);
    fs::write(&path, installed).unwrap();
    if let Some(drop_in) = drop_in {
        let drop_ins = dir.path().join("pglookout.service.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::copy(
            packaging.join("pglookout.service.d").join(drop_in),
            drop_ins.join(drop_in),
        )
        .unwrap();
    }
    path
}

#[test]
fn systemd_accepts_the_unit() {
    let Some(analyze) =
        or_skip(which("systemd-analyze").ok_or("there is no systemd-analyze".to_owned()))
    else {
        return;
    };
    for (drop_in, most) in [
        (None, 2.0),
        (Some("address.conf"), 2.5),
        (Some("watchdog.conf"), 2.2),
    ] {
        let dir = TestDir::new();
        let path = unit(&dir, drop_in);
        let verified = Command::new(&analyze)
            .arg("verify")
            .arg(&path)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && printed.is_empty(), "{printed}");
        let security = run(Command::new(&analyze)
            .args(["security", "--offline=true"])
            .arg(&path))
        .unwrap();
        let score = security
            .lines()
            .find(|line| line.contains("Overall exposure level"))
            .unwrap();
        let score: f64 = score
            .split_whitespace()
            .find_map(|word| word.parse().ok())
            .unwrap();
        assert!(score <= most, "{security}");
    }
}

struct Supervisord(Child);

impl Drop for Supervisord {
    fn drop(&mut self) {
        // It ends its programs first.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.0.id() as i32),
            Signal::SIGTERM,
        );
        let _ = self.0.wait();
    }
}

#[test]
fn supervisord_starts_it_reloads_it_and_starts_it_again() {
    let program = std::env::var_os("PGLOOKOUT_SUPERVISORD")
        .map(PathBuf::from)
        .or_else(|| which("supervisord"));
    let Some(program) = or_skip(program.ok_or("there is no supervisord".to_owned())) else {
        return;
    };
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(
        Host::on_loopback("o"),
        dir.path(),
        json!({"db_poll_interval": 1}),
    );
    daemon.write_config(&daemon.config.to_string());
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/supervisord.conf");
    let mut section = fs::read_to_string(packaged).unwrap();
    let config = daemon.config_path();
    let log = daemon.log_path();
    let home = dir.path().display().to_string();
    for (packaged, here) in [
        ("/usr/bin/pglookout", env!("CARGO_BIN_EXE_pglookout")),
        ("/etc/pglookout/pglookout.json", config.to_str().unwrap()),
        ("directory=/var/lib/pglookout", &format!("directory={home}")),
        ("/var/log/pglookout.log", log.to_str().unwrap()),
        ("user=postgres\n", ""),
    ] {
        assert!(section.contains(packaged), "{packaged}");
        section = section.replace(packaged, here);
    }
    let socket = dir.path().join("supervisor.sock");
    let main = format!(
        "[supervisord]\nnodaemon=true\nlogfile={home}/supervisord.log\npidfile={home}/supervisord.pid\n\
         [unix_http_server]\nfile={socket}\n[supervisorctl]\nserverurl=unix://{socket}\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n{section}",
        socket = socket.display()
    );
    let path = dir.path().join("supervisord.conf");
    fs::write(&path, main).unwrap();
    let mut command = Command::new(&program);
    command
        .arg("-c")
        .arg(&path)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _supervisord = Supervisord(command.spawn().unwrap());
    let ctl = program.with_file_name("supervisorctl");
    let control = |words: &[&str]| {
        let output = Command::new(&ctl)
            .arg("-c")
            .arg(&path)
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let answers = |daemon: &Daemon| daemon.get("/state.json").is_ok();
    wait_until("it runs", SOON, || {
        control(&["status", "pglookout"]).contains("RUNNING") && answers(&daemon)
    });
    daemon.config["db_poll_interval"] = json!(2);
    daemon.write_config(&daemon.config.to_string());
    control(&["signal", "HUP", "pglookout"]);
    wait_until("it has reloaded", SOON, || {
        daemon
            .log()
            .contains("db_poll_interval is 2.0 now (before: 1.0)")
    });
    let id: i32 = control(&["pid", "pglookout"]).trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), Signal::SIGKILL).unwrap();
    wait_until("it runs again", SOON, || {
        control(&["pid", "pglookout"])
            .trim()
            .parse::<i32>()
            .is_ok_and(|now| now != id && now != 0)
            && answers(&daemon)
    });
    control(&["stop", "pglookout"]);
    assert!(
        control(&["status", "pglookout"]).contains("STOPPED") && daemon.log().contains("\tstopped")
    );
}
