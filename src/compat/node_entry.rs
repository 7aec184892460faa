//! One node's entry as it is read, from an observer's `/state.json` or from the original's state
//! file. Read key by key without a tree in between, so that a hostile body costs no more memory
//! than its own length.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cluster::Lsn;
use crate::time::WallTime;
use crate::time::timestamp;

/// What could be read of an entry. A value of the wrong type or form is as good as absent, and a
/// key that is not ours is passed over: a newer version may say more, and must not lose its voice
/// over one odd field.
#[derive(Debug, Default)]
pub(super) struct NodeEntry {
    pub(super) fetch_time: Option<WallTime>,
    pub(super) connection: Option<bool>,
    pub(super) db_time: Option<WallTime>,
    pub(super) in_recovery: Option<bool>,
    pub(super) receive: Option<Lsn>,
    pub(super) replay: Option<Lsn>,
    pub(super) last_replay: Option<WallTime>,
}

impl<'de> Deserialize<'de> for NodeEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = NodeEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the state of a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeEntry, A::Error> {
        let mut entry = NodeEntry::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "fetch_time" => entry.fetch_time = map.next_value::<Scalar>()?.time(),
                "connection" => entry.connection = map.next_value::<Scalar>()?.truth(),
                "db_time" => entry.db_time = map.next_value::<Scalar>()?.time(),
                "pg_is_in_recovery" => entry.in_recovery = map.next_value::<Scalar>()?.truth(),
                "pg_last_xlog_receive_location" => {
                    entry.receive = map.next_value::<Scalar>()?.parsed()
                }
                "pg_last_xlog_replay_location" => {
                    entry.replay = map.next_value::<Scalar>()?.parsed()
                }
                "pg_last_xact_replay_timestamp" => {
                    entry.last_replay = map.next_value::<Scalar>()?.time()
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(entry)
    }
}

/// Any JSON value, of which only text and truth values are kept.
enum Scalar {
    Truth(bool),
    Text(String),
    Other,
}

impl Scalar {
    fn truth(&self) -> Option<bool> {
        if let Self::Truth(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    fn time(&self) -> Option<WallTime> {
        timestamp::parse(self.text()?)
    }

    fn parsed<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Truth(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}
