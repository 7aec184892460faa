//! What a cluster is by its make, without any schedule; and what of a configuration is simulated
//! otherwise than it is written, so that it can be simulated at all.

use std::time::Duration;

use super::setup::Setup;
use super::{Micros, micros};
use crate::config::{CommandLine, Config, QuorumRule};

/// A configuration as it is simulated.
pub(super) struct Shape {
    pub(super) config: Config,
    /// The limit is so much shorter than the configured one.
    pub(super) shortened: Micros,
    pub(super) remarks: Vec<String>,
}

impl Shape {
    pub(super) fn of(config: &Config) -> Self {
        let mut shape = Self {
            config: config.clone(),
            shortened: 0,
            remarks: Vec::new(),
        };
        if config.own_db.is_none() {
            let stand_in = || CommandLine {
                argv: vec!["promote".to_owned()],
            };
            shape.config.failover_command.get_or_insert_with(stand_in);
            shape.remarks.push(
                "an observer's configuration (no own_db): simulated as if every server had it, with a failover_command"
                    .to_owned(),
            );
        } else if config.failover_command.is_none() {
            shape
                .remarks
                .push("failover_command is empty: this node cannot be promoted".to_owned());
        }
        shape.shorten();
        shape.decide_by_votes();
        let setup = Setup::new(&shape.config, 0);
        if let Some(why) = setup.not_simulated(config) {
            shape.remarks.push(format!(
                "voting is not simulated, as if there were none: {why}"
            ));
        }
        shape.remarks.extend(remarks(&setup));
        shape
    }

    /// What would come of votes is shown before they decide.
    fn decide_by_votes(&mut self) {
        let voting = self.config.voting.iter_mut();
        let mut dry = voting
            .flat_map(|voting| voting.clusters.values_mut())
            .filter(|cluster| cluster.dry)
            .peekable();
        if dry.peek().is_some() {
            self.remarks
                .push("voting is dry: simulated as if votes decided".to_owned());
        }
        dry.for_each(|cluster| cluster.dry = false);
    }

    /// Days of waiting are no more than minutes of it.
    fn shorten(&mut self) {
        let config = &mut self.config;
        // No server is given up sooner.
        let least = config.fence().map(|fence| fence.timeout * 3);
        let most = config.poll_interval.max(config.check_interval) * LONGEST_WAIT_INTERVALS;
        let most = most.max(least.unwrap_or_default());
        let limit = config.failover_lag;
        if limit > most {
            self.shortened = micros(limit.saturating_sub(most));
            config.failover_lag = most;
            config.warning_lag = config
                .warning_lag
                .mul_f64(most.as_secs_f64() / limit.as_secs_f64());
            self.remarks.push(format!(
                "simulated with a max_failover_replication_time_lag of {} s; the rest of the {} s is only added to the \
                 longest time below",
                most.as_secs_f64(),
                limit.as_secs_f64()
            ));
        }
        let waits = [
            &mut config.poll_timeout,
            &mut config.missing_primary_timeout,
            &mut config.failover_pause,
        ];
        for wait in waits {
            *wait = Duration::min(*wait, most);
        }
    }
}

fn remarks(setup: &Setup) -> Vec<String> {
    let (nodes, observers) = (setup.node_count(), setup.observers.len());
    let votes = nodes + observers;
    let mut remarks = Vec::new();
    if nodes < 2 {
        remarks.push("there is no standby in remote_conns: nothing can be promoted".to_owned());
    } else if votes == 2 {
        remarks.push(
            "two servers and no observer: a standby cannot distinguish a dead primary from a network failure; use an observer on a third host"
                .to_owned(),
        );
    } else if setup.hosts().is_multiple_of(2) && setup.any_config().quorum == QuorumRule::Half {
        remarks.push(format!(
            "{} hosts can fall into two equal halves, and half of the votes suffices",
            setup.hosts()
        ));
    }
    if 2 * observers >= votes {
        remarks.push(format!(
            "observers have most votes: {observers} of {votes} votes"
        ));
    }
    remarks.extend(shared_hosts(setup));
    remarks
}

fn shared_hosts(setup: &Setup) -> Option<String> {
    let shared: Vec<_> = setup
        .sharing_observers()
        .map(|(name, host)| format!("{name} on the host of {}", setup.host_name(host)))
        .collect();
    (!shared.is_empty()).then(|| {
        format!(
            "observers that share a host with another node: {}",
            shared.join(", ")
        )
    })
}

/// A longer wait is cut to so many poll or check intervals.
const LONGEST_WAIT_INTERVALS: u32 = 60;
