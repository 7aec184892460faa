//! `/metrics`: a status and what was counted, in the text format of Prometheus. Every label's values
//! come from the configuration or from a closed list.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::counts::{Counts, Polls, Total};
use super::elections::Elections;
use super::model::{Health, Readiness, Status};
use super::node::{Node, Role, Standing};
use super::voter_lists::VoterLists;
use crate::cluster::Lsn;
use crate::format;
use crate::lookout::Alert;
use crate::votes::ListStage;

/// What the process knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// How long it has been running, in seconds.
    pub uptime: f64,
}

/// The body of `/metrics`. `elections`: where this daemon votes; elsewhere there is no word of it.
pub fn metrics(
    status: &Status,
    counts: &Counts,
    elections: Option<&[Elections]>,
    usage: Usage,
) -> String {
    let mut page = Page {
        text: String::new(),
        family: String::new(),
    };
    of_cluster(&mut page, status);
    of_failover(&mut page, status);
    of_nodes(&mut page, status);
    of_observers(&mut page, status);
    of_alerts(&mut page, status, elections.is_some());
    of_counts(&mut page, counts);
    if let Some(elections) = elections {
        of_elections(&mut page, elections, &status.voter_lists);
    }
    of_process(&mut page, status, usage);
    page.text
}

fn of_cluster(page: &mut Page, status: &Status) {
    let states = [
        ("healthy", Health::Healthy),
        ("degraded", Health::Degraded),
        ("no_primary", Health::NoPrimary),
        ("several_primaries", Health::SeveralPrimaries),
        ("outdated_primary", Health::OutdatedPrimary),
        ("starting", Health::Starting),
    ];
    page.family(
        "pglookout_cluster_state",
        "gauge",
        "1 for the state of the cluster.",
    );
    for (name, state) in states {
        let is_so = u8::from(state == status.cluster.state);
        page.sample(&[("state", name)], is_so);
    }
    page.family("pglookout_problems", "gauge", "Problems that status lists.");
    page.sample(&[], status.problems.len());
    page.family("pglookout_warnings", "gauge", "Warnings that status lists.");
    page.sample(&[], status.warnings.len());
}

fn of_failover(page: &mut Page, status: &Status) {
    let failover = &status.failover;
    let states = [
        ("ready", Readiness::Ready),
        ("countdown", Readiness::Countdown),
        ("running", Readiness::Running),
        ("blocked", Readiness::Blocked),
        ("paused", Readiness::Paused),
        ("off", Readiness::Off),
        ("starting", Readiness::Starting),
    ];
    page.family(
        "pglookout_failover_state",
        "gauge",
        "1 for what the loss of the primary comes to.",
    );
    for (name, state) in states {
        page.sample(&[("state", name)], u8::from(state == failover.state));
    }
    let can = matches!(
        failover.state,
        Readiness::Ready | Readiness::Countdown | Readiness::Running
    );
    page.family(
        "pglookout_can_failover",
        "gauge",
        "1 if the loss of the primary ends in a promotion, as far as this daemon knows.",
    );
    page.sample(&[], u8::from(can));
    page.family(
        "pglookout_failover_in_seconds",
        "gauge",
        "Time until a promotion at the least, while one is to come.",
    );
    if let Some(seconds) = failover.seconds {
        page.sample(&[], seconds);
    }
    page.family(
        "pglookout_failover_limit_seconds",
        "gauge",
        "max_failover_replication_time_lag.",
    );
    page.sample(&[], failover.limit);
    page.family(
        "pglookout_failover_candidate",
        "gauge",
        "1 for the node that would be promoted.",
    );
    if let Some(candidate) = &failover.candidate {
        page.sample(&[("node", candidate)], 1);
    }
    page.family("pglookout_votes_known", "gauge", "Votes that are known.");
    page.sample(&[], status.votes.known);
    page.family(
        "pglookout_votes_required",
        "gauge",
        "Votes that a promotion requires.",
    );
    page.sample(&[], status.votes.required);
    page.family("pglookout_votes", "gauge", "Votes that there are.");
    page.sample(&[], status.votes.total);
}

/// What elections have come to, by a name from a closed list.
type Results = fn(&Elections) -> &BTreeMap<&'static str, u64>;

/// A time of the lease that this daemon holds, in seconds.
type OfLease = fn(&Elections) -> Option<f64>;

type Gauge = (&'static str, &'static str, fn(&Node) -> Option<f64>);

/// One sample for each node of which it is known.
const OF_NODES: [Gauge; 10] = [
    (
        "pglookout_node_up",
        "1 if the last poll reached the node.",
        |node| is(node.connected),
    ),
    (
        "pglookout_node_primary",
        "1 for a node that is reached as a primary.",
        |node| is(node.role == Role::Primary && node.connected),
    ),
    (
        "pglookout_node_standby",
        "1 for a node that is reached as a standby.",
        |node| is(node.role == Role::Standby && node.connected),
    ),
    (
        "pglookout_node_in_order",
        "1 if nothing is wrong with the node.",
        |node| is(node.standing == Standing::Ok),
    ),
    (
        "pglookout_node_diverged",
        "1 for a standby of another history than the primary.",
        |node| is(node.standing == Standing::Diverged),
    ),
    (
        "pglookout_node_timeline",
        "The timeline of the node's data.",
        |node| node.timeline.map(f64::from),
    ),
    (
        "pglookout_node_lag_bytes",
        "How far a standby's replay is behind the last known position of the primary.",
        |node| as_f64(node.lag_bytes),
    ),
    (
        "pglookout_node_lag_seconds",
        "How old what a standby replays is.",
        |node| node.lag_seconds,
    ),
    (
        "pglookout_node_position_bytes",
        "Replay position of a standby, current position of a primary (LSN).",
        |node| {
            let lsn: Lsn = node.replay.as_ref()?.parse().ok()?;
            as_f64(Some(lsn.bytes()))
        },
    ),
    (
        "pglookout_node_poll_age_seconds",
        "How long ago the node was last polled.",
        |node| node.polled,
    ),
];

fn is(yes: bool) -> Option<f64> {
    Some(f64::from(u8::from(yes)))
}

fn of_nodes(page: &mut Page, status: &Status) {
    for (name, help, value) in OF_NODES {
        page.family(name, "gauge", help);
        for node in &status.nodes {
            if let Some(value) = value(node) {
                page.sample(&[("node", &node.name)], value);
            }
        }
    }
    let name = "pglookout_node_daemon_state";
    page.family(name, "gauge", "1 for what the node's own pglookout shows.");
    for node in &status.nodes {
        if let Some(daemon) = &node.daemon {
            // A position behind it would make a series of each.
            let state = daemon.state.split('@').next().unwrap_or_default();
            page.sample(&[("node", &node.name), ("state", state)], 1);
        }
    }
}

/// Exact up to 2^53, as everything in Prometheus.
#[expect(clippy::cast_precision_loss, reason = "the format knows nothing else")]
fn as_f64(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

fn of_observers(page: &mut Page, status: &Status) {
    page.family(
        "pglookout_observer_up",
        "gauge",
        "1 if the observer's last answer is good and young.",
    );
    for observer in &status.observers {
        page.sample(
            &[("observer", &observer.name)],
            u8::from(observer.connected),
        );
    }
}

fn of_alerts(page: &mut Page, status: &Status, votes: bool) {
    page.family("pglookout_alert", "gauge", "1 for an alert that stands.");
    let is_of_votes = |alert| {
        matches!(
            alert,
            Alert::VoteFileUnusable
                | Alert::VotersDisagree
                | Alert::LeaseLost
                | Alert::FenceFailed
                | Alert::WatchdogUnusable
        )
    };
    for alert in Alert::ALL
        .into_iter()
        .filter(|it| votes || !is_of_votes(*it))
    {
        let name = format::alert_file(alert);
        let stands = status.alerts.iter().any(|it| it.name == name);
        page.sample(&[("alert", name)], u8::from(stands));
    }
}

fn of_counts(page: &mut Page, counts: &Counts) {
    let polls = |page: &mut Page, name: &str, label: &str, all: &[(&str, Polls)]| {
        page.family(
            name,
            "summary",
            "Polls that have ended, and how long they took.",
        );
        for (of, polls) in all {
            for (result, total) in [("ok", polls.succeeded), ("failed", polls.failed)] {
                page.summary(&[(label, of), ("result", result)], total);
            }
        }
    };
    let nodes: Vec<_> = counts
        .nodes
        .iter()
        .map(|(name, it)| (name.as_str(), *it))
        .collect();
    polls(page, "pglookout_poll_duration_seconds", "node", &nodes);
    let observers = counts.observers.iter();
    let observers: Vec<_> = observers.map(|(name, it)| (name.as_str(), *it)).collect();
    polls(
        page,
        "pglookout_observer_poll_duration_seconds",
        "observer",
        &observers,
    );
    page.family(
        "pglookout_decisions_total",
        "counter",
        "Decisions by verdict and reason.",
    );
    for ((verdict, reason), count) in &counts.decisions {
        page.sample(&[("verdict", verdict), ("reason", reason)], count);
    }
    page.family(
        "pglookout_command_duration_seconds",
        "summary",
        "Commands that have ended, and how long they ran.",
    );
    for ((command, outcome), total) in &counts.commands {
        page.summary(&[("command", command), ("outcome", outcome)], *total);
    }
    page.family(
        "pglookout_late_poll_cycles_total",
        "counter",
        "Poll cycles that were not complete in time.",
    );
    page.sample(&[], counts.late_cycles);
    page.family(
        "pglookout_loop_lateness_seconds",
        "summary",
        "How much later than planned the loop has woken up.",
    );
    page.summary(&[], counts.lateness);
}

fn of_elections(page: &mut Page, all: &[Elections], lists: &[VoterLists]) {
    page.family(
        "pglookout_voter_usable",
        "gauge",
        "1 if the vote file can be used.",
    );
    for of in all {
        page.sample(&[("cluster", &of.cluster)], u8::from(of.term.is_some()));
    }
    page.family(
        "pglookout_election_term",
        "gauge",
        "The highest term in which this daemon has voted.",
    );
    for of in all {
        if let Some(term) = of.term {
            page.sample(&[("cluster", &of.cluster)], term);
        }
    }
    of_lists(page, lists);
    of_leases(page, all);
    let families: [(_, _, _, Results); 4] = [
        (
            "pglookout_elections_total",
            "Attempts of this daemon to be elected.",
            "result",
            |of| &of.counts.attempts,
        ),
        (
            "pglookout_election_refusals_total",
            "Voters that did not grant, in attempts that were lost.",
            "reason",
            |of| &of.counts.not_granted,
        ),
        (
            "pglookout_vote_requests_total",
            "Requests of others for the vote of this daemon.",
            "result",
            |of| &of.counts.requests,
        ),
        (
            "pglookout_lease_renewals_total",
            "Rounds of renewals of a lease, and leases that were lost.",
            "result",
            |of| &of.counts.renewals,
        ),
    ];
    for (name, help, label, counts) in families {
        page.family(name, "counter", help);
        for of in all {
            for (value, count) in counts(of) {
                page.sample(&[("cluster", &of.cluster), (label, value)], count);
            }
        }
    }
}

fn of_lists(page: &mut Page, all: &[VoterLists]) {
    page.family(
        "pglookout_voter_list_generation",
        "gauge",
        "The list of voters that counts here.",
    );
    for of in all {
        page.sample(&[("cluster", &of.cluster)], of.generation);
    }
    page.family(
        "pglookout_voter_list_stage",
        "gauge",
        "1 for how far that list is known to have come.",
    );
    for of in all {
        for stage in ListStage::ALL.map(ListStage::name) {
            let is_it = u8::from(stage == of.stage);
            page.sample(&[("cluster", &of.cluster), ("stage", stage)], is_it);
        }
    }
    page.family(
        "pglookout_voter_has_list",
        "gauge",
        "1 if the last answer of another voter was by that list.",
    );
    for of in all {
        for (voter, has_it) in &of.voters {
            page.sample(
                &[("cluster", &of.cluster), ("voter", voter)],
                u8::from(*has_it),
            );
        }
    }
}

fn of_leases(page: &mut Page, all: &[Elections]) {
    let gauges: [(_, _, OfLease); 2] = [
        (
            "pglookout_fence_in_seconds",
            "Time until this server is fenced, unless a majority renews its lease before.",
            |of| of.fence_in,
        ),
        (
            "pglookout_fence_in_least_seconds",
            "The least of that at any renewal since the start.",
            |of| of.counts.least_left.map(|left| left.as_secs_f64()),
        ),
    ];
    for (name, help, seconds) in gauges {
        page.family(name, "gauge", help);
        for of in all {
            if let Some(seconds) = seconds(of) {
                page.sample(&[("cluster", &of.cluster)], seconds);
            }
        }
    }
}

fn of_process(page: &mut Page, status: &Status, usage: Usage) {
    page.family("pglookout_build_info", "gauge", "1, with the version.");
    page.sample(
        &[("version", &status.version), ("daemon", &status.daemon)],
        1,
    );
    page.family(
        "pglookout_uptime_seconds",
        "gauge",
        "How long the process has been running.",
    );
    page.sample(&[], usage.uptime);
    page.family("pglookout_resident_memory_bytes", "gauge", "Memory in use.");
    if let Some(bytes) = usage.resident_bytes {
        page.sample(&[], bytes);
    }
}

struct Page {
    text: String,
    /// The family that the next samples belong to.
    family: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        name.clone_into(&mut self.family);
    }

    /// Of the last family.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.write("", labels, value);
    }

    fn summary(&mut self, labels: &[(&str, &str)], total: Total) {
        self.write("_sum", labels, total.time.as_secs_f64());
        self.write("_count", labels, total.count);
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let name = &self.family;
        let labels = labels.iter();
        let labels: Vec<_> = labels
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.text, "{name}{suffix} {value}"),
            false => writeln!(self.text, "{name}{suffix}{{{}}} {value}", labels.join(",")),
        };
    }
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}
