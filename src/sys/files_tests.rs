//! Files under attack: links, FIFOs, directories and strangers where our files should be.

use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;
use crate::testing::Scratch;

/// A directory of its own, removed with what is in it.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("pglookout-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn with(&self, name: &str, content: &str) -> PathBuf {
        fs::write(self.at(name), content).unwrap();
        self.at(name)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn error(result: io::Result<impl std::fmt::Debug>, path: &Path) -> String {
    let text = result.unwrap_err().to_string();
    assert!(
        text.contains(&*path.to_string_lossy()),
        "does not name its path: {text}"
    );
    text
}

/// What is in the directory.
fn names(room: &Room) -> Vec<String> {
    let entries = fs::read_dir(&room.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_replaced_file_is_whole_and_nothing_stays_beside_it() {
    let room = Room::new("replace");
    let state = room.with("state.json", "a much longer former state");
    replace(&state, b"{}").unwrap();
    assert_eq!(fs::read_to_string(&state).unwrap(), "{}");
    assert_eq!(
        fs::metadata(&state).unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert_eq!(names(&room), ["state.json"]);
}

#[test]
fn what_is_in_the_place_of_a_file_is_replaced_and_never_opened() {
    let room = Room::new("replace-attack");
    let victim = room.with("victim", "precious");
    fs::hard_link(room.with("other", "precious"), room.at("hard")).unwrap();
    symlink(&victim, room.at("link")).unwrap();
    symlink(room.at("not-there"), room.at("dangling")).unwrap();
    mkfifo(&room.at("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let _reader = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(room.at("fifo"))
        .unwrap();
    for name in ["hard", "link", "dangling", "fifo"] {
        replace(&room.at(name), b"ours").unwrap();
        assert!(
            fs::symlink_metadata(room.at(name)).unwrap().is_file(),
            "{name}"
        );
        assert_eq!(fs::read_to_string(room.at(name)).unwrap(), "ours", "{name}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read_to_string(room.at("other")).unwrap(), "precious");
    assert!(!room.at("not-there").exists());
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_with_its_path_and_leaves_nothing() {
    let room = Room::new("replace-refused");
    error(
        replace(&room.at("no/such/state.json"), b"1"),
        &room.at("no/such/state.json"),
    );
    fs::create_dir_all(room.at("directory")).unwrap();
    error(replace(&room.at("directory"), b"1"), &room.at("directory"));
    assert_eq!(names(&room), ["directory"]);
    let is_unpredictable = |name: &str| beside(&room.at(name)) != beside(&room.at(name));
    assert!(is_unpredictable("state.json"));
}

#[test]
fn a_file_is_synced_where_it_is_one() {
    let room = Room::new("synced");
    assert!(sync(&room.with("file", "content")).is_ok());
    let absent = room.at("absent");
    assert!(error(sync(&absent), &absent).contains("No such file"));
}

#[test]
fn only_a_file_is_removed() {
    let room = Room::new("remove");
    let victim = room.with("victim", "precious");
    symlink(&victim, room.at("link")).unwrap();
    symlink(room.at("not-there"), room.at("dangling")).unwrap();
    mkfifo(&room.at("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::create_dir_all(room.at("directory")).unwrap();
    for name in ["link", "dangling", "fifo", "directory"] {
        error(remove(&room.at(name)), &room.at(name));
        assert!(
            fs::symlink_metadata(room.at(name)).is_ok(),
            "{name} was removed"
        );
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    for _ in 0..2 {
        remove(&victim).unwrap();
        assert!(!victim.exists());
    }
    remove(&room.at("no/such/file")).unwrap();
}

#[test]
fn whatever_exists_under_its_name_is_a_maintenance_file() {
    let room = Room::new("exists");
    let file = room.with("file", "");
    symlink(&file, room.at("link")).unwrap();
    symlink(room.at("not-there"), room.at("dangling")).unwrap();
    symlink(room.at("loop"), room.at("loop")).unwrap();
    let check = |name: &str, expected: Option<bool>| {
        assert_eq!(exists(&room.at(name)).ok(), expected, "{name}")
    };
    check("file", Some(true));
    check("link", Some(true));
    check("", Some(true));
    check("dangling", Some(false));
    check("not-there", Some(false));
    check("file/below", Some(false));
    check("loop", None);
}

#[test]
fn reads_regular_files_up_to_the_limit() {
    let room = Room::new("read");
    let file = room.with("file", "12345");
    assert_eq!(read_small(&file, 5).unwrap(), b"12345");
    assert!(error(read_small(&file, 4), &file).contains("larger than 4 bytes"));
    symlink(&file, room.at("link")).unwrap();
    assert_eq!(read_small(&room.at("link"), 5).unwrap(), b"12345");
    error(read_own(&room.at("link"), 5), &room.at("link"));
    mkfifo(&room.at("fifo"), Mode::S_IRUSR).unwrap();
    error(read_small(&room.at("fifo"), 5), &room.at("fifo"));
    error(read_small(&room.0, 5), &room.0);
    error(read_small(&room.at("not-there"), 5), &room.at("not-there"));
    assert!(read_small(Path::new("/dev/zero"), 5).is_err());
}

#[test]
fn our_own_memory_is_not_taken_from_a_stranger() {
    let room = Room::new("read-own");
    let file = room.with("file", "12345");
    assert_eq!(read_own(&file, 5).unwrap(), b"12345");
    if geteuid().is_root() {
        nix::unistd::chown(&file, Some(4321.into()), None).unwrap();
        assert!(error(read_own(&file, 5), &file).contains("another user"));
    }
}

#[test]
fn a_private_key_must_be_its_owners_alone() {
    let room = Room::new("key");
    let key = room.with("key", "secret");
    let is_root = geteuid().is_root();
    for (mode, expected) in [
        (0o600, true),
        (0o400, true),
        (0o640, is_root),
        (0o660, false),
        (0o604, false),
    ] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let read = read_key(&key, 100);
        assert_eq!(read.is_ok(), expected, "{mode:o}: {read:?}");
    }
    let text = error(read_key(&key, 100), &key);
    assert!(
        text.contains("others may read it (mode 0604); expected 0600"),
        "{text}"
    );
    assert!(!text.contains("secret"));
}

#[track_caller]
fn check(path: &Path, expected: Result<&str, &str>) {
    let read = read_text(path, 8).map_err(|error| error.to_string());
    let expected = expected
        .map(str::to_owned)
        .map_err(|reason| format!("{}: {reason}", path.display()));
    assert_eq!(read, expected);
}

#[test]
fn reads_regular_files_of_limited_size_only() {
    let scratch = Scratch::new("kinds");
    check(&scratch.file(b"12345678", 0o644), Ok("12345678"));
    check(
        &scratch.file(b"123456789", 0o644),
        Err("longer than 8 bytes"),
    );
    check(&scratch.file(b"ab\xff", 0o644), Err("not UTF-8 at byte 2"));
    check(&scratch.0, Err("not a regular file"));
    check(
        &scratch.0.join("none"),
        Err("No such file or directory (os error 2)"),
    );
    let fifo = scratch.0.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check(&fifo, Err("not a regular file"));
}

#[test]
fn a_directory_is_read_file_by_file() {
    let scratch = Scratch::new("bundle");
    let room = &scratch.0;
    fs::create_dir_all(room.join("below")).unwrap();
    fs::write(room.join("a.pem"), "a").unwrap();
    fs::write(room.join("b.0"), "b").unwrap();
    let mut text = String::from_utf8(read_bundle(room).unwrap()).unwrap();
    assert_eq!(text.len(), 4);
    text.retain(|letter| letter != '\n');
    assert!(text == "ab" || text == "ba", "{text}");
    fs::File::create(room.join("huge"))
        .and_then(|file| file.set_len(1 << 30))
        .unwrap();
    assert!(
        read_bundle(room)
            .unwrap_err()
            .to_string()
            .contains("is larger than")
    );
}
