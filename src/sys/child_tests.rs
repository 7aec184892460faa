//! Real children: what they inherit, and what they cannot do to us.

use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::unistd::Pid;

use super::*;
use crate::sys::clock;

const PATIENCE: Duration = Duration::from_secs(60);

fn start(argv: &[&str]) -> io::Result<Child> {
    Child::start(&Invocation::of(argv), None)
}

/// `cat`, which is given this to read.
fn with_input(input: &[u8]) -> io::Result<Child> {
    let run = Invocation {
        input: Some(input),
        ..Invocation::of(&["cat"])
    };
    Child::start(&run, None)
}

fn sh(script: &str) -> Child {
    start(&["sh", "-c", script]).unwrap()
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let begun = clock::monotonic();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(
            clock::monotonic().since(begun) < PATIENCE,
            "nothing came of it"
        );
        std::thread::yield_now();
    }
}

/// Reads until the child has exited, as the loop does.
fn run(child: &mut Child) -> (ExitStatus, Vec<String>) {
    let mut lines = Vec::new();
    let status = until(|| {
        child.read_output(&mut lines).unwrap();
        child.try_wait().unwrap()
    });
    child.finish(&mut lines);
    (status, lines)
}

fn lines_of(script: &str) -> Vec<String> {
    let (status, lines) = run(&mut sh(script));
    assert!(status.success(), "{status}: {lines:?}");
    lines
}

#[test]
fn both_outputs_and_the_status_come_home() {
    let (status, lines) = run(&mut sh("echo out; echo err >&2; printf last; exit 7"));
    assert_eq!(status.code(), Some(7));
    assert_eq!(lines, ["out", "err", "last"]);
}

#[test]
fn input_is_read_to_its_end_and_must_fit_into_a_pipe() {
    let (_, lines) = run(&mut with_input(b"one\ntwo").unwrap());
    assert_eq!(lines, ["one", "two"]);
    assert!(with_input(&[b'x'; 1 << 20]).is_err());
}

#[test]
fn variables_are_added_to_the_environment() {
    let run_it = Invocation {
        variables: &[("PGLOOKOUT_EVENT", "a b$HOME".to_owned())],
        ..Invocation::of(&["sh", "-c", "echo \"$PGLOOKOUT_EVENT\"; echo ${PATH:+path}"])
    };
    let (_, lines) = run(&mut Child::start(&run_it, None).unwrap());
    assert_eq!(lines, ["a b$HOME", "path"]);
}

#[test]
fn arguments_are_not_seen_by_a_shell() {
    let (_, lines) = run(&mut start(&["echo", "$HOME *", "a  b"]).unwrap());
    assert_eq!(lines, ["$HOME * a  b"]);
}

#[test]
fn what_cannot_be_started_is_an_error_with_the_reason() {
    let check = |argv: &[&str], kind| assert_eq!(start(argv).unwrap_err().kind(), kind, "{argv:?}");
    check(&["/no/such/program"], io::ErrorKind::NotFound);
    check(&["no-such-program-anywhere"], io::ErrorKind::NotFound);
    check(&["/etc/passwd"], io::ErrorKind::PermissionDenied);
    check(&["/etc"], io::ErrorKind::PermissionDenied);
    check(&["with\0nul"], io::ErrorKind::InvalidInput);
    check(&[], io::ErrorKind::InvalidInput);
}

#[test]
fn nothing_of_our_signal_handling_is_inherited() {
    let _signals = crate::sys::signals::Signals::block().unwrap();
    let status = lines_of("exec cat /proc/self/status");
    let bits = |name: &str| {
        let found = status
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        u64::from_str_radix(found.trim_start_matches("\\t"), 16).unwrap()
    };
    assert_eq!(bits("SigBlk:"), 0);
    // Of the real-time signals the C library keeps two to itself, and whoever started the tests may
    // have left them ignored.
    assert_eq!(bits("SigIgn:") & 0x7fff_ffff, 0);
}

#[test]
fn no_descriptor_of_ours_is_inherited() {
    // One that somebody left open for children, as std itself never does.
    let file = std::fs::File::open("/dev/zero").unwrap();
    nix::fcntl::fcntl(
        &file,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let lines = lines_of("exec ls -l /proc/self/fd");
    assert!(
        !lines.iter().any(|line| line.contains("/dev/zero")),
        "{} in {lines:?}",
        file.as_raw_fd()
    );
    // Standard input is /dev/null, both outputs are pipes, and `ls` itself has the directory open.
    assert_eq!(
        lines.iter().filter(|line| line.contains(" -> ")).count(),
        4,
        "{lines:?}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("/dev/null"))
            .count(),
        1,
        "{lines:?}"
    );
}

#[test]
fn without_dev_null_there_is_still_nothing_to_read() {
    for null in ["/dev/null", "/no/such/device"] {
        let cat = Invocation::of(&["cat"]);
        let (status, lines) =
            run(&mut Child::start_reading(&cat, nothing_to_read(null).unwrap(), None).unwrap());
        assert!(
            status.success() && lines.is_empty(),
            "{null}: {status}: {lines:?}"
        );
    }
}

#[test]
fn has_a_process_group_of_its_own_and_the_limit_that_we_were_given() {
    let mut child = sh("ps -o pgid= -p $$");
    let id = child.id();
    assert_eq!(run(&mut child).1.concat().trim(), id.to_string());
    let limit = InheritedLimit {
        soft: 123,
        hard: 456,
    };
    let mut child = Child::start(
        &Invocation::of(&["sh", "-c", "ulimit -Sn; ulimit -Hn"]),
        Some(limit),
    )
    .unwrap();
    assert_eq!(run(&mut child).1, ["123", "456"]);
}

#[test]
fn no_variable_of_the_service_manager_and_no_password_is_passed_on() {
    let command = cleansed("true".as_ref(), None);
    for name in OUR_VARIABLES {
        assert!(
            command
                .get_envs()
                .any(|(key, value)| key == name && value.is_none()),
            "{name}"
        );
    }
}

#[test]
fn a_grandchild_that_keeps_the_pipe_delays_nothing() {
    let mut child = sh("sleep 300 & echo $!; exit 3");
    let (status, lines) = run(&mut child);
    assert_eq!(status.code(), Some(3));
    assert_eq!(
        child.read_output(&mut Vec::new()).unwrap(),
        Reading::Drained
    );
    let grandchild = lines[0].parse().unwrap();
    nix::sys::signal::kill(Pid::from_raw(grandchild), Signal::SIGKILL).unwrap();
    until(|| (child.read_output(&mut Vec::new()).unwrap() == Reading::Ended).then_some(()));
}

#[test]
fn much_output_is_read_in_portions_and_not_kept() {
    let mut child = sh("yes 0123456789 | head -c 20000000");
    let (mut lines, mut status) = (Vec::new(), None);
    until(|| {
        let before = child.tail().1;
        child.read_output(&mut lines).unwrap();
        assert!(child.tail().1 - before <= (READ_BUDGET + READ_BYTES) as u64);
        status = child.try_wait().unwrap();
        status
    });
    // The shell is over and the pipe may still hold what it wrote last.
    child.finish(&mut lines);
    let (tail, dropped) = child.tail();
    assert_eq!(tail.len() as u64 + dropped, 20_000_000);
    assert!(lines.len() < 3_000 && lines.last().is_some_and(|last| last.contains("not shown")));
    assert!(status.is_some_and(|status| status.success()));
}

#[test]
fn one_that_ignores_sigterm_is_ended_by_sigkill_with_all_that_it_started() {
    let mut child = sh("trap '' TERM; sleep 300 & echo ready; while :; do wait; done");
    let mut lines = Vec::new();
    until(|| {
        child.read_output(&mut lines).unwrap();
        (lines == ["ready"]).then_some(())
    });
    child.kill_group(Signal::SIGTERM).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill_group(Signal::SIGKILL).unwrap();
    let status = until(|| child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9));
    until(|| (child.read_output(&mut lines).unwrap() == Reading::Ended).then_some(()));
    child.kill_group(Signal::SIGKILL).unwrap();
}

#[test]
fn is_a_source_of_the_loop() {
    let mut child = sh("echo hello");
    let mut poll = mio::Poll::new().unwrap();
    poll.registry()
        .register(
            &mut SourceFd(&child.as_fd().as_raw_fd()),
            Token(1),
            Interest::READABLE,
        )
        .unwrap();
    let (mut events, mut lines) = (mio::Events::with_capacity(4), Vec::new());
    until(|| {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        (child.read_output(&mut lines).unwrap() == Reading::Ended).then_some(())
    });
    assert_eq!(lines, ["hello"]);
    until(|| child.try_wait().unwrap());
}

#[test]
fn one_that_is_left_can_go_on_printing() {
    let done = std::env::temp_dir().join(format!("pglookout-left-{}", std::process::id()));
    let _ = std::fs::remove_file(&done);
    // It prints more than a pipe holds, and only after we have gone.
    let script = format!(
        "kill -STOP $$; yes | head -c 300000 && echo done >'{}'",
        done.display()
    );
    let child = sh(&script);
    let id = i32::try_from(child.id()).unwrap();
    let stopped = format!("/proc/{id}/stat");
    until(|| {
        std::fs::read_to_string(&stopped)
            .ok()
            .filter(|stat| stat.contains(") T "))
    });
    child.leave().unwrap();
    nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGCONT).unwrap();
    until(|| {
        std::fs::read_to_string(&done)
            .ok()
            .filter(|text| text == "done\n")
    });
    std::fs::remove_file(&done).unwrap();
}
