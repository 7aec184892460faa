//! `pglookout ack CONFIG ALERT...`: removes alert files, by which an operator ends an alert.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::{config_file, output};
use crate::format::alert_files;
use crate::sys::files;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    config: PathBuf,
    /// At least one, each the name of one.
    alerts: Vec<&'static str>,
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<Ack>, Error> {
    let mut config = None;
    let mut alerts = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            Value(name) => alerts.push(named(&name.string()?)?),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let config = config.ok_or("ack: the configuration file is missing")?;
    if alerts.is_empty() {
        return Err("ack: the name of an alert is missing".into());
    }
    Ok(Some(Ack { config, alerts }))
}

fn named(name: &str) -> Result<&'static str, Error> {
    let names = alert_files();
    let found = names.iter().find(|known| **known == name);
    found.copied().ok_or_else(|| {
        let names = names.join(", ");
        format!("ack: {name:?} is no alert; expected one of: {names}").into()
    })
}

/// Exit 1 if one cannot be removed. One that is not there is ended already.
pub(super) fn main(ack: &Ack) -> ExitCode {
    let config = match config_file::load(&ack.config) {
        Ok(config) => config,
        Err(reason) => return output::fail(reason),
    };
    let mut exit = ExitCode::SUCCESS;
    for alert in &ack.alerts {
        if let Err(error) = files::remove(&config.alert_dir.join(alert)) {
            exit = output::fail(format_args!("{alert}: {error}"));
        }
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_named() {
        let parse = |arguments: &[&str]| parse(&mut Parser::from_args(arguments));
        let ack = parse(&["c", "failover_failed", "diverged_standby"])
            .unwrap()
            .unwrap();
        assert_eq!(ack.alerts, ["failover_failed", "diverged_standby"]);
        for wrong in [&[][..], &["c"], &["c", "../pglookout.json"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
