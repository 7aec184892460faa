//! Presence: what each daemon shows of itself in the name of its session on every server that it
//! polls, so that daemons learn of each other without an address more (behaviour.md, "Presence").

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Lsn, ParseLsnError, PauseMark};
use crate::config::NodeName;

/// A session of a daemon, as a server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose session it is: see [`daemon_name`].
    pub daemon: String,
    /// What the daemon shows.
    pub state: DaemonState,
    /// The newest pause, or end of one, that it knows.
    pub pause: PauseMark,
    /// Its fingerprint of the settings on which daemons must agree.
    pub settings: String,
    /// How long ago the session was last used, when the server answered.
    pub age: Duration,
}

/// What a daemon shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DaemonState {
    /// It would promote its node if that went first.
    #[default]
    Ok,
    /// It has no node.
    Observer,
    /// Its maintenance file exists.
    Maintenance,
    /// It has no failover command.
    NoCommand,
    /// Its node is in its own `never_promote_these_nodes`.
    Never,
    /// It sees too little of the cluster.
    NoQuorum,
    /// Its node is no candidate by what it knows: of another history, for instance.
    NoCandidate,
    /// It would promote its node, at this position, and asks everybody once more.
    Wants(Option<Lsn>),
    /// Its failover command runs.
    Promoting,
    /// Its last attempt in this outage failed.
    Failed,
    /// Its node is the primary.
    Primary,
}

impl DaemonState {
    /// A daemon that shows this does not promote its node, even if that goes first.
    pub fn steps_aside(self) -> bool {
        match self {
            Self::Maintenance
            | Self::NoCommand
            | Self::Never
            | Self::NoQuorum
            | Self::NoCandidate
            | Self::Failed => true,
            Self::Ok | Self::Observer | Self::Wants(_) | Self::Promoting | Self::Primary => false,
        }
    }

    /// A daemon that shows this is on its way to a promotion.
    pub fn is_promoting(self) -> bool {
        matches!(self, Self::Wants(_) | Self::Promoting)
    }
}

impl fmt::Display for DaemonState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Observer => "observer",
            Self::Maintenance => "maintenance",
            Self::NoCommand => "no_command",
            Self::Never => "never",
            Self::NoQuorum => "no_quorum",
            Self::NoCandidate => "no_candidate",
            Self::Wants(Some(lsn)) => return write!(f, "wants@{lsn}"),
            Self::Wants(None) => "wants",
            Self::Promoting => "promoting",
            Self::Failed => "failed",
            Self::Primary => "primary",
        })
    }
}

impl FromStr for DaemonState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(lsn) = text.strip_prefix("wants@") {
            let wants = |cause: ParseLsnError| format!("{text:?}: {cause}");
            return lsn.parse().map(|lsn| Self::Wants(Some(lsn))).map_err(wants);
        }
        Ok(match text {
            "ok" => Self::Ok,
            "observer" => Self::Observer,
            "maintenance" => Self::Maintenance,
            "no_command" => Self::NoCommand,
            "never" => Self::Never,
            "no_quorum" => Self::NoQuorum,
            "no_candidate" => Self::NoCandidate,
            "wants" => Self::Wants(None),
            "promoting" => Self::Promoting,
            "failed" => Self::Failed,
            "primary" => Self::Primary,
            _ => return Err(format!("{text:?} is no state of a daemon")),
        })
    }
}

impl Presence {
    /// The name of a session of this daemon in this state. Whoever wants to promote its node has no
    /// room for the mark, and shows it again afterwards.
    pub fn session_name(
        daemon: &str,
        state: DaemonState,
        pause: PauseMark,
        settings: &str,
    ) -> String {
        let has_room = !matches!(state, DaemonState::Wants(_));
        let pause = pause.shown().filter(|_| has_room);
        let pause = pause.map_or_else(String::new, |mark| format!("+{mark}"));
        format!("{SESSION_PREFIX}{daemon}:{state}{pause}:{settings}")
    }

    /// Reads the name of a session that was last used so long ago; `None` if it is not a daemon's,
    /// or in a state of another version.
    pub fn of_session(name: &str, age: Duration) -> Option<Self> {
        let (rest, settings) = name.strip_prefix(SESSION_PREFIX)?.rsplit_once(':')?;
        let (daemon, state) = rest.rsplit_once(':')?;
        let (state, pause) = match state.split_once('+') {
            Some((state, pause)) => (state, pause.parse().ok()?),
            None => (state, PauseMark::default()),
        };
        Some(Self {
            daemon: daemon.to_owned(),
            state: state.parse().ok()?,
            pause,
            settings: settings.to_owned(),
            age,
        })
    }

    /// Is it the session of the daemon of this node.
    pub fn is_of(&self, node: &NodeName) -> bool {
        self.daemon == daemon_name(node.as_str())
    }
}

/// The name by which a daemon is known in session names: its node's, or its host's. A server keeps
/// 63 bytes of a session's name and only ASCII of it, so a name that is longer than its share is
/// shortened and distinguished by a hash.
pub fn daemon_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != ':';
    if name.len() <= MAX_DAEMON_NAME && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let head = name.chars().filter(|c| is_plain(*c));
    let head: String = head.take(MAX_DAEMON_NAME - 9).collect();
    format!("{head}~{}", fingerprint(name.as_bytes()))
}

/// 8 hex digits that distinguish texts (FNV-1a, 32 bits): no protection against whoever chooses
/// both.
pub fn fingerprint(text: &[u8]) -> String {
    let hash = text.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}")
}

/// What the name of a daemon's session begins with.
pub const SESSION_PREFIX: &str = "pglookout:";
/// What the prefix, the longest state (`wants@FFFFFFFF/FFFFFFFF`), the fingerprint and two colons
/// leave of 63 bytes.
const MAX_DAEMON_NAME: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_fits_and_is_read_back() {
        let names = ["s1", "db-production-eu-west-0001", "db:1", "größte", ""];
        for name in names {
            let daemon = daemon_name(name);
            let wants = DaemonState::Wants("FFFFFFFF/FFFFFFFF".parse().ok());
            let longest: PauseMark = "zzzz.zzzzz".parse().unwrap();
            for (state, pause) in [
                (DaemonState::Ok, PauseMark::default()),
                (DaemonState::Ok, "1".parse().unwrap()),
                (DaemonState::NoCandidate, longest),
                (wants, PauseMark::default()),
            ] {
                let session = Presence::session_name(&daemon, state, pause, "00ab12cd");
                assert!(session.len() <= 63 && session.is_ascii(), "{session}");
                let read = Presence::of_session(&session, Duration::ZERO).unwrap();
                assert!(read.is_of(&name.into()), "{session}");
                assert_eq!((read.state, read.pause), (state, pause));
                assert_eq!(read.settings, "00ab12cd");
            }
            let session = Presence::session_name(&daemon, wants, longest, "00ab12cd");
            assert!(session.len() <= 63 && !session.contains('+'), "{session}");
        }
        assert_ne!(
            daemon_name("db-production-eu-west-0001"),
            daemon_name("db-production-eu-west-0002")
        );
    }

    #[test]
    fn other_sessions_are_no_daemons() {
        for name in [
            "pglookout",
            "pglookout:s1",
            "pglookout:s1:asleep:00",
            "pglookout:s1:ok+:00",
            "pglookout:s1:ok+zzzzz:00",
            "psql",
            "x:s1:ok:00",
        ] {
            assert_eq!(Presence::of_session(name, Duration::ZERO), None, "{name}");
        }
    }
}
