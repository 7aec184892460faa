//! SIGTERM, and a stderr that nobody reads.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::json;

use crate::harness::daemon::HTTP_PORT;
use crate::harness::fleet::{note_time, script_command};
use crate::harness::host::Host;
use crate::harness::run_dir::TestDir;
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

/// "Within a second", and some for a machine that runs other tests meanwhile.
const AT_ONCE: Duration = Duration::from_millis(1500);

#[test]
fn ends_at_once_beside_idle_clients() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let clients: Vec<_> = (0..50)
            .map(|number| {
                let mut stream = fleet["s1"].host.connect(HTTP_PORT, SOON).unwrap();
                let printed: &[u8] = [
                    b"",
                    b"GET /sta".as_slice(),
                    b"GET /state.json HTTP/1.1\r\nHost: x\r\n\r\n",
                ][number % 3];
                stream.write_all(printed).unwrap();
                stream
            })
            .collect();
        pause(500);
        fleet["s1"].signal(signal);
        assert_eq!(fleet["s1"].wait_exit(AT_ONCE).code(), Some(0), "{signal}");
        drop(clients);
        fleet["s1"].start();
    }
}

#[test]
fn other_signals_do_not_end_it_and_sigquit_ends_it_with_a_line() {
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
    daemon.start();
    for signal in [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGPIPE,
        Signal::SIGIO,
        Signal::SIGWINCH,
    ] {
        daemon.signal(signal);
    }
    for name in ["SIGUSR1", "SIGUSR2", "SIGALRM"] {
        let line = format!("ignoring {name}");
        wait_until(&line, SOON, || daemon.log().contains(&line));
    }
    assert!(daemon.is_running() && daemon.get("/state.json").is_ok());
    daemon.signal(Signal::SIGQUIT);
    assert_eq!(daemon.wait_exit(AT_ONCE).code(), Some(0));
    assert!(
        daemon.log().contains("SIGQUIT: exiting at once"),
        "{}",
        daemon.log()
    );
}

#[test]
fn a_reload_that_is_requested_while_it_starts_is_made() {
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
    // The signal comes before the program knows of it.
    let script = "trap '' HUP; (sleep 0.2; kill -HUP $$) & exec \"$0\" \"$@\"";
    let program = daemon.program.remove(0);
    daemon.program = ["sh", "-c", script].map(str::to_owned).to_vec();
    daemon.program.push(program);
    daemon.start();
    wait_until("it has reloaded", SOON, || {
        daemon.log().contains("configuration reloaded")
    });
    daemon.stop();
}

/// The children of a process that have ended and nobody has asked how.
fn zombies_of(parent: u32) -> usize {
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let is_one = |stat: &String| {
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() == Some("Z") && fields.next() == Some(&parent.to_string())
    };
    stats.filter(is_one).count()
}

/// The only child of a process.
fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[test]
fn as_process_1_it_reaps_orphans() {
    if !Uid::effective().is_root() {
        return;
    }
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
    daemon.config["remote_conns"] = json!({"p": "host=localhost port=1 user=u"});
    // What a shell left behind, and what outlives its own parent.
    let script = "sleep 1 & (sleep 1.2 &) ; exec \"$0\" \"$@\"";
    let program = daemon.program.remove(0);
    let unshare = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        script,
    ];
    daemon.program = unshare.map(str::to_owned).to_vec();
    daemon.program.push(program);
    daemon.start();
    let init = child_of(daemon.pid().as_raw().unsigned_abs()).expect("process 1");
    let children = || fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    // The one that reads the maintenance file stays.
    let is_orphan = |pid: &&str| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim_end() != "pglookout-files")
    };
    wait_until("the orphans have ended and are reaped", SOON, || {
        zombies_of(init) == 0 && !children().split_whitespace().any(|pid| is_orphan(&pid))
    });
    // Its own children are not taken away from it.
    pause(500);
    let log = daemon.log();
    assert!(
        !log.contains("No child processes") && log.contains("Connection refused"),
        "{log}"
    );
    kill(Pid::from_raw(init as i32), Signal::SIGTERM).unwrap();
    assert_eq!(daemon.wait_exit(SOON).code(), Some(0));
}

/// A daemon whose failover command, which takes three seconds and then writes the file `done`,
/// has just begun.
fn failover_under_way() -> Option<(Cluster, Fleet)> {
    let mut cluster = Cluster::start(&["s1"])?;
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let daemon = &mut fleet["s1"];
    let script = format!(
        "{}sleep 3\ntouch '{}'\n",
        note_time(&daemon.promotions_path()),
        daemon.path("done").display()
    );
    daemon.config["failover_command"] = script_command(daemon, "failover", &script);
    fleet.start_all();
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    fleet.wait_promotion();
    Some((cluster, fleet))
}

#[test]
fn a_running_failover_command_is_waited_for() {
    let Some((_cluster, mut fleet)) = failover_under_way() else {
        return;
    };
    let done = fleet["s1"].path("done");
    fleet["s1"].signal(Signal::SIGTERM);
    pause(1500);
    assert!(fleet["s1"].is_running() && !done.exists());
    assert_eq!(fleet["s1"].wait_exit(SOON).code(), Some(0));
    assert!(done.exists(), "it ended before its command");
    assert_eq!(fleet.promoted(), ["s1"]);
}

/// A daemon whose failover command is the script `rest`, and has just begun.
fn failover_by(rest: &str) -> Option<(Cluster, Fleet)> {
    let mut cluster = Cluster::start(&["s1"])?;
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let daemon = &mut fleet["s1"];
    let done = daemon.path("done");
    let script = format!(
        "{}{}touch '{}'\n",
        note_time(&daemon.promotions_path()),
        rest,
        done.display()
    );
    daemon.config["failover_command"] = script_command(daemon, "failover", &script);
    fleet.start_all();
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    fleet.wait_promotion();
    Some((cluster, fleet))
}

#[test]
fn a_long_failover_command_is_waited_for_ten_seconds_and_goes_on_alone() {
    // One is silent, one prints all the time: neither may be ended by a closed pipe.
    for rest in [
        "sleep 16\n",
        "end=$(($(date +%s) + 16))\nwhile [ $(date +%s) -lt $end ]; do echo still at it; done\n",
    ] {
        let Some((_cluster, mut fleet)) = failover_by(rest) else {
            return;
        };
        let done = fleet["s1"].path("done");
        fleet["s1"].signal(Signal::SIGTERM);
        pause(8000);
        assert!(fleet["s1"].is_running(), "it waits");
        fleet["s1"].wait_exit(Duration::from_secs(5));
        assert!(!done.exists(), "the command has not finished yet");
        wait_until("the command has finished", Duration::from_secs(20), || {
            done.exists()
        });
        assert_eq!(fleet.promoted(), ["s1"]);
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_command_finishes_alone() {
    let Some((_cluster, mut fleet)) = failover_under_way() else {
        return;
    };
    let done = fleet["s1"].path("done");
    fleet["s1"].signal(Signal::SIGTERM);
    pause(500);
    assert!(fleet["s1"].is_running());
    fleet["s1"].signal(Signal::SIGTERM);
    fleet["s1"].wait_exit(AT_ONCE);
    assert!(!done.exists());
    wait_until("the command has finished", SOON, || done.exists());
}

/// Both ends of a pipe that is full to the last byte.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written into the array; both are new, and owned from here on.
    let (reader, writer) = unsafe {
        assert_eq!(
            libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK),
            0
        );
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let mut filler = fs::File::from(writer);
    for size in [4096, 1] {
        while filler.write(&vec![b'x'; size]).is_ok() {}
    }
    // From here on a write waits, as it does for a pipe that somebody else has made.
    // SAFETY: an open descriptor and a flag.
    assert_eq!(
        unsafe { libc::fcntl(filler.as_raw_fd(), libc::F_SETFL, 0) },
        0,
        "{}",
        io::Error::last_os_error()
    );
    (reader, filler.into())
}

#[test]
fn an_unread_stderr_delays_nothing() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, config| config["log_level"] = json!("DEBUG"));
    let (_reader, writer) = full_pipe();
    fleet["o"].start();
    fleet["s1"].start_with_stderr(writer.into());
    wait_until("the cluster is known", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("p")
    });
    fleet.nobody_promotes_for(2.0);
    cluster["p"].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s1");
    wait_until("the promotion is noticed", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("s1")
    });
    fleet["s1"].signal(Signal::SIGTERM);
    assert_eq!(fleet["s1"].wait_exit(AT_ONCE).code(), Some(0));
}
