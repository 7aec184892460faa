//! `pglookout check`: everything that can be wrong before it matters; with `--live` on the servers as
//! well. The last line and the exit status are those of a Nagios plugin.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser};

use super::electorate::Electorate;
use super::finding::{Finding, Grade, Report};
use super::{advice, check_live, output, watchdog};
use crate::config::{Config, EvenVotes, Problem};
use crate::daemon::{self, LoadError};
use crate::status::longest_to_promotion;
use crate::sys::files;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckOptions {
    config: PathBuf,
    live: bool,
    json: bool,
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<CheckOptions>, Error> {
    let mut options = CheckOptions::default();
    let mut config = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("live") => options.live = true,
            Long("json") => options.json = true,
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    options.config = config.ok_or("check: the configuration file is missing")?;
    Ok(Some(options))
}

/// Exit 0 all is well, 1 with warnings, 2 if a failover would not work.
pub(super) fn main(options: &CheckOptions) -> ExitCode {
    let mut report = Report::default();
    match daemon::load_config(&options.config) {
        Ok(loaded) => {
            let config = &loaded.config;
            report.findings.extend(of_file(loaded.warnings, config));
            report.findings.extend(directories(config));
            report.findings.push(timing(config));
            report.findings.extend(voting(config));
            let order = watchdog::order(config);
            report
                .findings
                .extend(order.map(|it| Finding::new(Grade::Ok, "watchdog", it)));
            if options.live {
                check_live::add(loaded.config, &mut report);
            }
        }
        Err(LoadError::Broken(_, findings)) => {
            let errors = findings.errors.iter();
            let errors = errors.map(|it| Finding::new(Grade::Fail, FILE, it.to_string()));
            report.findings.extend(errors);
        }
        Err(error) => {
            let finding = Finding::new(Grade::Fail, FILE, error.to_string());
            report.findings.push(finding);
        }
    }
    let worst = report.findings.iter().map(|it| it.grade).max();
    let worst = worst.unwrap_or(Grade::Ok);
    if options.json {
        output::print(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        output::print(&text(&report, worst));
    }
    ExitCode::from(match worst {
        Grade::Ok => 0,
        Grade::Warn => 1,
        Grade::Fail => 2,
    })
}

/// A misspelt key is an error here: a limit that is misspelt is not set.
fn of_file(warnings: Vec<Problem>, config: &Config) -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let search_path: Vec<_> = std::env::split_paths(&path).collect();
    let finding = |problem: &Problem| {
        let is_grave = problem.is_misspelt_key() || problem.key == "failover_command";
        let grade = if is_grave { Grade::Fail } else { Grade::Warn };
        Finding::new(grade, FILE, problem.to_string())
    };
    let advice = advice::warnings(config, &search_path);
    let mut found: Vec<_> = warnings.iter().chain(&advice).map(finding).collect();
    let even = EvenVotes::of(config);
    found.extend(even.map(|it| Finding::new(Grade::Warn, "quorum", it.to_string())));
    if found.is_empty() {
        found.push(Finding::new(Grade::Ok, FILE, "errors 0, warnings 0"));
    }
    found
}

/// Can this account write where the daemon writes.
fn directories(config: &Config) -> Vec<Finding> {
    let of_file = |path: &Path| path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let places = [
        ("json_state_file_path", of_file(&config.state_file)),
        ("alert_file_dir", config.alert_dir.clone()),
    ];
    let wrong = places.iter().filter_map(|(key, directory)| {
        let here = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let error = files::check_writable(here).err()?;
        let text = format!("{key}: {}: {error}", here.display());
        Some(Finding::new(Grade::Fail, "directories", text))
    });
    let mut found: Vec<_> = wrong.collect();
    if found.is_empty() {
        let text = "state file and alerts can be written by this account";
        found.push(Finding::new(Grade::Ok, "directories", text));
    }
    found
}

fn timing(config: &Config) -> Finding {
    let limit = config.failover_lag;
    let worst = longest_to_promotion(config);
    let text = format!(
        "a promotion begins {} s after the last contact with the primary, {} s at the latest",
        limit.as_secs_f64(),
        worst.as_secs_f64()
    );
    Finding::new(Grade::Ok, "failover time", text)
}

/// Only where it is configured, also dry: an operator is to see it before votes decide.
fn voting(config: &Config) -> impl Iterator<Item = Finding> {
    let all = Electorate::all(config).into_iter();
    all.map(|electorate| {
        let grade = match electorate.hangs_on_one_host() {
            true => Grade::Warn,
            false => Grade::Ok,
        };
        Finding::new(grade, "voting", electorate.to_string())
    })
}

fn text(report: &Report, worst: Grade) -> String {
    let rows = report.findings.iter().map(|finding| {
        let grade = match finding.grade {
            Grade::Ok => "ok",
            Grade::Warn => "WARN",
            Grade::Fail => "FAIL",
        };
        [
            grade.to_owned(),
            finding.topic.to_owned(),
            finding.text.clone(),
        ]
    });
    let mut lines = output::aligned(&rows.collect::<Vec<_>>());
    let of_worst = report.findings.iter().filter(|it| it.grade == worst);
    let mut topics: Vec<_> = of_worst.map(|it| it.topic).collect();
    topics.dedup();
    let mut verdict = match worst {
        Grade::Ok => "OK: nothing is wrong".to_owned(),
        Grade::Warn => format!("WARNING: {}", topics.join(", ")),
        Grade::Fail => format!(
            "CRITICAL: failover would not work here: {}",
            topics.join(", ")
        ),
    };
    let figures = report.figures.iter();
    let figures: Vec<_> = figures
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !figures.is_empty() {
        verdict += &format!(" | {}", figures.join(" "));
    }
    lines.push(verdict);
    lines.join("\n")
}

const FILE: &str = "configuration";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_a_plugins() {
        let mut report = Report {
            findings: vec![Finding::new(
                Grade::Ok,
                "configuration",
                "errors 0, warnings 0",
            )],
            figures: vec![("lag_bytes", "0".to_owned()), ("votes", "3;2".to_owned())],
        };
        assert_eq!(
            text(&report, Grade::Ok),
            "ok  configuration  errors 0, warnings 0\nOK: nothing is wrong | lag_bytes=0 votes=3;2"
        );
        let finding = Finding::new(Grade::Fail, "login", "s1: no route to host");
        report.findings.push(finding);
        assert_eq!(
            text(&report, Grade::Fail),
            "ok    configuration  errors 0, warnings 0\nFAIL  login          s1: no route to host\n\
            CRITICAL: failover would not work here: login | lag_bytes=0 votes=3;2"
        );
    }

    #[test]
    fn options() {
        let parsed = parse(&mut Parser::from_args(["c.json", "--live"]))
            .unwrap()
            .unwrap();
        assert!(parsed.live && !parsed.json && parsed.config == Path::new("c.json"));
        assert!(parse(&mut Parser::from_args(["--live"])).is_err());
        assert!(parse(&mut Parser::from_args(["a", "b"])).is_err());
    }
}
