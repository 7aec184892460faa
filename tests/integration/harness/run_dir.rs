//! The directory of one run, what is known by lying in it, and the sweeper that clears it away
//! however the run ends.
//!
//! Every process that a test starts has its working directory below the run's directory. That is
//! how they are found again: PostgreSQL's children leave their process group and overwrite their
//! environment, but stay where they are.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{pause, wait_until};

/// What names of this run begin with: namespaces, the directory.
pub(crate) fn prefix() -> String {
    format!("pglookout-test-{}", std::process::id())
}

/// The directory of this run; made, and given its sweeper, at the first call.
pub(crate) fn run_dir() -> &'static Path {
    static RUN: OnceLock<(PathBuf, ChildStdin)> = OnceLock::new();
    &RUN.get_or_init(|| {
        let path = std::env::temp_dir().join(prefix());
        fs::create_dir_all(&path).expect("a directory for this run");
        let sweeper = start_sweeper(&path);
        (path, sweeper)
    })
    .0
}

/// A directory of its own for one test; removed when dropped, with every process in it.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = run_dir().join(format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).expect("a directory for this test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        kill_all_in(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Processes whose working directory is `dir` or below it.
pub(crate) fn processes_in(dir: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
        })
        .map(Pid::from_raw)
        .collect()
}

/// Sends `signal` to every process in `dir`, and again to those that were born meanwhile.
pub(crate) fn signal_all_in(dir: &Path, signal: Signal) {
    let mut known: Vec<Pid> = Vec::new();
    loop {
        let born: Vec<Pid> = processes_in(dir)
            .into_iter()
            .filter(|pid| !known.contains(pid))
            .collect();
        if born.is_empty() {
            return;
        }
        for pid in &born {
            let _ = kill(*pid, signal);
        }
        known.extend(born);
    }
}

/// Kills every process in `dir` and waits until none is left. The caller reaps those that are its
/// own children.
pub(crate) fn kill_all_in(dir: &Path) {
    let end = Instant::now() + Duration::from_secs(5);
    while !processes_in(dir).is_empty() && Instant::now() < end {
        signal_all_in(dir, Signal::SIGKILL);
        pause(5);
    }
}

/// Removes the small System V segment by which PostgreSQL guards a data directory; a killed server
/// leaves it behind.
pub(crate) fn remove_shared_memory(data: &Path) {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let id = text
        .lines()
        .nth(6)
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|id| id.parse().ok());
    if let Some(id) = id {
        // SAFETY: IPC_RMID takes no buffer; a segment that is gone already is an error that is
        // ignored.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// A program that ends with the test.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Runs a program to its end; what it printed if that went well, what it complained of otherwise.
pub(crate) fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!(
        "{:?}: {}: {complaint}",
        command.get_program(),
        output.status
    )))
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .map(|line| format!("    {line}\n"))
        .collect()
}

/// A shell that waits for the end of this process, however it comes, and clears away what is left.
fn start_sweeper(path: &Path) -> ChildStdin {
    let mut command = Command::new("sh");
    command
        .args(["-c", SWEEPER, "sweeper"])
        .arg(path)
        .arg(prefix());
    command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its own process group: what the terminal sends to the tests (Ctrl-C) must not end it.
    let mut child = command.process_group(0).spawn().expect("sh");
    let stdin = child.stdin.take().expect("a pipe to the sweeper");
    wait_until("the sweeper runs", Duration::from_secs(5), || {
        matches!(child.try_wait(), Ok(None))
    });
    stdin
}

const SWEEPER: &str = r#"
cat >/dev/null
for round in 1 2 3; do
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd")" in "$1"|"$1"/*) kill -9 "${process#/proc/}" ;; esac
    done
    sleep 0.1
done
for file in $(find "$1" -name postmaster.pid); do ipcrm -m "$(awk 'NR == 7 { print $2 }' "$file")"; done
ip netns list | awk -v p="$2-" 'index($1, p) == 1 { print $1 }' | while read -r name; do ip netns delete "$name"; done
rm -rf "$1"
"#;
