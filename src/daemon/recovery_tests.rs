//! Data directories as they are found: versions, links, owners, leftovers, damage.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

use super::*;

const AT: WallTime = WallTime::from_unix_micros(1_704_067_200_000_000);
const OLD: &str = "work_mem = '4MB'\nprimary_conninfo = 'host=h1'\n";
const NEW: &str = "# pglookout updated primary_conninfo for instance m2 at 2024-01-01T00:00:00Z
work_mem = '4MB'
primary_conninfo = 'user=r password=''it\\\\''s a\\\\\\\\b'' host=h2'
recovery_target_timeline = 'latest'
";

/// A data directory of its own, removed with what is in it.
struct Data(PathBuf);

impl Data {
    fn of(name: &str, version: &str, files: &[(&str, &str)]) -> Self {
        let path =
            std::env::temp_dir().join(format!("pglookout-recovery-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("PG_VERSION"), version).unwrap();
        files
            .iter()
            .for_each(|(name, content)| fs::write(path.join(name), content).unwrap());
        Self(path)
    }

    /// A standby of version 15.
    fn standby(name: &str) -> Self {
        Self::of(
            name,
            "15\n",
            &[("standby.signal", ""), ("postgresql.auto.conf", OLD)],
        )
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.at("postgresql.auto.conf")).unwrap()
    }

    fn prepare(&self) -> Prepared {
        prepare_in(&self.0)
    }

    /// It fails for this reason and leaves everything as it was.
    #[track_caller]
    fn refuses(&self, reason: &str) {
        let names = || {
            fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect::<Vec<_>>()
        };
        let before = names();
        let Prepared::Failed(text) = self.prepare() else {
            panic!("it was done")
        };
        assert_eq!(text, format!("{}: {reason}", self.0.display()));
        assert_eq!(names(), before);
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn prepare_in(path: &Path) -> Prepared {
    let conninfo = Keywords::parse(r"user=r password='it\'s a\\b' host=h2").unwrap();
    let job = Job {
        data_directory: path.to_owned(),
        primary: "m2".to_owned(),
        conninfo: conninfo.to_conninfo_string(),
    };
    let input = serde_json::to_vec(&job).unwrap();
    let prepared = prepare(&serde_json::from_slice(&input).unwrap(), AT);
    let printed = serde_json::to_vec(&prepared).unwrap();
    assert_eq!(
        serde_json::from_slice::<Prepared>(&printed).unwrap(),
        prepared
    );
    prepared
}

#[test]
fn settings_are_rewritten_once() {
    let data = Data::standby("once");
    assert_eq!(data.prepare(), Prepared::Changed);
    assert_eq!(data.settings(), NEW);
    assert_eq!(data.prepare(), Prepared::Unchanged);
    assert_eq!(data.settings(), NEW);
    assert_eq!(
        fs::read_dir(&data.0).unwrap().count(),
        3,
        "nothing is left beside it"
    );
}

#[test]
fn the_version_decides_where_they_are() {
    for version in ["9.6\n", "10\n", "11\n"] {
        let data = Data::of(
            "old",
            version,
            &[("recovery.conf", OLD), ("postgresql.auto.conf", "x")],
        );
        assert_eq!(data.prepare(), Prepared::Changed);
        assert_eq!(fs::read_to_string(data.at("recovery.conf")).unwrap(), NEW);
        assert_eq!(data.settings(), "x");
    }
}

#[test]
fn owner_and_mode_stay() {
    let data = Data::standby("owner");
    let path = data.at("postgresql.auto.conf");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let owner = if Uid::effective().is_root() {
        (12_345, 54_321)
    } else {
        (Uid::effective().as_raw(), nix::unistd::getegid().as_raw())
    };
    std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).unwrap();
    assert_eq!(data.prepare(), Prepared::Changed);
    let found = fs::metadata(&path).unwrap();
    assert_eq!(
        (found.mode() & 0o7777, found.uid(), found.gid()),
        (0o640, owner.0, owner.1)
    );
}

#[test]
fn the_directory_may_be_a_link() {
    let data = Data::standby("target");
    let link = data.0.with_extension("link");
    symlink(&data.0, &link).unwrap();
    assert_eq!(prepare_in(&link), Prepared::Changed);
    fs::remove_file(link).unwrap();
    assert_eq!(data.settings(), NEW);
}

#[test]
fn what_is_no_standby_is_left_alone() {
    let check = |version: &str, files: &[(&str, &str)], missing: &str| {
        let data = Data::of("primary", version, files);
        let reason = format!("there is no {missing} in {}", data.0.display());
        assert_eq!(data.prepare(), Prepared::NotAStandby(reason));
        files.iter().for_each(|(name, content)| {
            assert_eq!(fs::read_to_string(data.at(name)).unwrap(), *content)
        });
    };
    check("15\n", &[("postgresql.auto.conf", OLD)], "standby.signal");
    check(
        "15\n",
        &[
            ("postgresql.auto.conf", OLD),
            ("recovery.signal", ""),
            ("recovery.conf", ""),
        ],
        "standby.signal",
    );
    check(
        "11\n",
        &[("postgresql.auto.conf", OLD), ("recovery.done", OLD)],
        "recovery.conf",
    );
}

#[test]
fn what_cannot_be_used_is_left_alone() {
    Data::of("garbage", "abc\n", &[("standby.signal", "")]).refuses("PG_VERSION holds no version");
    Data::of("absent", "15\n", &[("standby.signal", "")])
        .refuses("postgresql.auto.conf: ENOENT: No such file or directory");
    let large = "#".repeat(1024 * 1024 + 1);
    Data::of(
        "large",
        "15\n",
        &[("standby.signal", ""), ("postgresql.auto.conf", &large)],
    )
    .refuses("postgresql.auto.conf: is larger than 1048576 bytes");
    let Prepared::Failed(_) = prepare_in(Path::new("/no/such/directory")) else {
        panic!("done")
    };
}

#[test]
fn links_and_fifos_are_neither_followed_nor_waited_for() {
    let data = Data::standby("link");
    let (path, elsewhere) = (data.at("postgresql.auto.conf"), data.at("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    data.refuses("postgresql.auto.conf: is a symbolic link");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), OLD);
    fs::remove_file(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    data.refuses("postgresql.auto.conf: is not a regular file");
}

#[test]
fn a_link_in_the_place_of_the_temporary_file_is_removed() {
    let data = Data::standby("planted");
    let victim = data.at("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, data.at("postgresql.auto.conf.pglookout")).unwrap();
    assert_eq!(data.prepare(), Prepared::Changed);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(data.settings(), NEW);
    assert!(
        fs::symlink_metadata(data.at("postgresql.auto.conf"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn a_directory_in_the_place_of_the_temporary_file_is_an_error() {
    let data = Data::standby("blocked");
    fs::create_dir(data.at("postgresql.auto.conf.pglookout")).unwrap();
    data.refuses("postgresql.auto.conf.pglookout: EISDIR: Is a directory");
    assert_eq!(data.settings(), OLD);
}

#[test]
fn a_concurrent_change_is_noticed() {
    let data = Data::standby("race");
    let directory = File::open(&data.0).unwrap();
    let (old, _) = read(&directory, "postgresql.auto.conf", SETTINGS_BYTES).unwrap();
    fs::write(data.at("theirs"), "theirs").unwrap();
    fs::rename(data.at("theirs"), data.at("postgresql.auto.conf")).unwrap();
    assert!(replace(&directory, "postgresql.auto.conf", &old, b"ours").is_err());
    assert_eq!(data.settings(), "theirs");
    assert!(!data.at("postgresql.auto.conf.pglookout").exists());
}
