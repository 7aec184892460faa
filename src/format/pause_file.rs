//! The pause file: what `pglookout pause` and `pglookout resume` leave beside the state file for the
//! daemon of their host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cluster::PauseMark;

/// What an operator wants, and what others should know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PauseFile {
    /// What daemons send each other.
    #[serde(with = "mark")]
    pub mark: PauseMark,
    /// When, as an ISO timestamp.
    pub at: String,
    /// The account that asked for it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PauseFile {
    /// Where it is: beside the state file, and named after it.
    pub fn path(state_file: &Path) -> PathBuf {
        let mut path = OsString::from(state_file);
        path.push(".pause");
        path.into()
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings: nothing in it fails.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(content: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        let is_one_line = |text: &String| !text.contains(char::is_control);
        let is_plain = is_one_line(&file.by) && is_one_line(&file.at);
        match is_plain && file.reason.as_ref().is_none_or(is_one_line) {
            true => Ok(file),
            false => Err("control characters in a text".to_owned()),
        }
    }
}

mod mark {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::cluster::PauseMark;

    pub(super) fn serialize<S: Serializer>(
        mark: &PauseMark,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(mark)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PauseMark, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A file that is longer is none of ours.
pub const MAX_PAUSE_FILE_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let file = PauseFile {
            mark: "h.hq3k9".parse().unwrap(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            by: "root".to_owned(),
            reason: Some("the switch is \"replaced\"".to_owned()),
        };
        assert_eq!(PauseFile::read(&file.to_json()), Ok(file));
        for wrong in [
            "",
            "{}",
            r#"{"mark": "?", "at": "", "by": ""}"#,
            r#"{"mark": "1", "at": "", "by": "a\nb"}"#,
            "[1]",
        ] {
            assert!(PauseFile::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let path = PauseFile::path(Path::new("/var/lib/pglookout/state.json"));
        assert_eq!(path, Path::new("/var/lib/pglookout/state.json.pause"));
    }
}
