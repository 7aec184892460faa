//! `pglookout simulate CONFIG`: what can happen to the cluster that a configuration describes.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Value};
use lexopt::{Error, Parser, ValueExt};

use super::electorate::Electorate;
use super::{config_file, output};
use crate::config::Config;
use crate::simulation::{Case, Finding, Survey, record, survey};
use crate::sys::files;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Simulate {
    config: PathBuf,
    seed: u64,
    schedules: usize,
    /// A directory for the timelines of the findings.
    timelines: Option<PathBuf>,
}

/// Reads the arguments after `simulate`.
pub(super) fn parse(parser: &mut Parser) -> Result<Simulate, Error> {
    let (mut config, mut seed, mut schedules, mut timelines) = (None, 1, SCHEDULES, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seed") => seed = parser.value()?.parse()?,
            Long("schedules") => schedules = parser.value()?.parse()?,
            Long("timelines") => timelines = Some(parser.value()?.into()),
            Value(path) if config.is_none() => config = Some(path.into()),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let config = config.ok_or("the configuration file is missing")?;
    Ok(Simulate {
        config,
        seed,
        schedules,
        timelines,
    })
}

/// Exit 1 if another configuration would do better, 2 if the cluster cannot be simulated.
pub(super) fn main(options: &Simulate) -> ExitCode {
    match simulate(options) {
        Ok((found, text)) => {
            let printed = output::print(&text);
            if found.is_clean() {
                printed
            } else {
                ExitCode::FAILURE
            }
        }
        Err(reason) => {
            output::print_error(reason);
            ExitCode::from(NOTHING_SIMULATED)
        }
    }
}

fn simulate(options: &Simulate) -> Result<(Survey, String), String> {
    let config = config_file::load(&options.config)?;
    let (nodes, observers) = (config.nodes.len(), config.observers.len());
    let path = options.config.display();
    if nodes == 0 {
        return Err(format!(
            "{path}: remote_conns names no database server: there is nothing to simulate"
        ));
    }
    if nodes + observers > MAX_HOSTS {
        return Err(format!(
            "{path}: {nodes} servers and {observers} observers; at most {MAX_HOSTS} can be simulated"
        ));
    }
    let mut progress = Progress::new();
    let found = survey(&config, options.seed, options.schedules, |done, all| {
        progress.show(done, all)
    });
    progress.end();
    let written = options
        .timelines
        .as_deref()
        .map(|folder| write_timelines(folder, &found))
        .transpose();
    written.map_err(|error| format!("--timelines: {error}"))?;
    let text = report(options, &config, &found);
    Ok((found, text))
}

/// One file for each finding, with the timelines of the daemons involved.
fn write_timelines(folder: &Path, found: &Survey) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for (finding, case) in &found.findings {
        files::replace(
            &timeline_path(folder, finding),
            record(&case.plan, &case.hosts()).as_bytes(),
        )?;
    }
    Ok(())
}

fn timeline_path(folder: &Path, finding: &Finding) -> PathBuf {
    folder.join(finding.name()).with_extension("jsonl")
}

fn report(options: &Simulate, config: &Config, found: &Survey) -> String {
    let mut text = summary(options, config, found);
    for electorate in Electorate::all(config) {
        let _ = writeln!(text, "voting: {electorate}");
    }
    for remark in &found.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    for (finding, case) in &found.findings {
        text += &describe(finding, case, found);
        if let Some(folder) = &options.timelines {
            let _ = writeln!(
                text,
                "  why: pglookout replay --text {}",
                timeline_path(folder, finding).display()
            );
        }
    }
    if let Some((took, case)) = &found.longest {
        let took = Duration::from_micros(*took).as_secs_f64();
        let _ = writeln!(
            text,
            "\nlongest time to a promotion: {took:.1} s, after: {}",
            case.cause()
        );
    }
    let problems = found
        .findings
        .iter()
        .filter(|(finding, _)| finding.is_problem())
        .count();
    let _ = match problems {
        0 => write!(text, "\nno problem found"),
        _ if found.remedies.is_empty() => write!(text, "\nproblems: {problems}"),
        _ => write!(
            text,
            "\nproblems: {problems}; with the remedies, which were simulated too, there is none"
        ),
    };
    text
}

fn summary(options: &Simulate, config: &Config, found: &Survey) -> String {
    let (path, seed) = (options.config.display(), options.seed);
    let (nodes, observers) = (config.nodes.len(), config.observers.len());
    let (single, left_out) = found.single_faults;
    let which = match left_out {
        0 => "every single crash, cut connection, split in two and daemon that cannot promote"
            .to_owned(),
        _ => format!(
            "{single} of {} single crashes, cut connections, splits in two and daemons that cannot promote",
            left_out.saturating_add(single as u64)
        ),
    };
    format!(
        "{path}: servers {nodes}, observers {observers}, failover_quorum {}\n\
         simulated: {which}, and {} schedules of several faults drawn from seed {seed}\n",
        config.quorum.name(),
        found.drawn,
    )
}

fn describe(finding: &Finding, case: &Case, found: &Survey) -> String {
    let label = if finding.is_problem() {
        "PROBLEM"
    } else {
        "RISK"
    };
    let has_remedy = finding.is_problem() && !found.remedies.is_empty();
    let remedy = if has_remedy {
        found.remedies.join("\n  or: ")
    } else {
        finding.advice().to_owned()
    };
    format!(
        "\n{label}: {}\n  do: {remedy}\n{}\n",
        finding.sentence(),
        case.lines().join("\n")
    )
}

/// A line on a terminal.
struct Progress {
    is_shown: bool,
    shown: usize,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            shown: 0,
        }
    }

    fn show(&mut self, done: usize, all: usize) {
        let percent = done.saturating_mul(100) / all.max(1);
        if self.is_shown && percent > self.shown {
            self.shown = percent;
            let _ = write!(io::stderr(), "\r{percent:3} % of {all} schedules");
        }
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The default.
const SCHEDULES: usize = 500;
/// More would take too long; and a split is a number of so many bits.
const MAX_HOSTS: usize = 30;
/// As for wrong usage.
const NOTHING_SIMULATED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    /// The report on a cluster of these settings, which holds these parts.
    #[track_caller]
    fn check_all(settings: &str, expected: &[&str], clean: bool) -> String {
        let text = format!("{{{settings}, \"failover_command\": \"promote\"}}");
        let config = config::parse(&text, &Environment::default())
            .unwrap()
            .config;
        let found = survey(&config, 1, 0, |_, _| {});
        let wanted = Simulate {
            config: "c".into(),
            seed: 1,
            schedules: 0,
            timelines: None,
        };
        let text = report(&wanted, &config, &found);
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(found.is_clean(), clean, "{text}");
        text
    }

    /// With a limit of half a minute.
    #[track_caller]
    fn check(settings: &str, expected: &[&str], clean: bool) -> String {
        let limits = r#""max_failover_replication_time_lag": 30, "poll_timeout": 2"#;
        check_all(&format!("{settings}, {limits}"), expected, clean)
    }

    const TWO: &str = r#""own_db": "a", "remote_conns": {"a": "host=a", "b": "host=b"}"#;
    const THREE: &str =
        r#""own_db": "a", "remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c"}"#;
    const FOUR: &str = r#""own_db": "a", "remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c", "d": "host=d"}"#;
    const MAJORITY: &str = r#""failover_quorum": "majority""#;
    const OBSERVER: &str = r#""observers": {"o": "http://o:1"}"#;

    #[test]
    fn three_of_a_kind_are_no_problem() {
        check(
            THREE,
            &[
                "RISK: two primaries where the old primary is only isolated",
                "no problem found",
            ],
            true,
        );
        check(&format!("{TWO}, {OBSERVER}"), &["no problem found"], true);
        check(&format!("{FOUR}, {MAJORITY}"), &["no problem found"], true);
    }

    /// These vote and have leases, with times that do not take long.
    fn leases(dry: bool, voters: &[&str]) -> String {
        let url = |voter: &&str| format!(r#""{voter}": "http://{voter}:15000""#);
        let voters: Vec<_> = voters.iter().map(url).collect();
        format!(
            r#""vote_directory": "/v", "vote_timeout": 1, "lease_time": 8, "lease_renew_interval": 1, "fence_timeout": 2,
            "election_stagger": 1, "step_aside_time": 2, "fence_command": "fence", "voting": {{"main": {{"generation": 1,
            "secret_file": "/s", "dry": {dry}, "voters": {{{}}}}}}}"#,
            voters.join(", ")
        )
    }

    #[test]
    fn with_leases_no_old_primary_writes_on_and_without_a_majority_it_stops() {
        let well = format!("{THREE}, {}", leases(true, &["a", "b", "c"]));
        let text = check(
            &well,
            &[
                "note: voting is dry: simulated as if votes decided",
                "no problem found",
            ],
            true,
        );
        assert!(!text.contains("RISK: two primaries"), "{text}");
        let even = format!("{FOUR}, {}", leases(false, &["a", "b", "c", "d"]));
        let stops = "RISK: no primary: the primary has lost the majority of the voters";
        check(&even, &[stops], true);
    }

    #[test]
    fn votes_of_whoever_is_not_there_are_not_simulated() {
        let voters = leases(false, &["a", "b", "c", "somewhere"]);
        let text = check(
            &format!("{THREE}, {voters}"),
            &[
                "note: voting is not simulated, as if there were none: the voter somewhere is no server and no observer of it",
                "RISK: two primaries where the old primary is only isolated",
            ],
            true,
        );
        assert!(text.contains("no problem found"), "{text}");
    }

    /// The host that simulates is called like a server, as it often is.
    #[test]
    fn the_name_of_this_host_does_not_matter() {
        let text = format!(
            r#"{{{THREE}, {MAJORITY}, {OBSERVER}, "failover_command": "x", "max_failover_replication_time_lag": 30}}"#
        );
        let environment = Environment {
            host_name: Some("b".to_owned()),
            ..Environment::default()
        };
        let config = config::parse(&text, &environment).unwrap().config;
        let setup = crate::simulation::Setup::new(&config, 0);
        let names = setup.configs.iter().map(|it| it.host_name.as_deref());
        assert_eq!(names.collect::<Vec<_>>(), [None, None, None, Some("o")]);
    }

    #[test]
    fn two_servers_alone_get_a_remedy() {
        let split = [
            "PROBLEM: two primaries: the network splits",
            "do: one more observer",
            "a network failure",
        ];
        check(TWO, &split, false);
        let never = [
            "PROBLEM: no failover: no standby is ever promoted",
            "do: one more observer",
        ];
        check(&format!("{TWO}, {MAJORITY}"), &never, false);
    }

    #[test]
    fn a_cut_connection_between_two_servers_alone_promotes() {
        let cut = [
            "PROBLEM: two primaries: two hosts cannot connect to each other",
            "connections from a to b are cut",
        ];
        check(TWO, &cut, false);
    }

    #[test]
    fn a_daemon_that_nobody_can_replace_is_a_risk() {
        let needed = "RISK: no failover while the daemon of one host is down";
        let text = check(&format!("{TWO}, {OBSERVER}"), &[needed], true);
        assert!(text.contains("the daemon of b is killed"), "{text}");
        // A second standby takes its place.
        assert!(!check(THREE, &[], true).contains(needed));
    }

    #[test]
    fn a_limit_shorter_than_a_pause_of_the_primary_is_a_risk() {
        let pause = "RISK: two primaries where the primary answers nobody for 5 s";
        let fast = r#""db_poll_interval": 1, "replication_state_check_interval": 1"#;
        let limit = |limit| {
            format!(
                "{THREE}, {fast}, \"max_failover_replication_time_lag\": {limit}, \"poll_timeout\": 1"
            )
        };
        check_all(&limit(2), &[pause], true);
        assert!(!check_all(&limit(10), &[], true).contains(pause));
    }

    #[test]
    fn a_node_called_gone_has_no_vote_in_its_death() {
        check(
            &format!(r#"{THREE}, "known_gone_nodes": ["c"]"#),
            &[
                "PROBLEM: two primaries: the network splits",
                "do: no \"known_gone_nodes\"",
            ],
            false,
        );
    }

    #[test]
    fn an_even_split_is_recognised() {
        let even = [
            "PROBLEM: two primaries: the network splits",
            "do: \"failover_quorum\": \"majority\"",
        ];
        check(FOUR, &even, false);
        check(&format!("{THREE}, {OBSERVER}"), &even, false);
        // Who may never be promoted has no vote.
        check(
            &format!(r#"{THREE}, "never_promote_these_nodes": ["c"]"#),
            &["do: no \"never_promote"],
            false,
        );
    }

    #[test]
    fn observers_in_one_place_are_recognised() {
        let two =
            |url: &str| format!(r#"{THREE}, "observers": {{"o": "http://o:1", "o2": "{url}"}}"#);
        check(
            &two("http://o2:1"),
            &["RISK: no failover where all observers are unreachable together"],
            true,
        );
        let shared = [
            "note: observers that share a host",
            "do: every observer on a host of its own",
        ];
        check(&two("http://o:2"), &shared, false);
        check(&two("http://b:1"), &["o2 on the host of b"], false);
    }

    #[test]
    fn a_cluster_that_never_promotes_is_reported() {
        let never = "PROBLEM: no failover: no standby is ever promoted";
        check(
            &format!(r#"{THREE}, "never_promote_these_nodes": ["a", "b", "c"]"#),
            &[never, "do: no \"never_promote"],
            false,
        );
        let one = r#""own_db": "a", "remote_conns": {"a": "host=a"}"#;
        check(
            one,
            &[
                "there is no standby",
                never,
                "do: one more observer, at a site of its own, and one more standby",
            ],
            false,
        );
        // Observers are asked as soon as no primary is reached.
        check(
            &format!(r#"{TWO}, {OBSERVER}, {MAJORITY}, "poll_observers_on_warning_only": true"#),
            &["no problem found"],
            true,
        );
    }
}
