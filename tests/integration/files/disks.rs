//! The state file and the alert files belong on a disk that is full, or where the daemon may not
//! write.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use super::beside::run_as_server;
use super::places::{Place, case, check};
use crate::harness::or_skip;
use crate::harness::run_dir::run;

#[test]
fn full_and_read_only_disks_delay_nothing() {
    if or_skip(
        Uid::effective()
            .is_root()
            .then_some(())
            .ok_or("disks of one's own need root".to_owned()),
    )
    .is_none()
    {
        return;
    }
    let cases = [
        case(
            "full",
            |place| {
                mount(place, "size=64k");
                fill(&place.dir().join("filler"));
            },
            "cannot write PATH: No space left on device",
            |place| fs::remove_file(place.dir().join("filler")).unwrap(),
        ),
        case(
            "read-only",
            |place| {
                mount(place, "size=1m");
                remount(place, "ro");
            },
            "cannot create a file for PATH: Read-only file system",
            |place| remount(place, "rw"),
        ),
        case(
            "forbidden",
            |place| {
                place.make();
                set_mode(place, 0o755);
            },
            "cannot create a file for PATH: Permission denied",
            |place| set_mode(place, 0o777),
        ),
        // Somebody was there first, and in a sticky directory nobody else may move his files away.
        case(
            "taken",
            |place| {
                place.make();
                set_mode(place, 0o1777);
                for path in place.files() {
                    fs::write(with_tmp(&path), "not ours").unwrap();
                    fs::write(path, "not ours").unwrap();
                }
            },
            "cannot write PATH: Operation not permitted",
            |place| {
                for path in place.files() {
                    assert_eq!(fs::read_to_string(with_tmp(&path)).unwrap(), "not ours");
                    assert_eq!(fs::read_to_string(&path).unwrap(), "not ours");
                    fs::remove_file(path).unwrap();
                }
            },
        ),
    ];
    check(&cases, run_as_server);
}

fn with_tmp(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.tmp", path.display()))
}

/// A file system in memory at this place, where anybody may write.
fn mount(place: &Place, options: &str) {
    fs::create_dir_all(place.dir()).unwrap();
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(place.dir()))
    .unwrap();
    place.make();
    set_mode(place, 0o777);
}

fn remount(place: &Place, option: &str) {
    run(Command::new("mount")
        .args(["-o", &format!("remount,{option}")])
        .arg(place.dir()))
    .unwrap();
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Of its directories.
fn set_mode(place: &Place, mode: u32) {
    for path in place.files() {
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(mode)).unwrap();
    }
}
