//! The two lines on top: the cluster, and the next failover.

use std::time::Duration;

use super::model::{Cluster, Failover, Health, Readiness, Status};
use super::node::{Role, Standing};
use super::pause::Pause;
use super::view::{View, seconds};
use crate::cluster::{Reached, Witness};
use crate::config::Config;
use crate::failover::{Outlook, Prospect};
use crate::format::{Decision, DecisionFigures};
use crate::lookout::{LOOK_AGAIN, Round};

/// Made last: what is wrong is known by then.
pub(super) fn cluster(view: &View<'_>, status: &Status) -> Cluster {
    let primary = view.lookout.primary().map(ToString::to_string);
    let (state, sentence) = match &view.map.reached {
        _ if is_starting(view) => (
            Health::Starting,
            "not every node and observer has been polled yet".to_owned(),
        ),
        Reached::Several => (
            Health::SeveralPrimaries,
            format!("primaries: {}", connected_primaries(view)),
        ),
        Reached::Outdated(_) => (
            Health::OutdatedPrimary,
            format!(
                "the only reachable primary, {}, is of an older history than another node",
                connected_primaries(view)
            ),
        ),
        Reached::Nobody => (Health::NoPrimary, lost_primary(view)),
        Reached::Primary(_) => {
            let is_well = status.problems.is_empty()
                && status.warnings.is_empty()
                && status.alerts.is_empty()
                && matches!(status.failover.state, Readiness::Ready | Readiness::Off);
            let state = if is_well {
                Health::Healthy
            } else {
                Health::Degraded
            };
            (state, present_primary(status, primary.as_deref()))
        }
    };
    Cluster {
        state,
        primary,
        sentence,
    }
}

fn is_starting(view: &View<'_>) -> bool {
    let (nodes, observers) = view.lookout.state().never_polled(view.lookout.config());
    !nodes.is_empty() || !observers.is_empty()
}

fn connected_primaries(view: &View<'_>) -> String {
    let primaries = view.map.connected_primaries.iter();
    let primaries = primaries.map(|(node, witness)| match witness {
        Witness::Ourselves => node.to_string(),
        Witness::Observer(_) => format!("{node} ({witness})"),
    });
    primaries.collect::<Vec<_>>().join(", ")
}

fn present_primary(status: &Status, primary: Option<&str>) -> String {
    let node = status.nodes.iter().find(|it| Some(&*it.name) == primary);
    let timeline = node.and_then(|node| node.timeline);
    let timeline = timeline.map_or_else(String::new, |it| format!(" on timeline {it}"));
    let standbys = status.nodes.iter().filter(|it| it.role == Role::Standby);
    let (well, all) = standbys.fold((0, 0), |(well, all), it| {
        (well + u32::from(it.standing == Standing::Ok), all + 1)
    });
    let standbys = match (well, all) {
        (_, 0) => "no standby".to_owned(),
        (1, 1) => "1 standby".to_owned(),
        (well, all) if well == all => format!("{all} standbys"),
        (well, all) => format!("{well} of {all} standbys in order"),
    };
    let paused = if status.pause.is_some() {
        ", paused"
    } else {
        ""
    };
    format!(
        "primary {}{timeline}, {standbys}{paused}",
        primary.unwrap_or("?")
    )
}

fn lost_primary(view: &View<'_>) -> String {
    let Some(primary) = view.lookout.primary() else {
        return "no primary has been seen".to_owned();
    };
    let state = view.lookout.state();
    let contacts = state.contacts().filter(|(node, ..)| *node == primary);
    let last = contacts.map(|(_, at, ..)| at).max();
    let mut text = format!("primary {primary} is not reached");
    if let Some(at) = last {
        text += &format!(
            ", last reached {:.1} s ago",
            view.now.mono.since(at).as_secs_f64()
        );
    }
    let node = state.nodes.get(primary);
    if let Some(failure) = node.and_then(|node| node.failure.as_ref()) {
        text += &format!(" ({failure})");
    }
    let last = state.history.last_primary.as_ref();
    let lsn = last.filter(|last| last.node == *primary);
    if let Some(lsn) = lsn.and_then(|last| last.lsn) {
        text += &format!(", at {lsn}");
    }
    text
}

pub(super) fn failover(view: &View<'_>, prospect: &Prospect, pause: Option<&Pause>) -> Failover {
    let limit = view.lookout.config().failover_lag;
    let candidate = prospect.candidate.as_ref();
    let name = candidate.map_or("?", |candidate| candidate.node.as_str());
    let mut failover = Failover {
        candidate: candidate.map(|candidate| candidate.node.to_string()),
        limit: seconds(limit),
        ..Failover::default()
    };
    if is_starting(view) {
        failover.state = Readiness::Starting;
        return failover;
    }
    let limit = failover.limit;
    let is_running = matches!(prospect.outlook, Outlook::Running { .. });
    if let Some(pause) = pause.filter(|_| !is_running) {
        (failover.state, failover.sentence) = (Readiness::Paused, pause.sentence());
        return failover;
    }
    (failover.state, failover.sentence) = match &prospect.outlook {
        Outlook::Ready => {
            let config = view.lookout.config();
            let votes = match (&config.own_db, config.deciding_cluster()) {
                (_, Some((_, cluster))) => {
                    let voters = cluster.voters.len();
                    format!("{} of {voters} voters required; ", voters / 2 + 1)
                }
                (Some(_), None) => format!("{}; ", prospect.votes.quorum()),
                (None, None) => String::new(),
            };
            let text = format!("would promote {name}; {votes}limit {limit} s");
            (Readiness::Ready, text)
        }
        Outlook::Countdown { left } => {
            failover.seconds = Some(seconds(*left));
            let text = format!("{name} will be promoted unless a primary is reached before");
            (Readiness::Countdown, text)
        }
        Outlook::Running { daemon } => (
            Readiness::Running,
            format!("pglookout on {daemon} is promoting it"),
        ),
        Outlook::Off => (
            Readiness::Off,
            "failover_on_disconnect is false: only lag over the limit leads to a promotion"
                .to_owned(),
        ),
        Outlook::Blocked { reasons } => {
            failover.reasons.clone_from(reasons);
            (Readiness::Blocked, reasons.join("; "))
        }
    };
    failover
}

/// How long after the last contact with the primary a promotion begins at the latest: the limit, and two
/// rounds of polls in which a host that does not answer takes its time.
pub fn longest_to_promotion(config: &Config) -> Duration {
    config.failover_lag + config.poll_timeout * 4 + LOOK_AGAIN
}

/// What is short of it.
pub(super) fn last_decision(round: &Round) -> Decision {
    let mut decision = Decision::from(round);
    decision.figures = decision.figures.map(|figures| DecisionFigures {
        would_change: figures.would_change,
        ..DecisionFigures::default()
    });
    decision
}
