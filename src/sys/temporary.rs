//! A directory for a moment.

use std::fs::{DirBuilder, remove_dir_all};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of its own, closed to others, which is removed with all that is in it when this is
/// dropped.
#[derive(Debug)]
pub struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Below the system's directory for such.
    pub fn new(name: &str) -> io::Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // One that is there already may be anybody's.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans up there.
        let _ = remove_dir_all(&self.0);
    }
}
