//! When the daemon has last read its configuration, and whether it could use it.

use serde::{Deserialize, Serialize};

use crate::time::{WallTime, timestamp};

/// What has become of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// When what is in force was loaded, as an ISO timestamp; `None`: not known.
    pub loaded: Option<String>,
    /// When the last reload was refused, if that was after it.
    pub refused: Option<String>,
    /// Why, an error each.
    pub reasons: Vec<String>,
}

impl Configuration {
    /// It was loaded, and is in force.
    pub fn loaded(at: WallTime) -> Self {
        Self {
            loaded: Some(timestamp::format_millis(at)),
            ..Self::default()
        }
    }

    /// It could not be used: what was loaded before stays in force.
    pub fn refuse(&mut self, at: WallTime, reasons: &str) {
        self.refused = Some(timestamp::format_millis(at));
        self.reasons = reasons.lines().map(str::to_owned).collect();
    }

    /// What is to be mended.
    pub(super) fn warning(&self) -> Option<String> {
        let refused = self.refused.as_ref()?;
        let loaded = self.loaded.as_deref().unwrap_or("before");
        let reasons = self.reasons.join("; ");
        Some(format!(
            "the configuration was refused at {refused}, that of {loaded} is in force: {reasons}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lasts_until_the_next_load() {
        let at = |second: i64| WallTime::from_unix_micros(second * 1_000_000);
        let mut configuration = Configuration::loaded(at(1));
        assert_eq!(configuration.warning(), None);
        configuration.refuse(at(2), "c.json: http_port is 0\nc.json: own_db is \"x\"");
        let warning = configuration.warning().unwrap();
        let expected = "the configuration was refused at 1970-01-01T00:00:02.000Z, that of 1970-01-01T00:00:01.000Z is in \
                        force: c.json: http_port is 0; c.json: own_db is \"x\"";
        assert_eq!(warning, expected);
        assert_eq!(Configuration::loaded(at(3)).warning(), None);
    }
}
