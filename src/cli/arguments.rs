//! The command line of `pglookout` as a closed list of what can be wanted.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::simulate::{self, Simulate};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    /// Run the daemon with this configuration.
    Run(PathBuf),
    /// Check this configuration.
    CheckConfig(PathBuf),
    /// Look this name up and print its addresses; how the daemon starts itself as a helper.
    Resolve(String),
    /// Say what can happen to the cluster of a configuration.
    Simulate(Simulate),
    /// Say how it is used.
    Help,
    /// Say which version it is.
    Version,
}

/// Reads the command line; help and version win over whatever stands behind them.
pub(super) fn parse(mut parser: Parser) -> Result<Invocation, Error> {
    let mut invocation = None;
    while let Some(argument) = parser.next()? {
        let next = match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Long("check-config") => Invocation::CheckConfig(parser.value()?.into()),
            Long("resolve") => Invocation::Resolve(parser.value()?.string()?),
            Value(word) if word == "simulate" && invocation.is_none() => {
                Invocation::Simulate(simulate::parse(&mut parser)?)
            }
            Value(config) => Invocation::Run(config.into()),
            unexpected => return Err(unexpected.unexpected()),
        };
        if invocation.replace(next).is_some() {
            return Err("one configuration file, and nothing else, is expected".into());
        }
    }
    invocation.ok_or_else(|| "the configuration file is missing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Result<Invocation, &str>) {
        let parsed = parse(Parser::from_args(arguments)).map_err(|error| error.to_string());
        assert_eq!(parsed, expected.map_err(str::to_owned), "{arguments:?}");
    }

    #[test]
    fn understands_each_form() {
        check(&["c.json"], Ok(Invocation::Run("c.json".into())));
        check(&["--", "-c"], Ok(Invocation::Run("-c".into())));
        check(&["--check-config", "c"], Ok(Invocation::CheckConfig("c".into())));
        check(&["--check-config=c"], Ok(Invocation::CheckConfig("c".into())));
        check(&["--resolve", "n"], Ok(Invocation::Resolve("n".to_owned())));
        check(&["-h"], Ok(Invocation::Help));
        check(&["c", "--version", "--what"], Ok(Invocation::Version));
    }

    #[test]
    fn refuses_the_rest() {
        check(&[], Err("the configuration file is missing"));
        check(&["a", "b"], Err("one configuration file, and nothing else, is expected"));
        check(&["--check-config", "a", "b"], Err("one configuration file, and nothing else, is expected"));
        check(&["--check-config"], Err("missing argument for option '--check-config'"));
        check(&["--what"], Err("invalid option '--what'"));
    }
}
