//! What a look at the servers, observers and other daemons finds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Finding, Grade, Report};
use crate::config::{Config, NodeName};
use crate::daemon::{self, Seen};
use crate::status::{Health, MAX_CLOCK_SKEW, Node, Role, Standing, Status};
use crate::sys::temporary::TemporaryDirectory;

/// Looks, and appends what was found.
pub(super) fn add(config: Config, report: &mut Report) {
    let own = config.own_db.clone();
    let elects = config.deciding_cluster().is_some();
    let limit = config.poll_timeout * 3 + Duration::from_secs(1);
    let seen = TemporaryDirectory::new("pglookout-check")
        .map_err(|error| format!("a temporary directory: {error}"))
        .and_then(|directory| daemon::look_once(config, directory.path(), limit));
    match seen {
        Ok(seen) => of_seen(&seen, own.as_ref(), elects, report),
        Err(error) => {
            let finding = Finding::new(Grade::Fail, "live", error);
            report.findings.push(finding);
        }
    }
}

/// `elects`: voters decide, and `failover_quorum` is not asked.
fn of_seen(seen: &Seen, own: Option<&NodeName>, elects: bool, report: &mut Report) {
    let status = &seen.status;
    let findings = &mut report.findings;
    findings.extend(logins(status, &seen.answered));
    findings.push(primary(status));
    findings.extend(standbys(status));
    findings.extend(rewind(status));
    findings.extend(versions(status));
    findings.push(rights(status));
    findings.extend(clocks(status));
    findings.extend(observers(status));
    findings.extend(daemons(status, own));
    findings.push(match elects {
        true => Finding::new(
            Grade::Ok,
            "quorum",
            "not asked, voters elect: `pglookout votes` shows whether they answer",
        ),
        false => votes(status),
    });
    let lags = status.nodes.iter().filter_map(|node| node.lag_bytes);
    let most = lags
        .max()
        .map_or_else(|| "U".to_owned(), |lag| lag.to_string());
    report.figures.push(("lag_bytes", most));
    let (known, required) = (status.votes.known, status.votes.required);
    report
        .figures
        .push(("votes", format!("{known};;{required}:")));
}

fn logins(status: &Status, answered: &BTreeMap<NodeName, Duration>) -> Vec<Finding> {
    let good = answered.iter().map(|(node, time)| {
        let millis = time.as_secs_f64() * 1_000.0;
        format!("{node} {millis:.0} ms")
    });
    let good: Vec<_> = good.collect();
    // What an observer reaches is not reached from here.
    let is_answered = |node: &&Node| answered.contains_key(&NodeName::from(node.name.as_str()));
    let failed = status.nodes.iter().filter(|node| !is_answered(node));
    let failed = failed.map(|node| {
        let why = node.failure.as_deref().unwrap_or("no answer in time");
        Finding::new(Grade::Fail, "login", format!("{}: {why}", node.name))
    });
    let good = (!good.is_empty()).then(|| Finding::new(Grade::Ok, "login", good.join(", ")));
    good.into_iter().chain(failed).collect()
}

fn primary(status: &Status) -> Finding {
    let primaries = status.nodes.iter();
    let primaries = primaries.filter(|node| node.role == Role::Primary && node.connected);
    let names: Vec<_> = primaries.map(|node| node.name.as_str()).collect();
    match (names.as_slice(), status.cluster.state) {
        ([one], Health::Healthy | Health::Degraded) => Finding::new(Grade::Ok, "primary", *one),
        ([], _) => Finding::new(Grade::Fail, "primary", "no server is a primary"),
        _ => Finding::new(Grade::Fail, "primary", status.cluster.sentence.clone()),
    }
}

fn standbys(status: &Status) -> Vec<Finding> {
    let standbys = status.nodes.iter();
    let standbys: Vec<_> = standbys
        .filter(|node| node.role == Role::Standby && node.connected)
        .collect();
    let mut found = Vec::new();
    for standby in &standbys {
        let name = &standby.name;
        let wrong = match standby.standing {
            Standing::Diverged => "is of another history than the primary",
            Standing::OldTimeline => "is on an older timeline than the primary",
            Standing::OtherCluster => "is a server of another cluster (system identifier)",
            Standing::Lagging => "is behind by more than warning_replication_time_lag",
            _ if standby.receive.is_none() => "has not streamed since its start",
            _ => continue,
        };
        let grade = match standby.standing {
            Standing::Lagging | Standing::Ok => Grade::Warn,
            _ => Grade::Fail,
        };
        found.push(Finding::new(grade, "standbys", format!("{name} {wrong}")));
    }
    if standbys.is_empty() {
        let text = "no standby is reached: nobody could be promoted";
        found.push(Finding::new(Grade::Fail, "standbys", text));
    } else if found.is_empty() {
        let shown = standbys.iter().map(|node| of_standby(node));
        let shown: Vec<_> = shown.collect();
        found.push(Finding::new(Grade::Ok, "standbys", shown.join(", ")));
    }
    found
}

fn of_standby(node: &Node) -> String {
    let upstream = node.upstream.as_ref();
    let from = upstream.map_or_else(String::new, |it| format!(" streams from {it}"));
    let timeline = node.timeline;
    let timeline = timeline.map_or_else(String::new, |it| format!(" timeline {it}"));
    let lag = node.lag_bytes;
    let lag = lag.map_or_else(String::new, |it| format!(", {it} bytes behind"));
    format!("{}{from}{timeline}{lag}", node.name)
}

fn rewind(status: &Status) -> Option<Finding> {
    let asked = status.nodes.iter();
    let (good, bad): (Vec<_>, Vec<_>) = asked
        .filter_map(|node| Some((node.can_be_rewound?, node.name.as_str())))
        .partition(|(can, _)| *can);
    if !bad.is_empty() {
        let names: Vec<_> = bad.iter().map(|(_, name)| *name).collect();
        let text = format!(
            "pg_rewind will not work, wal_log_hints and data checksums are off: {}",
            names.join(", ")
        );
        return Some(Finding::new(Grade::Warn, "rewind", text));
    }
    let text = "wal_log_hints or data checksums are on everywhere";
    (!good.is_empty()).then(|| Finding::new(Grade::Ok, "rewind", text))
}

fn versions(status: &Status) -> Option<Finding> {
    let nodes = status.nodes.iter();
    let known = nodes.filter_map(|node| Some((node.version.as_deref()?, node.name.as_str())));
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (version, node) in known {
        by_version.entry(version).or_default().push(node);
    }
    let shown = by_version.iter();
    let shown: Vec<_> = shown
        .map(|(version, nodes)| format!("PostgreSQL {version} on {}", nodes.join(", ")))
        .collect();
    let grade = if by_version.len() > 1 {
        Grade::Warn
    } else {
        Grade::Ok
    };
    (!shown.is_empty()).then(|| Finding::new(grade, "versions", shown.join("; ")))
}

/// What the account may see, by what it was shown.
fn rights(status: &Status) -> Finding {
    let connected = || status.nodes.iter().filter(|node| node.connected);
    let names = |lacks: fn(&Node) -> bool| {
        let lacking = connected().filter(|node| lacks(node));
        lacking.map(|node| node.name.as_str()).collect::<Vec<_>>()
    };
    let blind = names(|node| node.timeline.is_none());
    if !blind.is_empty() {
        let text = format!(
            "no timeline can be read, pg_control_checkpoint and the like are revoked: {}",
            blind.join(", ")
        );
        return Finding::new(Grade::Warn, "rights", text);
    }
    let hidden = names(|node| node.shows_daemons == Some(false));
    if !hidden.is_empty() {
        let text = format!(
            "no sessions of daemons are shown (a pooler, or an application_name that is set): {}",
            hidden.join(", ")
        );
        return Finding::new(Grade::Warn, "rights", text);
    }
    let mut standbys = connected().filter(|node| node.role == Role::Standby);
    let text = match standbys.any(|node| node.upstream.is_some()) {
        true => "identity, sessions, and who streams from whom",
        false => "identity and sessions; who streams from whom is shown with pg_monitor",
    };
    Finding::new(Grade::Ok, "rights", text)
}

/// Nothing is decided by a server's clock; lag and logs are read by it.
fn clocks(status: &Status) -> Option<Finding> {
    let nodes = status.nodes.iter();
    let clocks = nodes.filter_map(|node| Some((node.clock?, node.name.as_str())));
    let (ahead, name) = clocks.max_by(|(one, _), (other, _)| one.abs().total_cmp(&other.abs()))?;
    let off = ahead.abs();
    Some(if off > MAX_CLOCK_SKEW.as_secs_f64() {
        let side = if ahead > 0.0 { "ahead of" } else { "behind" };
        let text = format!("the clock of {name} is {off:.1} s {side} this host's");
        Finding::new(Grade::Warn, "clocks", text)
    } else {
        Finding::new(Grade::Ok, "clocks", format!("within {off:.2} s"))
    })
}

fn observers(status: &Status) -> Vec<Finding> {
    let silent = status.observers.iter().filter(|it| !it.connected);
    let silent = silent.map(|it| {
        let why = it.failure.as_deref().unwrap_or("no answer in time");
        Finding::new(Grade::Fail, "observers", format!("{}: {why}", it.name))
    });
    let warnings = status.warnings.iter();
    let warnings = warnings.map(|text| Finding::new(Grade::Warn, "cluster", text.clone()));
    let mut found: Vec<_> = silent.collect();
    if found.is_empty() && !status.observers.is_empty() {
        let names: Vec<_> = status.observers.iter().map(|it| it.name.as_str()).collect();
        found.push(Finding::new(Grade::Ok, "observers", names.join(", ")));
    }
    found.extend(warnings);
    found
}

/// The daemons of the other nodes; ours may not run yet.
fn daemons(status: &Status, own: Option<&NodeName>) -> Vec<Finding> {
    let is_own = |node: &&Node| own.is_some_and(|own| node.name == own.as_str());
    let others = status
        .nodes
        .iter()
        .filter(|node| !is_own(node) && node.connected);
    let missing: Vec<_> = others
        .filter(|node| node.daemon.is_none())
        .map(|node| node.name.as_str())
        .collect();
    let mut found = Vec::new();
    if !missing.is_empty() {
        let text = format!(
            "no pglookout shows itself on {}: it does not run there, or servers hide it",
            missing.join(", ")
        );
        found.push(Finding::new(Grade::Warn, "daemons", text));
    }
    let differ = status.daemons.iter().filter(|it| !it.agrees);
    let differ: Vec<_> = differ.map(|it| it.name.as_str()).collect();
    if !differ.is_empty() {
        let text = format!(
            "other nodes, limits, intervals, quorum or priorities than in this file: {}",
            differ.join(", ")
        );
        found.push(Finding::new(Grade::Warn, "daemons", text));
    }
    // The check's own session is none.
    let shown = status.daemons.iter().filter(|it| it.name != status.daemon);
    let mut shown = shown.peekable();
    if found.is_empty() && shown.peek().is_some() {
        let shown: Vec<_> = shown
            .map(|it| format!("{} {}", it.name, it.state))
            .collect();
        found.push(Finding::new(Grade::Ok, "daemons", shown.join(", ")));
    }
    found
}

fn votes(status: &Status) -> Finding {
    let votes = &status.votes;
    let (known, required, total) = (votes.known, votes.required, votes.total);
    let text = match known.checked_sub(required) {
        Some(spare) => format!(
            "{known} of {total} votes without the primary, {required} required: {spare} more may be lost"
        ),
        None => format!("{known} of {total} votes without the primary, {required} required"),
    };
    let grade = if known >= required {
        Grade::Ok
    } else {
        Grade::Fail
    };
    Finding::new(grade, "quorum", text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is found of a cluster of p and s1 in which these keys are others, without what is well.
    #[track_caller]
    fn check(changes: Value, expected: &[(Grade, &str)]) {
        let mut status = json!({
            "cluster": {"state": "healthy", "primary": "p"},
            "nodes": [
                {"name": "p", "role": "primary", "standing": "ok", "connected": true, "version": "15.4", "can_be_rewound": true,
                    "timeline": 1, "clock": 0.01, "daemon": {"state": "primary"}},
                {"name": "s1", "role": "standby", "standing": "ok", "connected": true, "version": "15.4", "can_be_rewound": true,
                    "receive": "0/50", "lag_bytes": 0, "upstream": "p", "timeline": 1},
            ],
            "observers": [{"name": "o", "connected": true}],
            "daemons": [{"name": "p", "state": "primary", "agrees": true}],
            "votes": {"known": 2, "required": 2, "total": 3},
        });
        for (pointer, value) in changes.as_object().unwrap() {
            let (place, key) = pointer.rsplit_once('/').unwrap();
            status.pointer_mut(place).unwrap()[key] = value.clone();
        }
        let answered = if changes.get("/nodes/1/failure").is_some() {
            vec!["p"]
        } else {
            vec!["p", "s1"]
        };
        let seen = Seen {
            status: serde_json::from_value(status).unwrap(),
            answered: answered
                .iter()
                .map(|node| (NodeName::from(*node), Duration::from_millis(12)))
                .collect(),
        };
        let mut report = Report::default();
        of_seen(&seen, Some(&"s1".into()), false, &mut report);
        let wrong = report.findings.iter().filter(|it| it.grade != Grade::Ok);
        let wrong: Vec<_> = wrong.map(|it| (it.grade, it.text.as_str())).collect();
        assert_eq!(wrong, expected);
    }

    #[test]
    fn nothing_is_wrong_where_all_is_well() {
        check(json!({}), &[]);
    }

    #[test]
    fn failover_quorum_is_no_finding_where_voters_elect() {
        let status = json!({"votes": {"known": 0, "required": 2, "total": 3}});
        let seen = Seen {
            status: serde_json::from_value(status).unwrap(),
            answered: BTreeMap::new(),
        };
        let quorum = |elects: bool| {
            let mut report = Report::default();
            of_seen(&seen, None, elects, &mut report);
            let mut found = report.findings.iter();
            found.find(|it| it.topic == "quorum").unwrap().grade
        };
        assert_eq!((quorum(false), quorum(true)), (Grade::Fail, Grade::Ok));
    }

    #[test]
    fn whatever_would_stop_a_failover_is_found() {
        check(
            json!({"/nodes/1/connected": false, "/nodes/1/failure": "refused"}),
            &[
                (Grade::Fail, "s1: refused"),
                (
                    Grade::Fail,
                    "no standby is reached: nobody could be promoted",
                ),
            ],
        );
        check(
            json!({"/nodes/1/standing": "diverged"}),
            &[(Grade::Fail, "s1 is of another history than the primary")],
        );
        check(
            json!({"/nodes/1/receive": null}),
            &[(Grade::Warn, "s1 has not streamed since its start")],
        );
        check(
            json!({"/votes/known": 1}),
            &[(Grade::Fail, "1 of 3 votes without the primary, 2 required")],
        );
        check(
            json!({"/observers/0/connected": false}),
            &[(Grade::Fail, "o: no answer in time")],
        );
    }

    #[test]
    fn what_should_be_mended_is_found() {
        check(
            json!({"/nodes/0/can_be_rewound": false}),
            &[(
                Grade::Warn,
                "pg_rewind will not work, wal_log_hints and data checksums are off: p",
            )],
        );
        check(
            json!({"/nodes/1/version": "16.1"}),
            &[(Grade::Warn, "PostgreSQL 15.4 on p; PostgreSQL 16.1 on s1")],
        );
        check(
            json!({"/nodes/0/timeline": null}),
            &[(
                Grade::Warn,
                "no timeline can be read, pg_control_checkpoint and the like are revoked: p",
            )],
        );
        check(
            json!({"/nodes/1/shows_daemons": false}),
            &[(
                Grade::Warn,
                "no sessions of daemons are shown (a pooler, or an application_name that is set): s1",
            )],
        );
        check(
            json!({"/nodes/1/clock": -7.25}),
            &[(Grade::Warn, "the clock of s1 is 7.2 s behind this host's")],
        );
        check(
            json!({"/nodes/0/daemon": null}),
            &[(
                Grade::Warn,
                "no pglookout shows itself on p: it does not run there, or servers hide it",
            )],
        );
        check(
            json!({"/daemons/0/agrees": false}),
            &[(
                Grade::Warn,
                "other nodes, limits, intervals, quorum or priorities than in this file: p",
            )],
        );
    }
}
