//! Where the state file and the alert files belong there is something else, or nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use super::beside::{Beside, complaints};
use crate::harness::cluster::PRIMARY;
use crate::harness::{Daemon, SOON, wait_until};

/// Where one daemon's files belong.
pub(super) struct Place(PathBuf);

impl Place {
    /// Has the daemon write there.
    pub(super) fn of(daemon: &mut Daemon) -> Self {
        let place = Self(daemon.path("place"));
        daemon.config["json_state_file_path"] = json!(place.state());
        daemon.config["alert_file_dir"] = json!(place.alerts());
        place
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    fn alerts(&self) -> PathBuf {
        self.0.join("alerts")
    }

    fn alert(&self) -> PathBuf {
        self.alerts().join("failover_has_happened")
    }

    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.state(), self.alert()]
    }

    pub(super) fn make(&self) {
        fs::create_dir_all(self.alerts()).expect("a directory for the files");
    }

    /// Somebody's file, not to be touched.
    fn victim(&self) -> PathBuf {
        self.0.with_extension("victim")
    }
}

/// What is wrong with a place.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Done before the daemon starts.
    pub(super) spoil: Deed,
    /// The reason in the log as long as it is wrong, of the file PATH. Empty: the daemon itself
    /// puts it right.
    pub(super) reason: &'static str,
    /// Done by a person in the end.
    pub(super) mend: Deed,
}

type Deed = Box<dyn Fn(&Place)>;

pub(super) fn case(
    name: &'static str,
    spoil: impl Fn(&Place) + 'static,
    reason: &'static str,
    mend: impl Fn(&Place) + 'static,
) -> Case {
    Case {
        name,
        spoil: Box::new(spoil),
        reason,
        mend: Box::new(mend),
    }
}

/// What takes the place of a file, given its path and somebody's file, and is replaced by the file,
/// untouched.
fn replaced(name: &'static str, take: fn(&Path, &Path)) -> Case {
    let spoil = move |place: &Place| {
        place.make();
        place
            .files()
            .iter()
            .for_each(|path| take(path, &place.victim()));
    };
    case(name, spoil, "", |_| ())
}

#[test]
fn directories_and_special_files_in_place_of_files_delay_nothing() {
    let cases = [
        case(
            "missing",
            |_| (),
            "cannot create a file for PATH: No such file or directory",
            Place::make,
        ),
        case(
            "below-a-file",
            |place| fs::write(place.dir(), "").unwrap(),
            "cannot create a file for PATH: Not a directory",
            |place| {
                fs::remove_file(place.dir()).unwrap();
                place.make();
            },
        ),
        case(
            "directory",
            |place| {
                place
                    .files()
                    .iter()
                    .for_each(|path| fs::create_dir_all(path).unwrap())
            },
            "cannot write PATH: Is a directory",
            |place| {
                place
                    .files()
                    .iter()
                    .for_each(|path| fs::remove_dir(path).unwrap())
            },
        ),
        replaced("link", |path, victim| symlink(victim, path).unwrap()),
        replaced("dangling", |path, victim| {
            symlink(victim.with_extension("none"), path).unwrap()
        }),
        replaced("loop", |path, _| symlink(path, path).unwrap()),
        replaced("hard-link", |path, victim| {
            fs::hard_link(victim, path).unwrap()
        }),
        replaced("fifo", |path, _| mkfifo(path, Mode::S_IRWXU).unwrap()),
        replaced("socket", |path, _| drop(UnixListener::bind(path).unwrap())),
        replaced("beside", |path, victim| {
            symlink(victim, format!("{}.tmp", path.display())).unwrap()
        }),
    ];
    check(&cases, |_| ());
}

/// Every daemon has a case of its own; `adjust` is given each before its place is spoilt.
pub(super) fn check(cases: &[Case], adjust: impl Fn(&mut Daemon)) {
    let Some(mut beside) = Beside::prepare(cases.iter().map(|case| case.name)) else {
        return;
    };
    let places: Vec<Place> = beside.daemons.iter_mut().map(Place::of).collect();
    for ((case, place), daemon) in cases.iter().zip(&places).zip(&mut beside.daemons) {
        fs::write(place.victim(), VICTIM).unwrap();
        adjust(daemon);
        (case.spoil)(place);
    }
    beside.start();
    beside.watch_and_fail_over(|_| false);
    for ((case, place), daemon) in cases.iter().zip(&places).zip(&beside.daemons) {
        for (key, path) in KEYS.iter().zip(place.files()) {
            let printed = complaints(daemon, key);
            println!(
                "{} {key}: {}",
                case.name,
                printed.first().map_or("no complaint", |line| line.as_str())
            );
            let expected = usize::from(!case.reason.is_empty());
            assert_eq!(printed.len(), expected, "{}: {printed:#?}", case.name);
            let reason = case.reason.replace("PATH", &path.display().to_string());
            assert!(
                printed.iter().all(|line| line.contains(&reason)),
                "{}: {printed:#?} / {reason}",
                case.name
            );
        }
        (case.mend)(place);
    }
    for ((case, place), daemon) in cases.iter().zip(&places).zip(&beside.daemons) {
        wait_until(
            &format!("{}: both files are written", case.name),
            SOON,
            || has_both(place),
        );
        for (key, path) in KEYS.iter().zip(place.files()) {
            let found = fs::symlink_metadata(&path).unwrap();
            assert!(
                found.is_file() && found.nlink() == 1,
                "{}: {}",
                case.name,
                path.display()
            );
            // The process that writes has ended after the file appeared, and is looked after then.
            let again = || {
                daemon
                    .log()
                    .matches(&format!("{key}: written again"))
                    .count()
            };
            wait_until("it is said", SOON, || {
                again() == usize::from(!case.reason.is_empty())
            });
        }
        assert_eq!(
            fs::read_to_string(place.victim()).unwrap(),
            VICTIM,
            "{}",
            case.name
        );
        assert!(
            !place.victim().with_extension("none").exists(),
            "{}: made by way of a link",
            case.name
        );
    }
}

fn has_both(place: &Place) -> bool {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let state: Value = serde_json::from_str(&text(place.state())).unwrap_or_default();
    state["current_master"] == PRIMARY && text(place.alert()).contains("failover_command")
}

const KEYS: [&str; 2] = ["json_state_file_path", "alert_file_dir"];
const VICTIM: &str = "somebody's";
