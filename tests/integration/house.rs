//! The rules of the house, read from the tree itself: which room may import which, what pure rooms
//! must not name, where `unsafe` may stand, which words belong to the wire, how long a file and a
//! function may be, which files import each other; and that the manual knows every key.
//!
//! `cargo test --test integration -- house::sizes --nocapture` prints how large the tree is.
//!
//! Each rule is a function from a file to complaints, so that each is also shown a line that breaks
//! it.

mod circles;
mod manual;
mod size;
mod source;

use std::fs;
use std::path::Path;

use size::{Function, functions, lines, percentile, public_items};
use source::{Source, names, paths};

/// Every room, in reading order, and the rooms above it that it may import. A room imports as
/// little as it can; what is less than obvious has its reason.
const ROOMS: [(&str, &[&str]); 18] = [
    ("time", &[]),
    ("config", &[]),
    ("cluster", &["time", "config"]),
    // Who may be promoted in which term, by agreement of a majority.
    ("votes", &["time", "config", "cluster"]),
    ("failover", &["time", "config", "cluster", "votes"]),
    (
        "lookout",
        &["time", "config", "cluster", "votes", "failover"],
    ),
    // Facts, events and decisions are the core's; how they are written and read is here.
    (
        "format",
        &["time", "config", "cluster", "votes", "failover", "lookout"],
    ),
    (
        "replay",
        &["time", "config", "cluster", "failover", "lookout", "format"],
    ),
    // What is shown to operators, in one value.
    (
        "status",
        &[
            "time", "config", "cluster", "votes", "failover", "lookout", "format",
        ],
    ),
    // Every daemon of a cluster, in a world of its own making, told as timelines.
    (
        "simulation",
        &[
            // A vote file is torn, and read again, as it is written.
            "time", "config", "cluster", "votes", "failover", "lookout", "format", "replay",
        ],
    ),
    // Whatever polls others reports in cluster's types.
    ("pg", &["time", "config", "cluster"]),
    ("http", &["time", "cluster"]),
    ("dns", &["time"]),
    // What the configuration demands of an encrypted connection.
    ("tls", &["time", "config"]),
    ("sys", &["time"]),
    // Socket options and descriptors are system calls. Encryption is part of a link.
    ("net", &["time", "tls", "sys"]),
    // Where facts and wishes meet the world: it knows everybody but the command line.
    (
        "daemon",
        &[
            "time", "config", "cluster", "votes", "failover", "lookout", "format", "status",
            "replay", "pg", "http", "dns", "tls", "sys", "net",
        ],
    ),
    // `explain` asks a daemon for its decisions.
    (
        "cli",
        &[
            "time",
            "config",
            "votes",
            "format",
            "status",
            "replay",
            "simulation",
            "http",
            "dns",
            "sys",
            "daemon",
        ],
    ),
];

/// Rooms of facts in and values out.
const PURE: [&str; 14] = [
    "time",
    "config",
    "cluster",
    "votes",
    "failover",
    "lookout",
    "format",
    "replay",
    "simulation",
    "status",
    "pg",
    "http",
    "dns",
    "tls",
];

/// What of std is the world. Addresses are values, so of `net` only what opens or looks something
/// up.
const WORLDLY: [&str; 10] = [
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::net::*",
];

/// Names that have no place in a pure room, wherever they come from.
const WORLDLY_NAMES: [&str; 5] = ["mio", "nix", "libc", "Instant", "elapsed"];

/// Rooms that speak the wire's words: what is served and stored, the mirror of the configuration
/// file, timelines.
const WIRE: [&str; 2] = ["format", "config"];

/// The second executable's name, where it is made.
const EXECUTABLE: [&str; 3] = [
    "current_master",
    "current_master_main",
    "pglookout_current_master",
];

const MOST_LINES: usize = 500;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Lines of a function, from its `fn` to its closing brace.
const LONGEST_FUNCTION: usize = 70;
/// Half of all functions are no longer than this.
const MEDIAN_FUNCTION: usize = 9;
/// Nine out of ten functions are no longer than this.
const P90_FUNCTION: usize = 26;

/// Functions that are longer still. One that has become short enough leaves the table.
const LONG_FUNCTIONS: [(&str, &str); 0] = [];

fn imports(file: &Source) -> Vec<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == file.room()) else {
        return vec![format!("{}: the room is not in the table", file.path)];
    };
    let mut complaints = Vec::new();
    for path in paths(&file.code, "crate") {
        let room = path[1].as_str();
        // `testing` is compiled into unit tests alone.
        if room != file.room() && room != "testing" && !allowed.contains(&room) {
            complaints.push(format!(
                "{}: {} must not import {room}",
                file.path,
                file.room()
            ));
        }
    }
    for chain in paths(&file.production, "super") {
        let steps = chain.iter().take_while(|name| *name == "super").count();
        if steps >= file.depth() {
            complaints.push(format!(
                "{}: leaves its room by super; write crate::",
                file.path
            ));
        }
    }
    complaints
}

fn purity(file: &Source) -> Vec<String> {
    if !PURE.contains(&file.room()) {
        return Vec::new();
    }
    let written = paths(&file.production, "std")
        .into_iter()
        .map(|path| path.join("::"));
    let is_worldly = |path: &String| {
        let below = |world: &&str| {
            path.strip_prefix(*world)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        WORLDLY.iter().any(below) || path.ends_with("SystemTime::now") || path == "std::*"
    };
    let mut found: Vec<String> = written.filter(is_worldly).collect();
    found.extend(
        names(&file.production)
            .filter(|name| WORLDLY_NAMES.contains(name))
            .map(str::to_owned),
    );
    found.extend(
        paths(&file.production, "SystemTime")
            .iter()
            .filter(|path| path[1] == "now")
            .map(|path| path.join("::")),
    );
    found
        .into_iter()
        .map(|name| format!("{}: {} is pure, and names {name}", file.path, file.room()))
        .collect()
}

fn safety(file: &Source) -> Vec<String> {
    let is_unsafe = names(&file.code).any(|name| matches!(name, "unsafe" | "unsafe_code"));
    if file.room() == "sys" || !is_unsafe {
        return Vec::new();
    }
    vec![format!("{}: unsafe, outside of sys", file.path)]
}

fn wording(file: &Source) -> Vec<String> {
    if WIRE.contains(&file.room()) {
        return Vec::new();
    }
    let may_name_executable = matches!(file.room(), "cli" | "bin");
    // A comment may quote a name of the wire, in backticks.
    let unquoted: String = file
        .words
        .split('\n')
        .flat_map(|line| line.split('`').step_by(2).chain(["\n"]))
        .collect();
    let is_old = |name: &&str| {
        let spaced: String = name
            .chars()
            .map(|c| {
                if c.is_uppercase() {
                    format!("_{c}")
                } else {
                    c.to_string()
                }
            })
            .collect();
        let old = |word: &str| matches!(word, "master" | "masters" | "xlog" | "xlogs");
        let lower = [name.to_lowercase(), spaced.to_lowercase()];
        lower.iter().any(|name| name.split('_').any(old))
            && !(may_name_executable && EXECUTABLE.contains(name))
    };
    let found = names(&file.production)
        .chain(names(&unquoted))
        .filter(is_old);
    found
        .map(|name| format!("{}: {name} is a word of the wire: primary, WAL", file.path))
        .collect()
}

fn length(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count();
    if lines <= MOST_LINES || LONG_FILES.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    vec![format!(
        "{}: {lines} lines, {MOST_LINES} are enough for one concept",
        file.path
    )]
}

fn function_length(file: &Source) -> Vec<String> {
    let is_known = |function: &Function| {
        LONG_FUNCTIONS.contains(&(function.path.as_str(), function.name.as_str()))
    };
    functions(file)
        .iter()
        .filter(|function| (function.lines > LONGEST_FUNCTION) != is_known(function))
        .map(|function| {
            format!(
                "{}: fn {} has {} lines, {LONGEST_FUNCTION} are enough; the table of exceptions has to say as much",
                function.path, function.name, function.lines
            )
        })
        .collect()
}

/// Every file below `src/`, by path; those that are compiled for tests alone are left out.
fn tree() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let test_modules: Vec<String> = files.iter().flat_map(Source::test_modules).collect();
    let is_test = |path: &str| {
        path.ends_with("_tests.rs")
            || test_modules.iter().any(|module| {
                path == format!("{module}.rs") || path.starts_with(&format!("{module}/"))
            })
    };
    files.retain(|file| !is_test(&file.path));
    files
}

/// The crate's roots belong to no room; everything else does.
fn is_in_a_room(file: &Source) -> bool {
    !matches!(file.path.as_str(), "src/lib.rs" | "src/main.rs")
        && !file.path.starts_with("src/bin/")
}

#[track_caller]
fn holds(rule: fn(&Source) -> Vec<String>, concerns: fn(&Source) -> bool) {
    let files = tree();
    assert!(files.len() > 60, "only {} files were found", files.len());
    let complaints: Vec<String> = files
        .iter()
        .filter(|file| concerns(file))
        .flat_map(rule)
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The rule speaks up for each of `bad` and is silent for each of `good`: path and text.
#[track_caller]
fn proves(rule: fn(&Source) -> Vec<String>, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        assert!(
            !rule(&Source::new(path, text)).is_empty(),
            "not noticed: {path}: {text}"
        );
    }
    for (path, text) in good {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "{path}: {text}");
    }
}

#[test]
fn imports_run_one_way() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        let above: Vec<&str> = ROOMS[..at].iter().map(|(room, _)| *room).collect();
        assert!(
            allowed.iter().all(|import| above.contains(import)),
            "the table lets {room} import what is below it"
        );
    }
    holds(imports, is_in_a_room);
    proves(
        imports,
        &[
            ("src/failover/x.rs", "use crate::pg::Session;"),
            ("src/pg/x.rs", "use crate::{cluster::Lsn, net::{Link}};"),
            (
                "src/pg/x.rs",
                "use crate::{\n    cluster::{self as c, Lsn},\n    sys,\n};",
            ),
            ("src/cluster/x.rs", "fn f() { crate::lookout::f() }"),
            (
                "src/cluster/x.rs",
                "#[cfg(test)]\nmod tests {\n    use crate::daemon;\n}",
            ),
            ("src/cluster/mod.rs", "use super::pg;"),
            ("src/cluster/x.rs", "use super::super::pg;"),
            ("src/time.rs", "use super::config;"),
            ("src/time.rs", "use crate::*;"),
            ("src/util/x.rs", ""),
        ],
        &[
            (
                "src/pg/x.rs",
                "use crate::{cluster::Lsn, time};\nuse super::wire; // crate::net::Link",
            ),
            (
                "src/pg/x/y.rs",
                "use super::super::z; const T: &str = \"crate::net::x\"; const C: char = '\"'; fn f<'a>() {}",
            ),
            (
                "src/cluster/x.rs",
                "pub(crate) fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::testing::mutations;\n}",
            ),
        ],
    );
}

#[test]
fn pure_rooms_name_nothing_of_the_world() {
    holds(purity, is_in_a_room);
    proves(
        purity,
        &[
            ("src/http/x.rs", "use std::fs;"),
            ("src/http/x.rs", "use std::{fmt, fs::File};"),
            (
                "src/http/x.rs",
                "use std::{\n    io::{self, Read},\n    process,\n};",
            ),
            ("src/config/x.rs", "fn f() { std::env::var(\"X\"); }"),
            ("src/pg/x.rs", "use std::os::fd::AsRawFd;"),
            ("src/pg/x.rs", "use std::net::{IpAddr, TcpStream};"),
            ("src/dns/x.rs", "use std::net::ToSocketAddrs;"),
            ("src/lookout/x.rs", "use std::time::Instant;"),
            ("src/lookout/x.rs", "let t = time::Instant::now();"),
            ("src/lookout/x.rs", "let t = SystemTime::now();"),
            ("src/lookout/x.rs", "let t = std::time::SystemTime::now();"),
            ("src/replay/x.rs", "use mio::Token;"),
            ("src/cluster/x.rs", "let e = libc::EINTR;"),
            ("src/cluster/x.rs", "use nix as n;"),
            ("src/time.rs", "std::thread::yield_now();"),
        ],
        &[
            ("src/sys/x.rs", "use std::fs; use libc::EINTR;"),
            (
                "src/http/x.rs",
                "use std::net::IpAddr; use std::time::{Duration, SystemTime}; use std::fmt;",
            ),
            (
                "src/http/x.rs",
                "// std::fs\nconst T: &str = r#\"std::fs \" libc\"#;",
            ),
            (
                "src/http/x.rs",
                "#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
            ),
        ],
    );
}

#[test]
fn unsafe_is_for_sys_alone() {
    holds(safety, |_| true);
    proves(
        safety,
        &[
            ("src/net/x.rs", "fn f() { unsafe { g() } }"),
            ("src/http/x.rs", "#![allow(unsafe_code)]"),
            (
                "src/http/x.rs",
                "#[cfg(test)]\nmod tests {\n    unsafe fn f() {}\n}",
            ),
        ],
        &[
            ("src/sys/x.rs", "unsafe fn f() {}"),
            (
                "src/net/x.rs",
                "// unsafe\n/* unsafe /* */ unsafe */ const T: &str = \"unsafe\";",
            ),
        ],
    );
}

#[test]
fn words_of_the_wire_stay_there() {
    holds(wording, |_| true);
    proves(
        wording,
        &[
            ("src/failover/x.rs", "let master = 1;"),
            ("src/failover/x.rs", "struct OldMaster;"),
            ("src/failover/x.rs", "fn xlog_position() {}"),
            ("src/failover/x.rs", "const CURRENT_MASTER: u8 = 1;"),
            ("src/failover/x.rs", "/// The master."),
            (
                "src/pg/x.rs",
                "const Q: &str = \"SELECT pg_last_xlog_receive_location()\";",
            ),
            ("src/cli/x.rs", "fn master() {}"),
        ],
        &[
            ("src/format/x.rs", "const KEY: &str = \"current_master\";"),
            (
                "src/failover/x.rs",
                "/// `current_master`: the primary, of which the postmaster is the first process.",
            ),
            ("src/cli/x.rs", "mod current_master;"),
            (
                "src/pg/x.rs",
                "#[cfg(test)]\nmod tests {\n    fn master() {}\n}",
            ),
        ],
    );
}

#[test]
fn no_file_is_too_long() {
    assert!(
        LONG_FILES.iter().all(
            |(path, reason)| tree().iter().any(|file| file.path == *path) && !reason.is_empty()
        )
    );
    holds(length, |_| true);
    proves(
        length,
        &[("src/cluster/x.rs", &"\n".repeat(MOST_LINES + 1))],
        &[("src/cluster/x.rs", &"\n".repeat(MOST_LINES))],
    );
}

#[test]
fn no_function_is_too_long() {
    let is_known = |(path, name): &(&str, &str)| {
        let mut files = tree().into_iter().filter(|file| file.path == *path);
        files.any(|file| {
            functions(&file)
                .iter()
                .any(|function| function.name == *name)
        })
    };
    assert!(LONG_FUNCTIONS.iter().all(is_known));
    holds(function_length, |_| true);
    let of_lines = |lines: usize| format!("fn f() {{\n{}}}\n", "g();\n".repeat(lines - 2));
    let (long, enough) = (of_lines(LONGEST_FUNCTION + 1), of_lines(LONGEST_FUNCTION));
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    let for_tests = format!("#[cfg(test)]\n#[must_use]\npub {long}");
    let texts = format!(
        "fn f() -> [u8; 2] {{ \"}}{{\" }} // {{\n{}",
        "\n".repeat(70)
    );
    let bodiless = format!(
        "trait T {{ fn f(); }}\nstruct S {{ a: fn (), b: u8 }}{}",
        "\n".repeat(70)
    );
    proves(
        function_length,
        &[
            ("src/cluster/x.rs", &long),
            (
                "src/cluster/x.rs",
                &format!("impl X {{\n    pub(super) const {long}}}"),
            ),
            ("src/cluster/x.rs", &format!("fn g() {{ {long} }}")),
        ],
        &[
            ("src/cluster/x.rs", &enough),
            ("src/cluster/x.rs", &in_tests),
            ("src/cluster/x.rs", &for_tests),
            ("src/cluster/x.rs", &texts),
            ("src/cluster/x.rs", &bodiless),
        ],
    );
}

/// Also prints the figures, in all and by room.
#[test]
fn sizes_of_functions_are_small_on_the_whole() {
    let files = tree();
    let mut sizes: Vec<usize> = files
        .iter()
        .flat_map(functions)
        .map(|one| one.lines)
        .collect();
    sizes.sort_unstable();
    let [median, p90, p99] = [50, 90, 99].map(|percent| percentile(&sizes, percent));
    let figures = |name: &str, files: &[&Source]| {
        let sum = |of: fn(&Source) -> usize| files.iter().map(|file| of(file)).sum::<usize>();
        println!(
            "{name:12} {:6} production lines {:4} files {:4} pub items",
            sum(lines),
            files.len(),
            sum(public_items)
        );
    };
    for (room, _) in ROOMS {
        let in_room: Vec<_> = files.iter().filter(|file| file.room() == room).collect();
        figures(room, &in_room);
    }
    figures("in all", &files.iter().collect::<Vec<_>>());
    println!(
        "{} functions: median {median}, p90 {p90}, p99 {p99}, longest {} lines",
        sizes.len(),
        sizes.last().unwrap()
    );
    assert!(
        sizes.len() > 1_000,
        "only {} functions were found",
        sizes.len()
    );
    assert!(
        median <= MEDIAN_FUNCTION && p90 <= P90_FUNCTION,
        "functions grow: {median} {p90}"
    );
}

#[test]
fn files_of_tests_are_distinguished_from_the_others() {
    let tests = |path, text| Source::new(path, text).test_modules();
    assert_eq!(
        tests("src/pg/mod.rs", "mod a;\n#[cfg(test)]\nmod wire;\nmod b;"),
        ["src/pg/wire"]
    );
    assert_eq!(
        tests("src/pg/session.rs", "#[cfg(test)]\nmod tests;"),
        ["src/pg/session/tests"]
    );
    assert_eq!(
        tests("src/lib.rs", "#[cfg(test)]\nmod testing;"),
        ["src/testing"]
    );
    assert_eq!(
        tests(
            "src/pg/x.rs",
            "#[cfg(test)]\nmod tests {\n    fn f();\n}\n// #[cfg(test)] mod y;"
        ),
        [""; 0]
    );
    let paths: Vec<String> = tree().into_iter().map(|file| file.path).collect();
    assert!(
        paths.contains(&"src/pg/session.rs".to_owned())
            && !paths.contains(&"src/pg/session/tests.rs".to_owned())
    );
}

/// What stands in quotes in the file at `path` between `begin` and `end`.
pub(crate) fn quoted(path: &str, begin: &str, end: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let part = text
        .split_once(begin)
        .and_then(|(_, part)| part.split_once(end))
        .unwrap()
        .0;
    part.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_manual_knows_every_key_and_alert() {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let keys = quoted("src/config/render.rs", "fn keys(", "\n}\n");
    let alerts = quoted("src/format/names.rs", "match alert {", "    }");
    assert!(keys.len() > 30 && alerts.len() > 4, "{keys:?} {alerts:?}");
    let rows: String = manual
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    let missing: Vec<_> = keys
        .iter()
        .chain(&alerts)
        .filter(|name| !rows.contains(&format!("`{name}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in a table of README.md: {missing:?}"
    );
}
