//! The wall clock of one program alone, to be stepped while it runs: a library that is loaded into
//! it. No clock of this machine is touched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::or_skip;
use crate::harness::run_dir::{run, run_dir};

/// By how much somebody's wall clock is moved.
pub(super) struct WallClock {
    moved_by: File,
    path: PathBuf,
    library: &'static Path,
}

impl WallClock {
    /// A clock that goes right. `None`: the test cannot run here, which was printed.
    pub(super) fn in_dir(dir: &Path) -> Option<Self> {
        let library = or_skip(library())?;
        let path = dir.join("wall-clock");
        let moved_by = File::create(&path).expect("a file for a clock");
        let clock = Self {
            moved_by,
            path,
            library,
        };
        clock.step(0);
        Some(clock)
    }

    /// The environment of a program that goes by this clock.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        vec![
            variable("LD_PRELOAD", self.library),
            variable("WALL_CLOCK", &self.path),
        ]
    }

    /// From now on it is so many seconds ahead of the true time.
    pub(super) fn step(&self, seconds: i64) {
        self.moved_by
            .write_all_at(&seconds.to_ne_bytes(), 0)
            .expect("a file for a clock");
    }
}

/// The library, compiled at the first call, or why there is none.
fn library() -> Result<&'static Path, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/clocks/wall_clock.c");
        let library = run_dir().join("wall_clock.so");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source);
        run(&mut cc)
            .map(|_| library)
            .map_err(|error| format!("a clock of one's own needs cc: {error}"))
    });
    library.as_deref().map_err(Clone::clone)
}
