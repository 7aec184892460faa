//! Reports of nodes and observers in a timeline, both directions; times are seconds from its epoch.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::moment::{at, since};
use super::node::Observed;
use super::presence::{Daemon, MAX_DAEMONS};
use crate::cluster::{Identity, Lsn, NodeReport, RoleReport};
use crate::time::WallTime;

/// One report of a node.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    in_recovery: bool,
    db_time: f64,
    #[serde(default, with = "text", skip_serializing_if = "Option::is_none")]
    lsn: Option<Lsn>,
    #[serde(default, with = "text", skip_serializing_if = "Option::is_none")]
    receive_lsn: Option<Lsn>,
    #[serde(default, with = "text", skip_serializing_if = "Option::is_none")]
    replay_lsn: Option<Lsn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_replay: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemons: Option<Vec<Daemon>>,
}

/// One report of an observer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObserversReport {
    pub(super) date: f64,
    pub(super) nodes: Observed,
}

impl Report {
    pub(super) fn of(report: &NodeReport, epoch: WallTime) -> Self {
        let Identity {
            system,
            started,
            timeline,
            shown: _,
        } = &report.identity;
        let common = Self {
            in_recovery: false,
            db_time: since(epoch, report.db_time),
            lsn: None,
            receive_lsn: None,
            replay_lsn: None,
            last_replay: None,
            system: system.clone(),
            started: started.map(|time| since(epoch, time)),
            timeline: *timeline,
            daemons: report.daemons.as_deref().map(Daemon::list),
        };
        match &report.role {
            RoleReport::Primary { lsn, .. } => Self {
                lsn: *lsn,
                ..common
            },
            RoleReport::Standby {
                receive,
                replay,
                last_replay,
            } => Self {
                in_recovery: true,
                receive_lsn: *receive,
                replay_lsn: *replay,
                last_replay: last_replay.map(|time| since(epoch, time)),
                ..common
            },
        }
    }

    pub(super) fn read(self, epoch: WallTime) -> Result<NodeReport, String> {
        let role = if self.in_recovery {
            RoleReport::Standby {
                receive: self.receive_lsn,
                replay: self.replay_lsn,
                last_replay: self.last_replay.map(|seconds| at(epoch, seconds)),
            }
        } else {
            RoleReport::Primary {
                lsn: self.lsn,
                slots: Vec::new(),
            }
        };
        let daemons = self.daemons.map(|daemons| {
            let read = daemons.into_iter().take(MAX_DAEMONS).map(Daemon::read);
            read.collect::<Result<Vec<_>, String>>()
        });
        Ok(NodeReport {
            db_time: at(epoch, self.db_time),
            role,
            identity: Identity {
                system: self.system,
                started: self.started.map(|seconds| at(epoch, seconds)),
                timeline: self.timeline,
                ..Identity::default()
            },
            daemons: daemons.transpose()?,
        })
    }
}

mod text {
    use super::*;

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .map(ToString::to_string)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        let parse = |text: &str| {
            text.parse()
                .map_err(|cause| serde::de::Error::custom(format!("{text:?}: {cause}")))
        };
        text.as_deref().map(parse).transpose()
    }
}
