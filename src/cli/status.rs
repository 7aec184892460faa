//! `pglookout status`: the cluster as a running daemon sees it, and whether the other daemons see it
//! alike; from the state file where no daemon runs.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::daemon_client::{LOOPBACK, get};
use super::{config_file, output, status_text};
use crate::config::{Config, ObserverUrl};
use crate::format::{MAX_STATE_FILE_BYTES, StateFile};
use crate::status::Status;
use crate::sys::{clock, files};

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusOptions {
    /// A configuration file, or the URL of a daemon.
    source: Option<String>,
    /// The host of a daemon, with or without a port.
    from: Option<String>,
    pub(super) json: bool,
    watch: bool,
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<StatusOptions>, Error> {
    let mut options = StatusOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("json") => options.json = true,
            Long("watch") => options.watch = true,
            Long("from") => options.from = Some(parser.value()?.string()?),
            Value(source) if options.source.is_none() => options.source = Some(source.string()?),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    if options.json && options.watch {
        return Err("status: either --json or --watch".into());
    }
    Ok(Some(options))
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: Status,
    /// Why the daemon itself was not asked: the status is from its state file.
    pub(super) failure: Option<String>,
    /// The daemons of the other nodes, and the observers.
    pub(super) others: Vec<Other>,
}

/// Another daemon.
#[derive(Debug)]
pub(super) struct Other {
    /// Its node, or the observer's name.
    pub(super) name: String,
    pub(super) answer: Result<Status, String>,
}

/// Exit 0 healthy, 1 degraded, 2 no primary, several, or no failover possible, 3 no answer.
pub(super) fn main(options: &StatusOptions) -> ExitCode {
    let target = match Target::new(options) {
        Ok(target) => target,
        Err(reason) => return no_answer(&reason),
    };
    if options.watch {
        return watch(&target);
    }
    let look = match target.look() {
        Ok(look) => look,
        Err(reason) => return no_answer(&reason),
    };
    if options.json {
        let text = String::from_utf8_lossy(&look.status.to_json()).into_owned();
        output::print(&text);
    } else {
        let lines = status_text::lines(&look, is_coloured());
        output::print_prepared(&lines.join("\n"));
    }
    ExitCode::from(match look.failure {
        Some(_) => NO_ANSWER,
        None => look.status.severity(),
    })
}

pub(super) fn no_answer(reason: &str) -> ExitCode {
    output::print_error(reason);
    ExitCode::from(NO_ANSWER)
}

/// Where the daemon is.
pub(super) struct Target {
    host: String,
    port: u16,
    path: String,
    config: Option<Config>,
}

impl Target {
    pub(super) fn new(options: &StatusOptions) -> Result<Self, String> {
        let mut target = Self {
            host: LOOPBACK.to_owned(),
            port: DEFAULT_PORT,
            path: String::new(),
            config: None,
        };
        match options.source.as_deref() {
            None => {}
            Some(url) if url.contains("://") => {
                let parsed: ObserverUrl = url.parse().map_err(str::to_owned)?;
                if parsed.encrypted {
                    return Err("expected a URL that begins with http://".to_owned());
                }
                (target.host, target.port, target.path) = (parsed.host, parsed.port, parsed.path);
            }
            Some(path) => {
                let config = config_file::load(&PathBuf::from(path))?;
                target.host = config.http_address.clone().unwrap_or(target.host);
                target.port = config.http_port;
                target.config = Some(config);
            }
        }
        if let Some(from) = &options.from {
            let url = format!("http://{from}");
            let parsed: ObserverUrl = url.parse().map_err(|error| format!("--from: {error}"))?;
            target.port = parsed.uncommon_port().unwrap_or(target.port);
            target.host = parsed.host;
        }
        Ok(target)
    }

    /// From the state file where the daemon does not answer.
    pub(super) fn look(&self) -> Result<Look, String> {
        let failure = match self.ask() {
            Ok(status) => {
                let others = self.ask_others(&status);
                return Ok(Look {
                    status,
                    failure: None,
                    others,
                });
            }
            Err(failure) => failure,
        };
        let config = self.config.as_ref().ok_or_else(|| failure.clone())?;
        let path = &config.state_file;
        let status = stored(path, config)
            .map_err(|error| format!("{failure}\n{}: {error}", path.display()))?;
        Ok(Look {
            status,
            failure: Some(format!("from the state file {}; {failure}", path.display())),
            others: Vec::new(),
        })
    }

    fn ask(&self) -> Result<Status, String> {
        let path = format!("{}/status.json", self.path);
        let answer = status_of(&self.host, self.port, &path);
        answer.map_err(|error| format!("the daemon at {}, port {}: {error}", self.host, self.port))
    }

    /// All at a time, and none for longer than a moment.
    fn ask_others(&self, status: &Status) -> Vec<Other> {
        let nodes = status.nodes.iter().filter(|node| !node.own);
        let nodes = nodes.filter_map(|node| {
            let (host, _) = node.address.rsplit_once(':')?;
            let is_host = !host.is_empty() && !host.starts_with(['/', '@']);
            is_host.then(|| (&node.name, host.to_owned(), self.port, String::new()))
        });
        let observers = status.observers.iter().filter_map(|observer| {
            let url: ObserverUrl = observer.address.parse().ok()?;
            (!url.encrypted).then_some((&observer.name, url.host, url.port, url.path))
        });
        let asked: Vec<_> = nodes.chain(observers).take(MAX_OTHERS).collect();
        thread::scope(|scope| {
            let asking = asked.iter().map(|(name, host, port, path)| {
                let path = format!("{path}/status.json");
                let ask = move || status_of(host, *port, &path).map_err(|error| error.to_string());
                (*name, scope.spawn(ask))
            });
            let asking: Vec<_> = asking.collect();
            let answers = asking.into_iter().filter_map(|(name, thread)| {
                Some(Other {
                    name: name.clone(),
                    answer: thread.join().ok()?,
                })
            });
            // With one address for all, as in a trial on one machine, they are not who they should be.
            answers.filter(|other| is_expected(other, status)).collect()
        })
    }
}

fn is_expected(other: &Other, status: &Status) -> bool {
    let is_node = status.nodes.iter().any(|node| node.name == other.name);
    let Ok(answer) = &other.answer else {
        return true;
    };
    match &answer.node {
        Some(node) => is_node && *node == other.name,
        None => !is_node,
    }
}

fn status_of(host: &str, port: u16, path: &str) -> io::Result<Status> {
    let body = get(host, port, path)?;
    serde_json::from_slice(&body).map_err(|error| io::Error::other(format!("no status: {error}")))
}

fn stored(path: &Path, config: &Config) -> Result<Status, String> {
    let bytes = files::read_small(path, MAX_STATE_FILE_BYTES).map_err(|error| error.to_string())?;
    Ok(Status::stored(
        &StateFile::read(&bytes)?,
        config,
        clock::wall(),
    ))
}

/// Until a signal ends it. Each picture is one write over the one before, line by line, so that nothing
/// flickers; lines that are too long or too many for the terminal are cut by it, whatever its size
/// is now.
fn watch(target: &Target) -> ExitCode {
    let is_coloured = is_coloured();
    let mut picture = String::from("\x1b[2J");
    loop {
        let lines = match target.look() {
            Ok(look) => status_text::lines(&look, is_coloured),
            Err(reason) => output::escaped(&reason)
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        picture += "\x1b[?7l";
        for (row, line) in lines.iter().enumerate() {
            picture += &format!("\x1b[{};1H{line}\x1b[K", row + 1);
        }
        picture += &format!("\x1b[{};1H\x1b[J\x1b[?7h", lines.len() + 1);
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(picture.as_bytes());
        if written.and_then(|()| stdout.flush()).is_err() {
            return ExitCode::FAILURE;
        }
        picture.clear();
        thread::sleep(WATCH_INTERVAL);
    }
}

/// <https://no-color.org>
fn is_coloured() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

const NO_ANSWER: u8 = 3;
/// `http_port`, where nobody has set another.
const DEFAULT_PORT: u16 = 15_000;
/// Of the other daemons so many are asked.
const MAX_OTHERS: usize = 64;
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], host: &str, port: u16, path: &str) {
        let options = parse(&mut Parser::from_args(arguments)).unwrap().unwrap();
        let target = Target::new(&options).unwrap();
        assert_eq!(
            (&*target.host, target.port, &*target.path),
            (host, port, path)
        );
    }

    #[test]
    fn a_daemon_is_found_without_a_configuration() {
        check(&[], "127.0.0.1", 15_000, "");
        check(&["http://db1:16000/p"], "db1", 16_000, "/p");
        check(&["--from", "db2"], "db2", 15_000, "");
        check(&["--from", "db2:16000"], "db2", 16_000, "");
        check(&["--from", "[::1]:16000"], "::1", 16_000, "");
    }

    #[test]
    fn what_is_no_place_of_a_daemon() {
        for arguments in [&["ftp://x"][..], &["--from", "a b"], &["/nonexistent"]] {
            let options = parse(&mut Parser::from_args(arguments)).unwrap().unwrap();
            assert!(Target::new(&options).is_err(), "{arguments:?}");
        }
    }
}
