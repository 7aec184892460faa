//! The configuration file is replaced by what is none: the running configuration stays, and nobody
//! starts with it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::LIMIT;
use crate::harness::host::Account;
use crate::harness::vitals::{longest_unasked, peak_kib};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

/// What stands in the place of the configuration file, and the reason in the log.
type Case = (&'static str, fn(&Path), &'static str);

const CASES: [Case; 11] = [
    ("absent", |_| (), "No such file or directory"),
    (
        "directory",
        |path| fs::create_dir(path).unwrap(),
        "not a regular file",
    ),
    (
        "1 GB",
        |path| {
            File::create(path)
                .and_then(|file| file.set_len(1 << 30))
                .unwrap()
        },
        "longer than 1048576 bytes",
    ),
    (
        "fifo",
        |path| mkfifo(path, Mode::S_IRWXU).unwrap(),
        "not a regular file",
    ),
    (
        "device",
        |path| symlink("/dev/zero", path).unwrap(),
        "not a regular file",
    ),
    (
        "dangling",
        |path| symlink("none", path).unwrap(),
        "No such file or directory",
    ),
    (
        "loop",
        |path| symlink(path, path).unwrap(),
        "Too many levels of symbolic links",
    ),
    ("forbidden", forbidden, "Permission denied"),
    (
        "not UTF-8",
        |path| fs::write(path, b"{\"own_db\": \"\xff\"}").unwrap(),
        "not UTF-8 at byte 12",
    ),
    (
        "empty",
        |path| fs::write(path, "").unwrap(),
        "EOF while parsing",
    ),
    (
        "deep",
        |path| fs::write(path, "[".repeat(1 << 20)).unwrap(),
        "recursion limit exceeded",
    ),
];

#[test]
fn what_is_no_configuration_changes_nothing() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    fleet["s1"].program.splice(0..0, without_roots_eyes());
    fleet.start_all();
    fleet.wait_settled();
    let (path, before) = (fleet["s1"].config_path(), peak_kib(&fleet["s1"]));
    let daemon = &fleet["s1"];
    let longest = thread::scope(|scope| {
        let watch = scope.spawn(|| longest_unasked(daemon, &[PRIMARY, "s1"], WATCH));
        for (count, case) in CASES.iter().enumerate() {
            refuses(daemon, case, count);
        }
        watch.join().unwrap()
    });
    let after = peak_kib(&fleet["s1"]);
    println!(
        "nodes asked at least every {longest:.1?}; peak memory {before} KiB, then {after} KiB"
    );
    assert!(
        longest < Duration::from_secs(2),
        "a healthy node was not asked for {longest:?}"
    );
    assert!(
        after < before + (8 << 10),
        "memory grew from {before} to {after} KiB"
    );
    cluster[PRIMARY].kill_nine_all();
    let dead_at = seconds_now();
    let took = fleet.wait_promotion().1 - dead_at;
    println!("failover after {took:.1} s");
    assert!(took < LIMIT + 3.0, "the failover took {took:.1} s");
    assert_eq!(not_reloaded(&fleet["s1"]), CASES.len());
    remove(&path);
}

/// Reloads so, after so many others.
fn refuses(daemon: &Daemon, (name, replace, reason): &Case, count: usize) {
    let (path, begun) = (daemon.config_path(), daemon.log().len());
    remove(&path);
    replace(&path);
    daemon.signal(Signal::SIGHUP);
    wait_until(&format!("{name} is refused"), SOON, || {
        not_reloaded(daemon) > count
    });
    pause(400);
    let log = daemon.log();
    let printed: Vec<&str> = log[begun..]
        .lines()
        .filter(|line| line.contains(path.to_str().unwrap()))
        .collect();
    println!("{name}: {}", printed.join(" / "));
    assert!(
        printed.len() == 1 && printed[0].contains(reason),
        "{name}: {printed:#?}"
    );
}

#[test]
fn an_invalid_configuration_starts_no_daemon() {
    let dir = crate::harness::run_dir::TestDir::new();
    let path = dir.path().join("config.json");
    let mut words = without_roots_eyes();
    words.push(env!("CARGO_BIN_EXE_pglookout").to_owned());
    let host = crate::harness::host::Host::on_loopback("start");
    let begun = Instant::now();
    for (name, replace, reason) in CASES {
        remove(&path);
        replace(&path);
        let mut command = host.command(&words[0], Account::Own);
        let output = command
            .args(&words[1..])
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {printed}");
        assert_eq!(printed.lines().count(), 1, "{name}: {printed}");
        assert!(
            printed.contains(reason) && printed.contains(path.to_str().unwrap()),
            "{name}: {printed}"
        );
    }
    println!("{} starts refused in {:.1?}", CASES.len(), begun.elapsed());
    assert!(begun.elapsed() < SOON);
}

/// As long as all of them take.
const WATCH: Duration = Duration::from_secs(6);

/// Root may read everything, unless the capability is dropped.
fn without_roots_eyes() -> Vec<String> {
    let setpriv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    setpriv
        .iter()
        .filter(|_| Uid::effective().is_root())
        .map(|word| (*word).to_owned())
        .collect()
}

fn not_reloaded(daemon: &Daemon) -> usize {
    daemon.log().matches("configuration not reloaded").count()
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir(path);
    }
}

fn forbidden(path: &Path) {
    fs::write(path, "{}").unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
}
