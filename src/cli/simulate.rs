//! `pglookout simulate CONFIG`: what can happen to the cluster that a configuration describes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Value};
use lexopt::{Error, Parser, ValueExt};

use super::output;
use crate::simulation::{Survey, survey};
use crate::sys::config_file;

/// What is wanted of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Simulate {
    config: PathBuf,
    seed: u64,
    schedules: usize,
}

/// Reads what stands behind the word `simulate`.
pub(super) fn parse(parser: &mut Parser) -> Result<Simulate, Error> {
    let (mut config, mut seed, mut schedules) = (None, 1, SCHEDULES);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seed") => seed = parser.value()?.parse()?,
            Long("schedules") => schedules = parser.value()?.parse()?,
            Value(path) if config.is_none() => config = Some(path.into()),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let config = config.ok_or("the configuration file is missing")?;
    Ok(Simulate { config, seed, schedules })
}

/// Exit 0 if nothing was found that this configuration could do better, 1 if there was, or if it cannot be used.
pub(super) fn main(wanted: &Simulate) -> ExitCode {
    let config = match config_file::load(&wanted.config) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            output::complain(error);
            return ExitCode::FAILURE;
        }
    };
    if config.nodes.len() + config.observers.len() > MOST_HOSTS {
        output::complain(format_args!("{}: more than {MOST_HOSTS} hosts", wanted.config.display()));
        return ExitCode::FAILURE;
    }
    let mut progress = Progress::new();
    let found = survey(&config, wanted.seed, wanted.schedules, |done, all| progress.tell(done, all));
    progress.end();
    let said = output::answer(&report(&wanted.config, wanted.seed, &found));
    if found.is_clean() { said } else { ExitCode::FAILURE }
}

fn report(config: &Path, seed: u64, found: &Survey) -> String {
    let mut text = format!("{}: seed {seed}, {} schedules\n", config.display(), found.schedules);
    let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
    for remark in &found.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    for (finding, plan) in &found.findings {
        let label = if finding.is_blemish() { "reachable" } else { "known" };
        let _ = writeln!(text, "\n{label}: {}\n{}", finding.sentence(), plan.text());
    }
    if let Some((took, plan)) = &found.longest {
        let _ = writeln!(text, "\nlongest time to promotion: {:.1} s\n{}", seconds(*took), plan.text());
    }
    let blemishes = found.findings.iter().filter(|(finding, _)| finding.is_blemish()).count();
    let _ = write!(text, "\n{}", if blemishes == 0 { "clean" } else { "not clean" });
    text
}

/// A line on a terminal that tells how far we are.
struct Progress {
    is_shown: bool,
    said: usize,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), said: 0 }
    }

    fn tell(&mut self, done: usize, all: usize) {
        let percent = done.saturating_mul(100) / all.max(1);
        if self.is_shown && percent > self.said {
            self.said = percent;
            let _ = write!(io::stderr(), "\r{percent:3} % of {all} schedules");
        }
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Random schedules, unless another number is asked for.
const SCHEDULES: usize = 500;
/// All splits of more would take too long.
const MOST_HOSTS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    /// The labels and sentences that a cluster of these settings comes to.
    #[track_caller]
    fn check(settings: &str, expected: &[&str], clean: bool) {
        let text = format!(
            "{{{settings}, \"failover_command\": \"promote\", \"max_failover_replication_time_lag\": 30, \
             \"poll_timeout\": 2}}"
        );
        let config = config::parse(&text, &Environment::default()).unwrap().config;
        let found = survey(&config, 1, 0, |_, _| {});
        let text = report(Path::new("c"), 1, &found);
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(found.is_clean(), clean, "{text}");
    }

    const TWO: &str = r#""remote_conns": {"a": "host=a", "b": "host=b"}"#;
    const THREE: &str = r#""remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c"}"#;
    const FIVE: &str = r#""remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c", "d": "host=d", "e": "host=e"}"#;

    #[test]
    fn recognises_what_a_cluster_is() {
        check(TWO, &["note: two nodes and no observer: a standby cannot tell"], true);
        check(&format!(r#"{TWO}, "failover_quorum": "majority""#), &["nobody is ever promoted"], true);
        check(r#""remote_conns": {"a": "host=a"}"#, &["there is no standby"], true);
        check(&format!(r#"{THREE}, "observers": {{"o": "http://b:1"}}"#), &["o by b"], true);
    }

    #[test]
    fn finds_what_another_configuration_would_do_better() {
        check(FIVE, &["known: two writers unless fenced"], true);
        // A dead primary is looked into before lag is, so observers are never asked, and one of two is no majority.
        check(
            &format!(
                r#"{TWO}, "observers": {{"o": "http://o:1"}}, "failover_quorum": "majority",
                "poll_observers_on_warning_only": true"#
            ),
            &["reachable: more than half of the hosts live and nobody is promoted"],
            false,
        );
    }
}
