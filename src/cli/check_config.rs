//! `pglookout --check-config CONFIG`: every error, warning and note.

use std::path::Path;
use std::process::ExitCode;

use super::electorate::Electorate;
use super::{advice, output, watchdog};
use crate::config::{EvenVotes, Findings, Problem};
use crate::daemon::{self, LoadError};

/// Exit 0 if the configuration can be used, with or without warnings.
pub(super) fn main(config: &Path) -> ExitCode {
    let (findings, notes) = match daemon::load_config(config) {
        Ok(loaded) => {
            let even = EvenVotes::of(&loaded.config);
            let even = even.map(|even| even.to_string());
            let electorates = Electorate::all(&loaded.config).into_iter();
            let electorates = electorates.map(|it| format!("voting: {it}"));
            let order = watchdog::order(&loaded.config).map(|it| format!("voting: {it}"));
            let notes: Vec<_> = even.into_iter().chain(electorates).chain(order).collect();
            let path = std::env::var_os("PATH").unwrap_or_default();
            let search_path: Vec<_> = std::env::split_paths(&path).collect();
            let mut warnings = loaded.warnings;
            warnings.extend(advice::warnings(&loaded.config, &search_path));
            let errors = Vec::new();
            (Findings { errors, warnings }, notes)
        }
        Err(LoadError::Broken(_, findings)) => (*findings, Vec::new()),
        Err(error) => return output::fail(error),
    };
    let printed = output::print(&report(config, &findings, &notes));
    if findings.errors.is_empty() {
        printed
    } else {
        ExitCode::FAILURE
    }
}

fn report(config: &Path, findings: &Findings, notes: &[String]) -> String {
    let line = |label: &'static str| move |problem: &Problem| format!("{label}: {problem}");
    let mut lines: Vec<_> = findings.errors.iter().map(line("error")).collect();
    lines.extend(findings.warnings.iter().map(line("warning")));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    let verdict = if findings.errors.is_empty() {
        "can be used"
    } else {
        "cannot be used"
    };
    let (errors, warnings) = (findings.errors.len(), findings.warnings.len());
    lines.push(format!(
        "{} {verdict}: errors {errors}, warnings {warnings}",
        config.display()
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_errors_before_warnings_and_a_verdict_last() {
        let problem = |key: &str| Problem {
            key: key.to_owned(),
            value: None,
            message: "m".to_owned(),
        };
        let findings = Findings {
            errors: vec![problem("a")],
            warnings: vec![problem("b"), problem("c")],
        };
        let expected =
            "error: a: m\nwarning: b: m\nwarning: c: m\nf cannot be used: errors 1, warnings 2";
        assert_eq!(report(Path::new("f"), &findings, &[]), expected);
        assert_eq!(
            report(Path::new("f"), &Findings::default(), &[]),
            "f can be used: errors 0, warnings 0"
        );
        let note = EvenVotes {
            voters: vec!["p".to_owned(), "s1".to_owned()],
        };
        assert!(
            report(Path::new("f"), &Findings::default(), &[note.to_string()])
                .starts_with("note: failover_quorum: half")
        );
    }
}
