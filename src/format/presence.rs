//! A daemon's session as a server showed it, in `/state.json` and in timelines.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::cluster::{PauseMark, Presence};

/// One session. Its keys are those of `/state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Daemon {
    name: String,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<String>,
    settings: String,
    /// Seconds since it was last used, when the server answered.
    age: f64,
}

impl Daemon {
    pub(super) fn list(daemons: &[Presence]) -> Vec<Self> {
        let daemon = |presence: &Presence| Self {
            name: presence.daemon.clone(),
            state: presence.state.to_string(),
            pause: presence.pause.shown(),
            settings: presence.settings.clone(),
            age: presence.age.as_secs_f64(),
        };
        daemons.iter().map(daemon).collect()
    }

    pub(super) fn read(self) -> Result<Presence, String> {
        let age = Duration::try_from_secs_f64(self.age.max(0.0));
        Ok(Presence {
            daemon: self.name,
            state: self.state.parse()?,
            pause: self
                .pause
                .map_or(Ok(PauseMark::default()), |it| it.parse())?,
            settings: self.settings,
            age: age.map_err(|cause| format!("age: {cause}"))?,
        })
    }
}

/// Reads what another version may have written: whatever is no session is left out.
pub(super) fn readable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Daemon>>, D::Error> {
    Ok(
        match Readable::<Vec<Readable<Daemon>>>::deserialize(deserializer)? {
            Readable::Good(daemons) => {
                Some(daemons.into_iter().filter_map(Readable::good).collect())
            }
            Readable::Odd(_) => None,
        },
    )
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Readable<T> {
    Good(T),
    Odd(IgnoredAny),
}

impl<T> Readable<T> {
    fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Odd(_) => None,
        }
    }
}

/// As many sessions of one server are read at most.
pub(super) const MAX_DAEMONS: usize = 1_000;
