//! The file that `pglookout switchover` leaves beside the state file for the daemon of its host. HTTP asks
//! nobody who he is; whoever may write this file may also replace the daemon's state.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lookout::SwitchoverRequest;
use crate::time::Monotonic;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchoverFile {
    /// 32 hexadecimal digits that no other request has.
    pub id: String,
    /// Which node is to be the primary.
    pub to: String,
    /// Nothing is to be changed.
    pub dry_run: bool,
    /// Of this boot of this host.
    pub boot: String,
    /// When, in microseconds of its monotonic clock.
    pub at_micros: u64,
}

impl SwitchoverFile {
    /// Where it is: beside the state file, and named after it.
    pub fn path(state_file: &Path) -> PathBuf {
        let mut path = OsString::from(state_file);
        path.push(".switchover");
        path.into()
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and numbers: nothing in it fails.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(content: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(content).map_err(|error| error.to_string())
    }

    /// What it asks for. One that a daemon finds later than it was meant for, after a restart of itself or
    /// of the host, is void: nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// Why it asks for nothing.
    pub fn request(&self, boot: Option<&str>, now: Monotonic) -> Result<SwitchoverRequest, String> {
        let at = Monotonic::from_duration(Duration::from_micros(self.at_micros));
        if boot != Some(self.boot.as_str()) || now.since(at) > LIFETIME || at > now + LIFETIME {
            let limit = LIFETIME.as_secs();
            return Err(format!("it is older than {limit} s"));
        }
        Ok(SwitchoverRequest {
            id: self.id.parse().map_err(|cause| format!("id: {cause}"))?,
            to: self.to.as_str().into(),
            dry_run: self.dry_run,
        })
    }
}

/// A file that is longer is none of ours.
pub const MAX_SWITCHOVER_FILE_BYTES: usize = 4 << 10;
/// So long after it was written a request is taken.
pub const LIFETIME: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::votes::Nonce;

    fn file() -> SwitchoverFile {
        SwitchoverFile {
            id: Nonce(7).to_string(),
            to: "s1".to_owned(),
            dry_run: true,
            boot: "b".to_owned(),
            at_micros: 100_000_000,
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(SwitchoverFile::read(&file().to_json()), Ok(file()));
        assert!(SwitchoverFile::read(b"{}").is_err());
        let path = SwitchoverFile::path(Path::new("/var/lib/pglookout/state.json"));
        assert_eq!(path, Path::new("/var/lib/pglookout/state.json.switchover"));
    }

    #[test]
    fn one_that_nobody_waits_for_any_more_asks_for_nothing() {
        let at = |seconds: u64| Monotonic::from_duration(Duration::from_secs(seconds));
        let request = file().request(Some("b"), at(115)).unwrap();
        assert_eq!((request.id, request.dry_run), (Nonce(7), true));
        for (boot, seconds) in [
            (Some("b"), 116),
            (Some("c"), 101),
            (None, 101),
            (Some("b"), 80),
        ] {
            assert!(
                file().request(boot, at(seconds)).is_err(),
                "{boot:?} {seconds}"
            );
        }
        let unnamed = SwitchoverFile {
            id: String::new(),
            ..file()
        };
        assert!(unnamed.request(Some("b"), at(101)).is_err());
    }
}
