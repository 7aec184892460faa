//! Syslog: what a real rsyslog makes of the records, by its socket and by UDP, across its restarts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::postgres::which;
use crate::harness::receivers::Inbox;
use crate::harness::run_dir::TestDir;
use crate::harness::{Daemon, SOON, or_skip, wait_until};

/// A real rsyslogd with a socket and a UDP port of its own, which writes what it understood to a
/// file.
struct Rsyslog {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Rsyslog {
    fn prepare(dir: &Path) -> Option<Self> {
        let program = or_skip(which("rsyslogd").ok_or("there is no rsyslogd".to_owned()))?;
        let port = Inbox::udp().port();
        let rsyslog = Self {
            program,
            dir: dir.to_owned(),
            port,
            process: None,
        };
        let text = format!(
            "global(workDirectory=\"{dir}\")\n\
             template(name=\"told\" type=\"string\" string=\"%syslogfacility-text%|%syslogseverity-text%|%programname%|%msg%\\n\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{socket}\" CreatePath=\"on\" RateLimit.Interval=\"0\")\n\
             module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")\n\
             *.* action(type=\"omfile\" file=\"{reported}\" template=\"told\" asyncWriting=\"off\")\n",
            dir = dir.display(),
            socket = rsyslog.socket().display(),
            reported = dir.join("told").display(),
        );
        fs::write(rsyslog.dir.join("rsyslog.conf"), text).unwrap();
        Some(rsyslog)
    }

    fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .arg("-n")
            .arg("-f")
            .arg(self.dir.join("rsyslog.conf"))
            .arg("-i")
            .arg(self.dir.join("rsyslog.pid"));
        command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let socket = self.socket();
        wait_until("rsyslogd listens", SOON, || {
            std::os::unix::net::UnixDatagram::unbound()
                .unwrap()
                .connect(&socket)
                .is_ok()
        });
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(process.id() as i32),
                nix::sys::signal::SIGTERM,
            );
            let _ = process.wait();
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("log.sock")
    }

    /// Facility, severity, program name and message of each record.
    fn reported(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.dir.join("told")).unwrap_or_default();
        text.lines()
            .map(|line| line.splitn(4, '|').map(str::to_owned).collect())
            .collect()
    }

    fn wait_for(&self, record: [&str; 4]) {
        wait_until(&format!("rsyslog has {record:?}"), SOON, || {
            self.reported()
                .iter()
                .any(|reported| reported[..3] == record[..3] && reported[3].starts_with(record[3]))
        });
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A daemon that watches nothing.
fn observer(dir: &TestDir, syslog_address: Value) -> Daemon {
    let config = json!({"syslog": true, "syslog_address": syslog_address});
    Daemon::prepare(Host::on_loopback("o"), dir.path(), config)
}

#[test]
fn rsyslog_understands_every_part_of_a_record() {
    let dir = TestDir::new();
    let Some(mut rsyslog) = Rsyslog::prepare(dir.path()) else {
        return;
    };
    rsyslog.start();
    for (address, facility) in [
        (json!(rsyslog.socket()), "local2"),
        (json!(["127.0.0.1", rsyslog.port]), "daemon"),
        (json!(["localhost", rsyslog.port]), "local7"),
    ] {
        let mut daemon = observer(&dir, address);
        daemon.config["syslog_facility"] = json!(facility);
        daemon.config["no\nsuch|key"] = json!(1);
        daemon.start();
        rsyslog.wait_for([facility, "info", "pglookout", " daemon INFO: pglookout "]);
        rsyslog.wait_for([
            facility,
            "warning",
            "pglookout",
            " daemon WARNING: no\\nsuch|key: unknown key, ignored",
        ]);
        daemon.reload_text("{");
        rsyslog.wait_for([facility, "err", "pglookout", " daemon ERROR: "]);
        // The other log goes on.
        assert!(
            daemon.log().contains("\tdaemon\tERROR\t"),
            "{}",
            daemon.log()
        );
        daemon.stop();
    }
}

#[test]
fn records_wait_for_a_restarted_rsyslog() {
    let dir = TestDir::new();
    let Some(mut rsyslog) = Rsyslog::prepare(dir.path()) else {
        return;
    };
    let mut daemon = observer(&dir, json!(rsyslog.socket()));
    daemon.start();
    wait_until("it says that there is none", SOON, || {
        daemon
            .log()
            .contains("syslog is unreachable, buffering records")
    });
    rsyslog.start();
    rsyslog.wait_for(["local2", "info", "pglookout", " daemon INFO: pglookout "]);
    wait_until("it says so", SOON, || {
        daemon.log().contains("syslog is reachable again")
    });
    for round in 1..=2 {
        rsyslog.stop();
        for interval in [1, 2] {
            daemon.config["db_poll_interval"] = json!(f64::from(10 * round + interval));
            daemon.reload();
            wait_until("it has reloaded", SOON, || {
                daemon.log().contains(&format!(
                    "db_poll_interval is {:?} now",
                    f64::from(10 * round + interval)
                ))
            });
        }
        rsyslog.start();
        for interval in [1, 2] {
            let message = format!(
                " daemon INFO: db_poll_interval is {:?} now",
                f64::from(10 * round + interval)
            );
            rsyslog.wait_for(["local2", "info", "pglookout", &message]);
        }
    }
}

#[test]
fn a_blocked_syslog_delays_nothing_and_later_gets_the_number_of_lost_records() {
    let dir = TestDir::new();
    let path = dir.path().join("log.sock");
    let inbox = Inbox::at(&path);
    let mut daemon = observer(&dir, json!(path));
    daemon.start();
    // More warnings than the socket and the queue behind it have room for.
    let mut odd = daemon.config.clone();
    for number in 0..3_000 {
        odd[format!("{number}{}", "x".repeat(100))] = json!(1);
    }
    daemon.reload_text(&odd.to_string());
    wait_until("the other log has them all", SOON, || {
        daemon.log().contains("configuration reloaded")
    });
    assert!(daemon.get("/state.json").is_ok());
    let reported = inbox.wait_for_one("log lines were dropped: they were not read in time");
    assert!(
        reported.starts_with("<148>pglookout[") && reported.contains("]: sys WARNING: "),
        "{reported}"
    );
}
