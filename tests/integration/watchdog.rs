//! A watchdog device of a lease, with a FIFO in its place: it is kept alive while the primary has its lease,
//! is left alone where fencing hangs, and is stopped once that has succeeded.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::voting::votes;
use crate::harness::{Cluster, SOON, pause, wait_until};
use crate::leases::start_with;

/// What was written to the stand-in, and when it was found there.
struct Standin {
    fifo: File,
    written: Vec<(Instant, u8)>,
}

impl Standin {
    fn make(path: &Path) -> Self {
        mkfifo(path, Mode::S_IRWXU).unwrap();
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(nix::libc::O_NONBLOCK);
        Self {
            fifo: options.open(path).unwrap(),
            written: Vec::new(),
        }
    }

    fn look(&mut self) -> &[(Instant, u8)] {
        let mut byte = [0];
        while matches!(self.fifo.read(&mut byte), Ok(1)) {
            self.written.push((Instant::now(), byte[0]));
        }
        &self.written
    }

    fn watch_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look();
            pause(20);
        }
    }
}

#[test]
fn a_host_whose_fence_hangs_is_left_to_its_watchdog() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let (device, hangs) = (cluster.dir().join("watchdog"), cluster.dir().join("hangs"));
    fs::write(&hangs, "").unwrap();
    let mut fleet = start_with(&cluster, |_, daemon| {
        if daemon.host.name != PRIMARY {
            return;
        }
        daemon.config["watchdog_device"] = json!(device);
        let fence = daemon.config["fence_command"][2]
            .as_str()
            .unwrap()
            .to_owned();
        let waiting = format!(
            "while [ -e '{}' ]; do sleep 0.05; done; {fence}",
            hangs.display()
        );
        daemon.config["fence_command"] = json!(["sh", "-c", waiting]);
    });
    // The lease goes on without it.
    fleet[PRIMARY].wait_alert("watchdog_unusable", "No such file or directory");
    let shown = votes(&fleet[PRIMARY])["watchdog"].to_string();
    assert!(shown.contains("not in force"), "{shown}");
    let mut standin = Standin::make(&device);
    fleet[PRIMARY].wait_alert("watchdog_unusable", "when it resets this host is not known");
    // lease_time 6 less lease_renew_interval 1 and vote_timeout 1 is 4 s.
    standin.watch_for(Duration::from_secs(9));
    let times: Vec<Instant> = standin.look().iter().map(|(at, _)| *at).collect();
    assert!(times.len() > 5, "{}", times.len());
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] < Duration::from_secs(4), "{times:?}");
    }
    // A daemon that comes back finds the device in the hands of the guard before it, and takes it over.
    fleet[PRIMARY].kill_nine();
    fleet[PRIMARY].start();
    standin.watch_for(Duration::from_secs(9));
    let last = standin.look().last().unwrap().0;
    assert!(
        last.elapsed() < Duration::from_secs(3),
        "{:?}",
        last.elapsed()
    );
    for name in ["s1", "s2"] {
        fleet[name].kill_nine();
    }
    let without_voters = Instant::now();
    while !fleet[PRIMARY].has_alert("lease_lost") {
        assert!(without_voters.elapsed() < SOON);
        standin.watch_for(Duration::from_millis(100));
    }
    let lost = Instant::now();
    standin.watch_for(Duration::from_secs(4));
    // The last of them 4 s before the end of the lease, which was fenced 1 s before that.
    let last = standin.look().last().unwrap().0;
    let before = lost.duration_since(last).as_secs_f64();
    assert!((2.5..4.5).contains(&before), "{before}");
    let orderly = |standin: &mut Standin| standin.look().iter().any(|(_, byte)| *byte == b'V');
    assert!(!orderly(&mut standin));
    assert!(!cluster[PRIMARY].is_in_recovery());
    fs::remove_file(&hangs).unwrap();
    wait_until("the device is stopped after the fence", SOON, || {
        orderly(&mut standin)
    });
    assert!(cluster[PRIMARY].try_query("SELECT 1").is_err());
    wait_until("nothing is reported of the device any more", SOON, || {
        !fleet[PRIMARY].has_alert("watchdog_unusable")
    });
}
