//! A disk that does not answer: neither yes nor no, for as long as it likes. What writes to it
//! hangs and cannot be killed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::LIMIT;
use crate::harness::postgres::which;
use crate::harness::run_dir::run;
use crate::harness::vitals::{longest_unasked, peak_kib};
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

/// A file system of its own, thawed and taken away when dropped.
struct Disk {
    mount: PathBuf,
}

impl Disk {
    /// Room for so many bytes.
    fn below(dir: &Path, bytes: u64) -> Result<Self, String> {
        if !Uid::effective().is_root() {
            return Err("a disk of its own needs root".to_owned());
        }
        for tool in ["mkfs.ext4", "mount", "fsfreeze"] {
            which(tool).ok_or_else(|| format!("a disk that freezes needs the program {tool}"))?;
        }
        let (image, mount) = (dir.join("disk"), dir.join("mounted"));
        fs::create_dir_all(&mount).expect("a directory to mount at");
        fs::File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .expect("a file to be a disk");
        run(Command::new("mkfs.ext4").arg("-q").arg(&image)).map_err(|error| error.to_string())?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&mount))
        .map_err(|error| error.to_string())?;
        Ok(Self { mount })
    }

    fn freeze(&self) {
        run(Command::new("fsfreeze").arg("-f").arg(&self.mount)).expect("a frozen disk");
    }

    fn thaw(&self) {
        run(Command::new("fsfreeze").arg("-u").arg(&self.mount))
            .expect("a disk that answers again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Thawed already is as good. Lazily: somebody may still have a file open.
        let _ = run(Command::new("fsfreeze").arg("-u").arg(&self.mount));
        let _ = run(Command::new("umount").arg("-l").arg(&self.mount));
    }
}

/// The state file and the alert files of `s1` are on a disk that freezes before the primary dies.
/// Nothing is delayed; and when the disk thaws it has the last state, and the alert.
#[test]
fn a_disk_that_hangs_delays_no_failover() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let Some(disk) = or_skip(Disk::below(cluster.dir(), 16 << 20)) else {
        return;
    };
    let (state_file, alert) = (
        disk.mount.join("state.json"),
        disk.mount.join("failover_has_happened"),
    );
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    fleet["s1"].config["json_state_file_path"] = state_file.to_str().into();
    fleet["s1"].config["alert_file_dir"] = disk.mount.to_str().into();
    fleet.start_all();
    let remembered = || fs::read_to_string(&state_file).unwrap_or_default();
    wait_until("s1 has written its state", SOON, || {
        remembered().contains("\"current_master\": \"p\"")
    });
    wait_until("s1 knows the lag", SOON, || {
        fleet["s1"].state()["s1"]["min_replication_time_lag"].is_number()
    });

    disk.freeze();
    let before = peak_kib(&fleet["s1"]);
    let longest = longest_unasked(&fleet["s1"], &[PRIMARY, "s1"], Duration::from_secs(7));
    assert!(
        longest < Duration::from_secs(2),
        "a healthy node was not asked for {longest:?}"
    );
    cluster[PRIMARY].kill_nine_all();
    let dead_at = seconds_now();
    let took = fleet.wait_promotion().1 - dead_at;
    wait_until("the standby is the primary", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    longest_unasked(&fleet["s1"], &["s1"], Duration::from_secs(2));
    assert_eq!(fleet.promoted(), ["s1"]);
    assert!(took < 7.0, "the failover took {took:.1} s");
    assert!(
        !alert.exists() && remembered().contains("\"current_master\": \"p\""),
        "the disk was not frozen"
    );
    let printed = fleet["s1"]
        .log()
        .matches("no response from the disk")
        .count();
    assert!(printed <= 2, "one line for each file: {printed}");
    assert!(
        fleet["s1"]
            .log()
            .contains("json_state_file_path: no response from the disk for 5s")
    );
    let grown = peak_kib(&fleet["s1"]) - before;
    println!(
        "a frozen disk: nodes asked at least every {longest:.1?}; failover after {took:.1} s; {grown} KiB more memory"
    );

    disk.thaw();
    wait_until("the alert is there", SOON, || {
        fs::read_to_string(&alert).is_ok_and(|text| text.contains("failover_command"))
    });
    wait_until("the state is there", SOON, || {
        remembered().contains("\"current_master\": \"s1\"")
    });
    let left = || {
        fs::read_dir(&disk.mount)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
    };
    wait_until("nothing is left beside them", SOON, || {
        left().all(|name| !name.ends_with(".tmp"))
    });

    // It ends in time, too; what hangs goes on alone.
    disk.freeze();
    wait_until("somebody hangs", SOON, || {
        is_hanging(fleet["s1"].pid().as_raw())
    });
    fleet["s1"].signal(Signal::SIGTERM);
    assert!(fleet["s1"].wait_exit(Duration::from_secs(3)).success());
    disk.thaw();
}

/// The primary's WAL is on a disk that freezes. It answers all the same, and so it is not replaced.
#[test]
fn a_primary_whose_wal_is_not_written_is_an_alert_and_no_failover() {
    let Some(mut cluster) = Cluster::prepare(&["s1"]) else {
        return;
    };
    let Some(disk) = or_skip(Disk::below(cluster.dir(), 128 << 20)) else {
        return;
    };
    let wal = cluster[PRIMARY].data.join("pg_wal");
    let moved = disk.mount.join("pg_wal");
    run(Command::new("cp").arg("-a").arg(&wal).arg(&moved)).unwrap();
    fs::remove_dir_all(&wal).unwrap();
    symlink(&moved, &wal).unwrap();
    cluster.start_all();
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    fleet.nobody_promotes_for(LIMIT);
    assert!(!fleet["s1"].has_alert("primary_not_writing"));

    disk.freeze();
    for name in ["s1", "o"] {
        fleet[name].wait_alert("primary_not_writing", "primary p answers");
    }
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet["s1"].state()[PRIMARY]["connection"], true);
    disk.thaw();
    for name in ["s1", "o"] {
        wait_until("the alert is removed", SOON, || {
            !fleet[name].has_alert("primary_not_writing")
        });
    }
    fleet.nobody_promotes_for(1.0);
    assert_eq!(cluster.primaries(), [PRIMARY]);
}

/// Has this process a child in uninterruptible sleep.
fn is_hanging(pid: i32) -> bool {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().any(|child| {
        fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| stat.contains(") D "))
    })
}
