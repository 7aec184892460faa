//! How late the guard fences where processors and memory are short: from the deadline that it was given to
//! the first line of the fence command, and to the end of the whole command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pglookout::sys::clock;
use pglookout::sys::guard::{Fence, Guard, Order};

use crate::support::table::{Table, quantile};
use crate::support::{Arguments, pause, wait_until};

/// `bench/run guard`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let count: usize = arguments.number("count", 1000);
    let hogs: usize = arguments.number("hogs", 8);
    let megabytes: u64 = arguments.number("memory", 48);
    let place = std::env::temp_dir().join(format!("pglookout-guard-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a directory");
    let calm = measure(&place, count / 10);
    report(table, "nothing else", &calm);
    let pressure = Pressure::start(&place, hogs, megabytes);
    let short = if pressure.has_memory_limit() {
        format!("{hogs} hogs, {megabytes} MB")
    } else {
        format!("{hogs} hogs")
    };
    report(table, &short, &measure(&place, count));
    drop(pressure);
    let _ = fs::remove_dir_all(&place);
}

/// In milliseconds after the deadline.
#[derive(Default)]
struct Late {
    started: Vec<f64>,
    ended: Vec<f64>,
}

fn report(table: &mut Table, when: &str, late: &Late) {
    for (what, figures) in [("begins", &late.started), ("has ended", &late.ended)] {
        let mut sorted = figures.clone();
        sorted.sort_by(f64::total_cmp);
        let name = format!("{when}: the fence command {what}");
        table.row(name, "ms", figures.clone());
        let extreme = quantile(&sorted, 0.999);
        table.one(
            format!("{when}: the fence command {what}, p99.9"),
            "ms",
            extreme,
        );
    }
}

fn measure(place: &Path, count: usize) -> Late {
    let mut late = Late::default();
    for number in 0..count {
        let stamp = place.join(number.to_string());
        // What fencing a server comes to: a shell that starts other programs.
        let script = format!(
            "began=$(date +%s%N); ls /proc >/dev/null; echo $began $(date +%s%N) >{0}.new; mv {0}.new {0}",
            stamp.display()
        );
        let argv = ["sh", "-c", &script].map(str::to_owned).to_vec();
        let mut guard = Guard::start(&Fence {
            argv,
            variables: Vec::new(),
            timeout: Duration::from_secs(60),
            limit: None,
            watchdog: None,
        })
        .expect("a guard");
        let wait = Duration::from_millis(50);
        let now = clock::monotonic().since_boot() + clock::suspended();
        let due = nanos(SystemTime::now() + wait);
        let order = Order {
            at: Some(now + wait),
            ends: None,
        };
        guard.order(order).expect("an order");
        wait_until("the guard has fenced", || guard.try_reap());
        let text = fs::read_to_string(&stamp).expect("what the fence command wrote");
        let times: Vec<f64> = text
            .split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect();
        late.started.push((times[0] - due) / 1e6);
        late.ended.push((times[1] - due) / 1e6);
        let _ = fs::remove_file(&stamp);
    }
    late
}

fn nanos(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos() as f64
}

/// Processes that take every processor, and little memory for us and whoever reads a large file beside us.
struct Pressure {
    hogs: Vec<Child>,
    group: Option<PathBuf>,
}

impl Pressure {
    fn start(place: &Path, hogs: usize, megabytes: u64) -> Self {
        let group = limit_memory(megabytes);
        let file = place.join("large");
        let large = format!(
            "head -c {}M /dev/zero >{1}; while :; do cat {1} >/dev/null; done",
            megabytes * 4,
            file.display()
        );
        let mut scripts = vec!["while :; do :; done".to_owned(); hogs];
        if group.is_some() {
            scripts.push(large);
        }
        let start = |script: &String| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null());
            command.spawn().expect("a shell")
        };
        let hogs = scripts.iter().map(start).collect();
        pause(3.0);
        Self { hogs, group }
    }

    fn has_memory_limit(&self) -> bool {
        self.group.is_some()
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        for hog in &mut self.hogs {
            let _ = hog.kill();
            let _ = hog.wait();
        }
        if let Some(group) = &self.group {
            let own = std::process::id().to_string();
            let _ = fs::write(group.with_file_name("cgroup.procs"), own);
            pause(0.5);
            let _ = fs::remove_dir(group);
        }
    }
}

/// This process and what it starts get so much memory; `None`: there are no control groups to be written.
fn limit_memory(megabytes: u64) -> Option<PathBuf> {
    let (root, limit) = match Path::new("/sys/fs/cgroup/memory").exists() {
        true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        false => ("/sys/fs/cgroup", "memory.max"),
    };
    let group = Path::new(root).join(format!("pglookout-bench-{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    let bytes = (megabytes << 20).to_string();
    let own = std::process::id().to_string();
    let limited = fs::write(group.join(limit), bytes)
        .and_then(|()| fs::write(group.join("cgroup.procs"), own));
    match limited {
        Ok(()) => Some(group),
        Err(_) => {
            let _ = fs::remove_dir(&group);
            None
        }
    }
}
