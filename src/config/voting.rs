//! `voting` and the keys that belong to it: promotion by a majority of voters.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::document::joined;
use super::environment::{Environment, FileContent};
use super::problem::shown_text;
use super::reader::{Reader, Span};
use super::{
    ClusterName, Config, DemoteSettings, FenceSettings, NodeName, ObserverUrl, Secret, VoterName,
    Voting, VotingCluster, WatchdogSettings, observer_url,
};

/// Reads `voting`. `nodes`: that must be voters, because this daemon watches them and they may be
/// promoted; `own_db`: this daemon's.
pub(super) fn read_voting(
    reader: &mut Reader<'_>,
    environment: &Environment,
    own_db: Option<&NodeName>,
    nodes: &[&NodeName],
) -> Option<Voting> {
    let lease = reader.seconds("lease_time", 20.0, Span::Positive);
    let vote_timeout = reader.seconds("vote_timeout", 2.0, Span::Positive);
    let stagger = reader.seconds("election_stagger", 2.0, Span::Positive);
    let step_aside = reader.seconds("step_aside_time", 30.0, Span::Positive);
    check_times(reader, (lease, vote_timeout), [stagger, step_aside]);
    let fence = read_fence(reader, lease, vote_timeout);
    let demotion = read_demotion(reader, fence.is_some());
    let directory = reader.text("vote_directory", "");
    let entries = reader.object("voting").filter(|it| !it.is_empty());
    if fence.is_some() && entries.is_none() {
        reader.error("fence_command", "expected voting too: a lease is by votes");
    }
    let entries = entries?;
    if directory.is_empty() {
        reader.error(
            "vote_directory",
            "expected a path: voting needs a place for the vote file",
        );
    }
    if own_db.is_some() && entries.len() > 1 {
        reader.error("voting", "expected one cluster: a database node is of one");
    }
    let mut clusters = BTreeMap::new();
    for (name, value) in entries {
        if !is_file_name(name) {
            let key = joined("voting", name);
            reader.error(
                &key,
                "expected a name of at most 63 letters, digits, '-', '_' and '.'",
            );
        }
        let path = joined("voting", name);
        let Some(object) = value.as_object() else {
            reader.error(&path, "expected an object");
            continue;
        };
        let mut reader = Reader::new(object, &path, reader.findings);
        let cluster = read_cluster(&mut reader, environment, own_db, nodes);
        clusters.insert(ClusterName::from(name.as_str()), cluster);
    }
    Some(Voting {
        directory: directory.into(),
        lease,
        vote_timeout,
        stagger,
        step_aside,
        fence,
        demotion,
        clusters,
    })
}

/// Reads `fence_command` and what belongs to it. Two renewals may fail before a lease is lost.
fn read_fence(
    reader: &mut Reader<'_>,
    lease: Duration,
    vote_timeout: Duration,
) -> Option<FenceSettings> {
    let command = reader.command("fence_command");
    let timeout = reader.seconds("fence_timeout", 5.0, Span::Positive);
    let renew = reader.seconds("lease_renew_interval", 2.5, Span::Positive);
    let device = reader.text("watchdog_device", "");
    let watchdog = !device.is_empty();
    let unfence = reader.command("unfence_command");
    for (key, is_set, why) in [
        ("watchdog_device", watchdog, "it is for a fence that fails"),
        (
            "unfence_command",
            unfence.is_some(),
            "it starts what that has stopped",
        ),
    ] {
        if is_set && command.is_none() {
            reader.error(key, format!("expected fence_command too: {why}"));
        }
    }
    let command = command?;
    if renew < vote_timeout {
        reader.error(
            "lease_renew_interval",
            "expected at least vote_timeout: a later round takes the place of the one before",
        );
    }
    let rounds = renew.saturating_add(vote_timeout).saturating_mul(2);
    let least = timeout
        .saturating_add(rounds)
        .saturating_add(Duration::from_secs(1));
    if lease < least {
        let least = least.as_secs_f64();
        let message = format!(
            "expected at least {least} with fence_command: fence_timeout, twice lease_renew_interval and vote_timeout, \
             and a second"
        );
        reader.error("lease_time", message);
    }
    let watchdog = watchdog.then(|| WatchdogSettings {
        device: device.into(),
        timeout: Duration::from_secs(
            lease
                .saturating_sub(renew.saturating_add(vote_timeout))
                .as_secs(),
        ),
    });
    Some(FenceSettings {
        command,
        timeout,
        renew,
        unfence,
        watchdog,
    })
}

/// Reads `demote_command` and what belongs to it. What was stopped must be started again where a
/// switchover comes to nothing.
fn read_demotion(reader: &mut Reader<'_>, has_fence: bool) -> Option<DemoteSettings> {
    const LAG: &str = "switchover_max_lag";
    let command = reader.command("demote_command");
    let timeout = reader.seconds("demote_timeout", 60.0, Span::Positive);
    let max_lag = match reader.filled(LAG) {
        None => DEFAULT_MAX_LAG,
        Some(value) => value.as_u64().filter(|lag| *lag > 0).unwrap_or_else(|| {
            reader.wrong(LAG, value, "expected a number of bytes from 1");
            DEFAULT_MAX_LAG
        }),
    };
    let command = command?;
    if !has_fence {
        reader.error(
            "demote_command",
            "expected fence_command too: a switchover hands a lease over",
        );
    }
    let data_directory = reader.path("pg_data_directory", "/var/lib/pgsql/data");
    let start_command = reader.command("pg_start_command");
    if start_command.is_none() {
        reader.error("pg_start_command", "needed because demote_command is set");
    }
    Some(DemoteSettings {
        command,
        timeout,
        max_lag,
        data_directory,
        start_command: start_command?,
    })
}

/// What leases ask of the other keys.
pub(super) fn check_fence(reader: &mut Reader<'_>, config: &Config) {
    let Some(fence) = config.fence() else {
        return;
    };
    if config.own_db.is_none() {
        reader.warn("fence_command", "is not used: an observer has no server");
    }
    // Or no server could be started before it is given up.
    let least = fence.timeout.saturating_mul(3);
    if config.failover_lag < least {
        let message = format!(
            "expected at least {}: three times fence_timeout",
            least.as_secs_f64()
        );
        reader.error("max_failover_replication_time_lag", message);
    }
}

fn check_times(
    reader: &mut Reader<'_>,
    (lease, vote_timeout): (Duration, Duration),
    [stagger, step_aside]: [Duration; 2],
) {
    if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
        reader.error("lease_time", "expected 3 to 600 seconds");
    } else if lease < vote_timeout * 2 + Duration::from_secs(1) {
        let least = (vote_timeout * 2).as_secs_f64() + 1.0;
        let message = format!("expected at least {least}: twice vote_timeout and a second");
        reader.error("lease_time", message);
    }
    for (key, time) in [
        ("election_stagger", stagger),
        ("step_aside_time", step_aside),
    ] {
        if time <= vote_timeout / 2 {
            reader.error(key, "expected more than half of vote_timeout");
        }
    }
}

fn read_cluster(
    reader: &mut Reader<'_>,
    environment: &Environment,
    own_db: Option<&NodeName>,
    nodes: &[&NodeName],
) -> VotingCluster {
    let generation = match reader
        .filled("generation")
        .map(|value| (value, value.as_u64()))
    {
        Some((_, Some(generation))) if generation > 0 => generation,
        Some((value, _)) => {
            reader.wrong("generation", value, "expected an integer from 1");
            1
        }
        None => {
            reader.error("generation", "expected an integer from 1");
            1
        }
    };
    let voters = read_voters(reader);
    let default = own_db.map_or("", NodeName::as_str);
    let own = VoterName::from(reader.text("self", default).as_str());
    if own_db.is_some_and(|node| node.as_str() != own.as_str()) {
        reader.error(
            "self",
            "expected own_db: a database host's voter is named like its node",
        );
    }
    if !voters.is_empty() && !voters.contains_key(&own) {
        report_left_out(reader, &own, generation);
    }
    let is_voter = |node: &NodeName| voters.contains_key(&VoterName::from(node.as_str()));
    for node in nodes
        .iter()
        .filter(|node| own_db.is_some() && !is_voter(node))
    {
        let message = format!("expected {node} too: every node that may be promoted is a voter");
        reader.error("voters", message);
    }
    let secret_file = reader.path("secret_file", "");
    let secret = read_secret(reader, environment, &secret_file);
    let dry = reader.boolean("dry", false);
    // `secret` stands in recordings, and never holds one.
    let known = [
        "generation",
        "voters",
        "self",
        "secret_file",
        "dry",
        "secret",
    ];
    reader.warn_of_unknown(known.into_iter());
    VotingCluster {
        generation,
        voters,
        own,
        secret_file,
        secret,
        dry,
    }
}

/// A voter that is removed takes part in the change that removes it.
fn report_left_out(reader: &mut Reader<'_>, own: &VoterName, generation: u64) {
    let own = shown_text(own.as_str());
    match generation {
        0 | 1 => reader.error(
            "self",
            format!("{own} is not in voters: expected our own name"),
        ),
        _ => reader.warn(
            "self",
            format!(
                "{own} is not in voters: this daemon votes until list {generation} is sealed, and not any more then"
            ),
        ),
    }
}

fn read_voters(reader: &mut Reader<'_>) -> BTreeMap<VoterName, ObserverUrl> {
    let mut voters = BTreeMap::new();
    let entries = reader.object("voters");
    for (name, value) in entries.into_iter().flatten() {
        let key = joined("voters", name);
        let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        if !is_name || name.contains(char::is_control) {
            reader.error(
                &key,
                format!("expected a name of 1 to {MAX_NAME_BYTES} bytes"),
            );
        }
        // It may hold a password, so it is never shown.
        match value
            .as_str()
            .ok_or("expected a URL as text")
            .and_then(observer_url::parse)
        {
            Ok(url) => drop(voters.insert(VoterName::from(name.as_str()), url)),
            Err(message) => reader.error(&key, message),
        }
    }
    let count = entries.map_or(0, serde_json::Map::len);
    if !(FEWEST_VOTERS..=MOST_VOTERS).contains(&count) {
        let message = format!("found {count}, expected {FEWEST_VOTERS} to {MOST_VOTERS} voters");
        reader.error("voters", message);
    } else if count.is_multiple_of(2) {
        let (lost, fewer) = ((count - 1) / 2, count - 1);
        reader.warn(
            "voters",
            format!("{count} bear the loss of {lost}, as {fewer} do"),
        );
    }
    voters
}

fn read_secret(reader: &mut Reader<'_>, environment: &Environment, file: &Path) -> Option<Secret> {
    if file.as_os_str().is_empty() {
        return None;
    }
    match environment.read_secret_file.read(file) {
        FileContent::Absent => None,
        FileContent::Refused(reason) => {
            let file = Value::from(file.to_string_lossy());
            reader.wrong("secret_file", &file, reason);
            None
        }
        FileContent::Text(text) => {
            // Editors end the last line; not every copy of the file has that.
            let secret = text.trim_end();
            if secret.len() < FEWEST_SECRET_BYTES {
                let expected = format!("expected a file of at least {FEWEST_SECRET_BYTES} bytes");
                reader.error("secret_file", expected);
            }
            Some(Secret::new(secret))
        }
    }
}

/// The vote file is named after the cluster.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('.')
}

/// `switchover_max_lag`: one segment of WAL.
const DEFAULT_MAX_LAG: u64 = 16 << 20;
const FEWEST_VOTERS: usize = 3;
const MOST_VOTERS: usize = 15;
const MAX_NAME_BYTES: usize = 63;
const FEWEST_SECRET_BYTES: usize = 32;
const SHORTEST_LEASE: Duration = Duration::from_secs(3);
const LONGEST_LEASE: Duration = Duration::from_secs(600);

#[cfg(test)]
#[path = "voting_tests.rs"]
mod tests;
