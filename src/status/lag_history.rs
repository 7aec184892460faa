//! The lag of every standby over the last half hour, for the charts of the page.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::node::Node;
use crate::time::{Monotonic, WallTime, timestamp};

/// Samples of the lag in bytes and seconds.
#[derive(Clone, Debug, Default)]
pub struct LagHistory {
    nodes: BTreeMap<String, VecDeque<Sample>>,
    sampled_at: Option<(Monotonic, WallTime)>,
}

/// Bytes and seconds.
type Sample = (Option<u64>, Option<f64>);

#[derive(Serialize)]
struct Page<'a> {
    at: Option<String>,
    interval: f64,
    lag_bytes: BTreeMap<&'a str, Vec<Option<u64>>>,
    lag_seconds: BTreeMap<&'a str, Vec<Option<f64>>>,
}

impl LagHistory {
    /// When the next sample is due.
    pub fn next_at(&self) -> Option<Monotonic> {
        self.sampled_at.map(|(at, _)| at + INTERVAL)
    }

    /// Takes a sample. Of nodes beyond a limit none is kept.
    pub fn sample(&mut self, nodes: &[Node], mono: Monotonic, wall: WallTime) {
        self.sampled_at = Some((mono, wall));
        let known: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        self.nodes.retain(|name, _| known.contains(name.as_str()));
        for node in nodes.iter().take(MAX_NODES) {
            let samples = self.nodes.entry(node.name.clone()).or_default();
            if samples.len() >= MAX_SAMPLES {
                samples.pop_front();
            }
            samples.push_back((node.lag_bytes, node.lag_seconds));
        }
    }

    /// The body of `/history.json`: the oldest first.
    pub fn to_json(&self) -> Vec<u8> {
        let nodes = self.nodes.iter();
        let page = Page {
            at: self.sampled_at.map(|(_, at)| timestamp::format_millis(at)),
            interval: INTERVAL.as_secs_f64(),
            lag_bytes: nodes
                .clone()
                .map(|(name, it)| (name.as_str(), it.iter().map(|(bytes, _)| *bytes).collect()))
                .collect(),
            lag_seconds: nodes
                .map(|(name, it)| (name.as_str(), it.iter().map(|(_, secs)| *secs).collect()))
                .collect(),
        };
        serde_json::to_vec(&page).unwrap_or_default()
    }
}

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(10);
/// Half an hour.
const MAX_SAMPLES: usize = 180;
/// Of 32 bytes for each sample: 6 MB at the most.
const MAX_NODES: usize = 1_000;
