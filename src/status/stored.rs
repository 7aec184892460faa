//! What a state file says while no daemon runs: the facts of its last moment, and nothing of what would
//! happen now.

use std::collections::BTreeMap;

use super::model::{Cluster, Failover, Health, Readiness, Status};
use super::node::{Node, Role, Standing, address};
use super::pause::Pause;
use super::view::seconds;
use crate::cluster::ObservedNode;
use crate::config::{Config, ConnInfo, NodeName};
use crate::format::StateFile;
use crate::time::{WallTime, timestamp};

impl Status {
    /// Of the daemon with this configuration.
    pub fn stored(file: &StateFile, config: &Config, now: WallTime) -> Self {
        let known = file.nodes();
        let configured = config.nodes.iter();
        let nodes = configured.map(|(name, info)| node(name, info, &known, config, now));
        let last = known.values().map(|node| node.fetch_time).max();
        let age = last.map_or_else(
            || "never polled anybody".to_owned(),
            |at| format!("last polled {:.1} s ago", now.since(at).as_secs_f64()),
        );
        Self {
            version: "-".to_owned(),
            at: last.map(timestamp::format_millis).unwrap_or_default(),
            daemon: config
                .own_db
                .as_ref()
                .map_or("", NodeName::as_str)
                .to_owned(),
            node: config.own_db.as_ref().map(ToString::to_string),
            cluster: Cluster {
                state: Health::Unknown,
                primary: file.primary().map(str::to_owned),
                sentence: format!(
                    "the primary was {}; pglookout does not run, it {age}",
                    file.primary().unwrap_or("not known")
                ),
            },
            failover: Failover {
                state: Readiness::Unknown,
                limit: seconds(config.failover_lag),
                sentence: "pglookout of this node does not answer: it promotes nothing".to_owned(),
                ..Failover::default()
            },
            pause: Pause::at(file.pause(), now),
            pause_mark: file.pause().to_string(),
            nodes: nodes.collect(),
            decision: file.decision(),
            changes: file.changes().into_iter().rev().collect(),
            ..Self::default()
        }
    }
}

fn node(
    name: &NodeName,
    info: &ConnInfo,
    known: &BTreeMap<NodeName, ObservedNode>,
    config: &Config,
    now: WallTime,
) -> Node {
    let mut node = Node {
        name: name.to_string(),
        own: config.own_db.as_ref() == Some(name),
        address: address(info),
        standing: Standing::NeverPolled,
        ..Node::default()
    };
    let Some(known) = known.get(name) else {
        return node;
    };
    node.connected = known.connection;
    node.standing = match known.connection {
        true => Standing::Ok,
        false => Standing::Lost,
    };
    node.role = match known.in_recovery {
        Some(true) => Role::Standby,
        Some(false) => Role::Primary,
        None => Role::Unknown,
    };
    node.timeline = known.identity.timeline;
    node.receive = known.receive.map(|lsn| lsn.to_string());
    node.replay = known.replay.map(|lsn| lsn.to_string());
    node.polled = Some(seconds(now.since(known.fetch_time)));
    node
}
