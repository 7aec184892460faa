//! `pglookout gate`: in front of PostgreSQL's start. A standby may always start, a primary only while the
//! daemon of this host has a lease for it (rules B1 and B2 of leases).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser};

use super::look::Target;
use super::output;
use crate::config::Config;
use crate::format::{OPEN, VotesPage, recovery};
use crate::sys::{clock, files};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GateOptions {
    config: PathBuf,
    data: PathBuf,
    wait: Duration,
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<GateOptions>, Error> {
    let (mut words, mut wait) = (Vec::new(), DEFAULT_WAIT);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("wait") => {
                let seconds: u32 = lexopt::ValueExt::parse(&parser.value()?)?;
                wait = Duration::from_secs(seconds.into());
            }
            Value(word) if words.len() < 2 => words.push(word),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let [config, data] = <[_; 2]>::try_from(words)
        .map_err(|_| "gate: expected the configuration file and the data directory")?;
    Ok(Some(GateOptions {
        config: config.into(),
        data: data.into(),
        wait,
    }))
}

/// Exit 0: the server may start; 1: it may not.
pub(super) fn main(options: &GateOptions) -> ExitCode {
    match pass(options) {
        Ok(why) => output::print(&format!("gate: open, {why}")),
        Err(reason) => output::fail(format!("gate: closed, {reason}")),
    }
}

fn pass(options: &GateOptions) -> Result<&'static str, String> {
    if is_standby(&options.data)? {
        return Ok("it is a standby");
    }
    let path = options.config.to_string_lossy();
    let target = Target::new(Some(&path), None)?;
    let Some(cluster) = target.config().and_then(leased) else {
        return Ok("nothing is fenced here");
    };
    let ends = clock::monotonic() + options.wait;
    loop {
        let reason = match gate(&target, &cluster) {
            Ok(()) => return Ok("there is a lease"),
            Err(reason) => reason,
        };
        if clock::monotonic() >= ends {
            return Err(reason);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this process has nothing else to do"
        )]
        std::thread::sleep(PAUSE);
    }
}

/// Rule B1. `recovery.signal` alone is of a server that becomes a primary; so is, up to PostgreSQL 11, a
/// `recovery.conf` without `standby_mode`.
fn is_standby(data: &Path) -> Result<bool, String> {
    let version = content(&data.join("PG_VERSION"))?
        .ok_or_else(|| format!("{} is no data directory", data.display()))?;
    let layout = recovery::layout(&version)
        .ok_or_else(|| format!("{}/PG_VERSION holds no version", data.display()))?;
    let mark = content(&data.join(layout.standby_mark))?;
    let holds_settings = layout.standby_mark == layout.settings;
    Ok(mark.is_some_and(|mark| !holds_settings || recovery::has_standby_mode(&mark)))
}

/// `None` if there is no such file.
fn content(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match files::read_small(path, MAX_BYTES) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The cluster of our own server, where votes decide and something fences it.
fn leased(config: &Config) -> Option<String> {
    config.fence()?;
    let (name, _) = config.deciding_cluster()?;
    Some(name.to_string())
}

/// Rule B2: what the daemon says.
fn gate(target: &Target, cluster: &str) -> Result<(), String> {
    let body = target.page("votes.json")?;
    let page: VotesPage = serde_json::from_slice(&body)
        .map_err(|_| "the daemon does not vote: is its configuration another one?".to_owned())?;
    let votes = page.get(cluster);
    match votes.and_then(|votes| votes.gate.as_deref()) {
        Some(OPEN) => Ok(()),
        Some(reason) => Err(reason.to_owned()),
        None => Err("the daemon knows of no fence_command: is it to be reloaded?".to_owned()),
    }
}

/// For so long a lease is waited for; systemd starts the server again after that.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// The most that a file is read of: a longer one is an error.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Environment, parse as parse_config};
    use crate::testing::Scratch;

    fn parsed(words: &[&str]) -> Result<Option<GateOptions>, String> {
        parse(&mut Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_given_a_configuration_and_a_data_directory() {
        let options = parsed(&["c", "d", "--wait", "5"]).unwrap().unwrap();
        assert_eq!(options.wait, Duration::from_secs(5));
        assert_eq!(options.data, Path::new("d"));
        assert_eq!(parsed(&["--help"]), Ok(None));
        for wrong in [&["c"][..], &["c", "d", "e"], &["c", "d", "--wait", "x"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_standby_may_start_and_what_is_no_server_may_not() {
        let scratch = Scratch::new("gate");
        let data = &scratch.0;
        assert!(is_standby(data).unwrap_err().contains("no data directory"));
        fs::write(data.join("PG_VERSION"), "15").unwrap();
        fs::write(data.join("recovery.signal"), "").unwrap();
        assert_eq!(is_standby(data), Ok(false));
        fs::write(data.join("standby.signal"), "").unwrap();
        assert_eq!(is_standby(data), Ok(true));
        fs::write(data.join("PG_VERSION"), "fifteen").unwrap();
        assert!(is_standby(data).unwrap_err().contains("no version"));
    }

    #[test]
    fn up_to_postgresql_11_recovery_conf_says_what_is_a_standby() {
        let scratch = Scratch::new("gate-recovery-conf");
        let data = &scratch.0;
        fs::write(data.join("PG_VERSION"), "11\n").unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        assert_eq!(is_standby(data), Ok(false), "it means nothing there");
        fs::write(data.join("recovery.conf"), "restore_command = 'x'\n").unwrap();
        assert_eq!(is_standby(data), Ok(false), "it becomes a primary");
        fs::write(data.join("recovery.conf"), "standby_mode = 'on'\n").unwrap();
        assert_eq!(is_standby(data), Ok(true));
    }

    #[test]
    fn without_leases_everybody_may_start() {
        let of = |more: &str, dry: bool| {
            let text = format!(
                r#"{{"remote_conns": {{"p": "host=p", "s": "host=s"}}, "own_db": "p", "vote_directory": "/v" {more},
                "voting": {{"main": {{"generation": 1, "secret_file": "/s", "dry": {dry},
                "voters": {{"p": "http://p", "s": "http://s", "o": "http://o"}}}}}}}}"#
            );
            leased(&parse_config(&text, &Environment::default()).unwrap().config)
        };
        let fence = r#", "fence_command": "fence""#;
        assert_eq!(of(fence, false).as_deref(), Some("main"));
        assert_eq!(of(fence, true), None);
        assert_eq!(of("", false), None);
    }
}
