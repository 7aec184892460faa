//! What stands at `maintenance_mode_file`: anything that exists keeps a node from being promoted,
//! as does what cannot be looked at; a link that leads nowhere does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};
use serde_json::json;

use super::beside::{Beside, complaints, run_as_server};
use crate::harness::or_skip;

/// What is made below a directory, and the path that is looked at.
type Setting = fn(&Path) -> PathBuf;

struct Case {
    name: &'static str,
    setting: Setting,
    /// Is it taken for present.
    keeps: bool,
    /// What the log reports, once.
    complaint: &'static str,
}

#[test]
fn whatever_stands_at_the_maintenance_path_is_looked_at_only() {
    let case = |name, keeps, complaint, setting| Case {
        name,
        setting,
        keeps,
        complaint,
    };
    check(
        &[
            case("absent", false, "", |dir| dir.join("none")),
            case("below-nothing", false, "", |dir| dir.join("none/none")),
            case("below-a-file", false, "", |dir| {
                made(dir, |path| fs::write(path, "").unwrap()).join("file")
            }),
            case("dangling", false, "", |dir| {
                made(dir, |path| symlink("none", path).unwrap())
            }),
            case("file", true, "", |dir| {
                made(dir, |path| fs::write(path, "").unwrap())
            }),
            case("directory", true, "", |dir| {
                made(dir, |path| fs::create_dir(path).unwrap())
            }),
            case("fifo", true, "", |dir| {
                made(dir, |path| mkfifo(path, Mode::S_IRWXU).unwrap())
            }),
            case("link", true, "", |dir| {
                made(dir, |path| symlink("/dev/zero", path).unwrap())
            }),
            case("loop", true, "Too many levels of symbolic links", |dir| {
                made(dir, |path| symlink(path, path).unwrap())
            }),
            case("long", true, "File name too long", |dir| {
                dir.join("x".repeat(300))
            }),
        ],
        |_| (),
    );
}

#[test]
fn a_maintenance_path_that_may_not_be_looked_at_is_taken_for_present() {
    if or_skip(
        Uid::effective()
            .is_root()
            .then_some(())
            .ok_or("another account needs root".to_owned()),
    )
    .is_none()
    {
        return;
    }
    let setting = |dir: &Path| {
        let secret = made(dir, |path| fs::create_dir(path).unwrap());
        fs::set_permissions(&secret, Permissions::from_mode(0o700)).unwrap();
        secret.join("file")
    };
    check(
        &[Case {
            name: "secret",
            setting,
            keeps: true,
            complaint: "Permission denied",
        }],
        run_as_server,
    );
}

fn made(dir: &Path, make: fn(&Path)) -> PathBuf {
    let path = dir.join("thing");
    make(&path);
    path
}

fn check(cases: &[Case], adjust: impl Fn(&mut crate::harness::Daemon)) {
    let Some(mut beside) = Beside::prepare(cases.iter().map(|case| case.name)) else {
        return;
    };
    for (case, daemon) in cases.iter().zip(&mut beside.daemons) {
        daemon.config["maintenance_mode_file"] = json!((case.setting)(&daemon.path("")));
        adjust(daemon);
    }
    beside.start();
    beside.watch_and_fail_over(|name| cases.iter().any(|case| case.name == name && case.keeps));
    for (case, daemon) in cases.iter().zip(&beside.daemons) {
        let printed = complaints(daemon, "maintenance_mode_file");
        println!(
            "{}: {}",
            case.name,
            printed.first().map_or("no complaint", |line| line.as_str())
        );
        assert_eq!(
            printed.len(),
            usize::from(!case.complaint.is_empty()),
            "{printed:#?}"
        );
        let path = daemon.config["maintenance_mode_file"].as_str().unwrap();
        assert!(
            printed
                .iter()
                .all(|line| line.contains(path) && line.contains(case.complaint)),
            "{printed:#?}"
        );
        let held = daemon.log().matches("maintenance").count();
        assert!(
            !case.keeps || held > 0,
            "it does not say why it was not promoted: {}",
            daemon.log()
        );
    }
}
