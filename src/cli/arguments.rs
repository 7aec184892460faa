//! The command line of `pglookout`.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::ack::{self, Ack};
use super::check::{self, CheckOptions};
use super::gate::{self, GateOptions};
use super::pause::{self, PauseOptions};
use super::simulate::{self, Simulate};
use super::status::{self, StatusOptions};
use super::switchover::{self, SwitchoverOptions};
use super::votes::{self, VotesOptions};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    /// The daemon.
    Run(PathBuf),
    Explain(PathBuf),
    Status(StatusOptions),
    Check(CheckOptions),
    Ack(Ack),
    Pause(PauseOptions),
    History(StatusOptions),
    Votes(VotesOptions),
    Switchover(SwitchoverOptions),
    /// In front of the start of a server.
    Gate(GateOptions),
    CheckConfig(PathBuf),
    Replay(Replay),
    /// As a helper of the daemon: print the addresses of this name.
    Resolve(String),
    /// As a helper of the daemon: rewrite the recovery settings of the job on stdin.
    Recovery,
    Simulate(Simulate),
    Help,
    Version,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replay {
    /// At least one.
    pub(super) files: Vec<PathBuf>,
    /// In place of the recorded ones.
    pub(super) config: Option<PathBuf>,
    /// Print sentences.
    pub(super) text: bool,
    /// Compare with the expected decisions.
    pub(super) verify: bool,
}

/// Arguments after help and version are ignored.
pub(super) fn parse(mut parser: Parser) -> Result<Invocation, Error> {
    let mut invocation = None;
    while let Some(argument) = parser.next()? {
        let next = match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Long("check-config") => Invocation::CheckConfig(parser.value()?.into()),
            Long("resolve") => Invocation::Resolve(parser.value()?.string()?),
            Value(name) if name == "replay" && invocation.is_none() => return parse_replay(parser),
            Long("recovery") => Invocation::Recovery,
            Value(name) if name == "explain" && invocation.is_none() => {
                Invocation::Explain(parser.value()?.into())
            }
            Value(name) if name == "status" && invocation.is_none() => {
                let options = status::parse(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::Status));
            }
            Value(name) if name == "history" && invocation.is_none() => {
                let options = status::parse(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::History));
            }
            Value(name) if name == "check" && invocation.is_none() => {
                let options = check::parse(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::Check));
            }
            Value(name) if name == "ack" && invocation.is_none() => {
                return Ok(ack::parse(&mut parser)?.map_or(Invocation::Help, Invocation::Ack));
            }
            Value(name) if name == "pause" && invocation.is_none() => {
                let options = pause::parse_pause(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::Pause));
            }
            Value(name) if name == "resume" && invocation.is_none() => {
                let options = pause::parse_resume(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::Pause));
            }
            Value(name) if name == "switchover" && invocation.is_none() => {
                let options = switchover::parse(&mut parser)?;
                return Ok(options.map_or(Invocation::Help, Invocation::Switchover));
            }
            Value(name) if name == "gate" && invocation.is_none() => {
                return Ok(gate::parse(&mut parser)?.map_or(Invocation::Help, Invocation::Gate));
            }
            Value(name) if name == "votes" && invocation.is_none() => {
                return Ok(votes::parse(&mut parser)?.map_or(Invocation::Help, Invocation::Votes));
            }
            Value(name) if name == "simulate" && invocation.is_none() => {
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

fn parse_replay(mut parser: Parser) -> Result<Invocation, Error> {
    let mut replay = Replay::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Long("text") => replay.text = true,
            Long("verify") => replay.verify = true,
            Long("config") if replay.config.is_none() => {
                replay.config = Some(parser.value()?.into())
            }
            Value(file) if file == "-" => {
                return Err("replay: \"-\" is no file; for a pipe give /dev/stdin".into());
            }
            Value(file) => replay.files.push(file.into()),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    if replay.text && replay.verify {
        return Err("replay: either --text or --verify".into());
    }
    if replay.files.is_empty() {
        Err("replay: a timeline file is missing".into())
    } else {
        Ok(Invocation::Replay(replay))
    }
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
        check(&["explain", "c"], Ok(Invocation::Explain("c".into())));
        check(&["./explain"], Ok(Invocation::Run("./explain".into())));
        check(
            &["--check-config", "c"],
            Ok(Invocation::CheckConfig("c".into())),
        );
        check(
            &["--check-config=c"],
            Ok(Invocation::CheckConfig("c".into())),
        );
        check(&["--resolve", "n"], Ok(Invocation::Resolve("n".to_owned())));
        check(&["--recovery"], Ok(Invocation::Recovery));
        check(&["-h"], Ok(Invocation::Help));
        check(&["c", "--version", "--what"], Ok(Invocation::Version));
    }

    #[test]
    fn understands_the_options_of_replay() {
        let files = vec!["a".into(), "b".into()];
        let replay = Replay {
            files,
            ..Replay::default()
        };
        check(
            &["replay", "a", "--verify", "b"],
            Ok(Invocation::Replay(Replay {
                verify: true,
                ..replay
            })),
        );
        let (config, files) = (Some("c".into()), vec!["-x".into()]);
        let replay = Replay {
            files,
            config,
            text: true,
            verify: false,
        };
        check(
            &["replay", "--config=c", "--text", "--", "-x"],
            Ok(Invocation::Replay(replay)),
        );
        check(&["replay", "--help"], Ok(Invocation::Help));
        check(&["./replay"], Ok(Invocation::Run("./replay".into())));
        check(&["replay"], Err("replay: a timeline file is missing"));
        check(
            &["replay", "-"],
            Err("replay: \"-\" is no file; for a pipe give /dev/stdin"),
        );
        check(
            &["replay", "a", "--text", "--verify"],
            Err("replay: either --text or --verify"),
        );
        check(
            &["replay", "a", "--config", "b", "--config", "c"],
            Err("invalid option '--config'"),
        );
    }

    #[test]
    fn refuses_the_rest() {
        check(&[], Err("the configuration file is missing"));
        check(
            &["a", "b"],
            Err("one configuration file, and nothing else, is expected"),
        );
        check(
            &["--check-config", "a", "b"],
            Err("one configuration file, and nothing else, is expected"),
        );
        check(
            &["--check-config"],
            Err("missing argument for option '--check-config'"),
        );
        check(&["explain"], Err("missing argument"));
        check(
            &["explain", "a", "b"],
            Err("one configuration file, and nothing else, is expected"),
        );
        check(&["--what"], Err("invalid option '--what'"));
    }
}
