//! `pglookout switchover CONFIG --to NAME`: has the daemon of the primary's host hand over to another node.
//! Leaves a request for that daemon, which does everything by itself, and prints what it reports until it
//! has come to an end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::look::Target;
use super::output;
use crate::config::Config;
use crate::format::{LIFETIME, SwitchoverFile, SwitchoverVotes, VotesPage};
use crate::sys::vote_directory::random_bits;
use crate::sys::{clock, files};
use crate::time::Monotonic;
use crate::votes::Nonce;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SwitchoverOptions {
    config: PathBuf,
    to: String,
    dry_run: bool,
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<SwitchoverOptions>, Error> {
    let (mut config, mut to, mut dry_run) = (None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("to") if to.is_none() => to = Some(parser.value()?.string()?),
            Long("dry-run") => dry_run = true,
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    Ok(Some(SwitchoverOptions {
        config: config.ok_or("switchover: the configuration file is missing")?,
        to: to.ok_or("switchover: --to NAME is missing")?,
        dry_run,
    }))
}

/// Exit 0: NAME is the primary, or every check passed (`--dry-run`); 1: refused, nothing was
/// changed; 2: given up on the way, the last lines state how things are; 3: the daemon of this host does
/// not answer.
pub(super) fn main(options: &SwitchoverOptions) -> ExitCode {
    match run(options) {
        Ok(exit) => exit,
        Err(reason) => output::fail(reason),
    }
}

fn run(options: &SwitchoverOptions) -> Result<ExitCode, String> {
    let path = options.config.to_string_lossy();
    let target = Target::new(Some(&path), None)?;
    let config = target.config().ok_or("the configuration file is missing")?;
    let cluster = leased(config)?;
    let boot = clock::boot_id().ok_or("/proc/sys/kernel/random/boot_id cannot be read")?;
    match seen(&target, &cluster) {
        Ok(Some(known)) if known.state == RUNNING => {
            let to = known.to;
            return Err(format!("another switchover, to {to}, is under way"));
        }
        Ok(_) => {}
        Err(reason) => return Ok(no_answer(&reason)),
    }
    let micros = clock::monotonic().since_boot().as_micros();
    let request = SwitchoverFile {
        id: Nonce(random_bits()).to_string(),
        to: options.to.clone(),
        dry_run: options.dry_run,
        boot,
        at_micros: u64::try_from(micros).unwrap_or(u64::MAX),
    };
    let file = SwitchoverFile::path(&config.state_file);
    files::replace(&file, &request.to_json()).map_err(|error| error.to_string())?;
    let exit = follow(&target, &cluster, &request.id);
    if let Err(error) = files::remove(&file) {
        output::print_error(error);
    }
    Ok(exit)
}

/// The cluster of our own server, where votes decide and something fences it.
fn leased(config: &Config) -> Result<String, String> {
    let cluster = config
        .deciding_cluster()
        .filter(|_| config.fence().is_some());
    let (name, _) = cluster.ok_or(
        "there are no leases here: a switchover is asked for on the primary's host, where votes decide and \
         fence_command is set",
    )?;
    Ok(name.to_string())
}

/// The last switchover that the daemon knows of.
fn seen(target: &Target, cluster: &str) -> Result<Option<SwitchoverVotes>, String> {
    let body = target.page("votes.json")?;
    let page: VotesPage = serde_json::from_slice(&body)
        .map_err(|_| "the daemon does not vote: is its configuration another one?".to_owned())?;
    Ok(page.get(cluster).and_then(|votes| votes.switchover.clone()))
}

/// Prints each step as the daemon reports it. That it does not answer for a moment changes nothing.
fn follow(target: &Target, cluster: &str, id: &str) -> ExitCode {
    let (mut printed, mut is_taken, mut known_at) = (0, false, clock::monotonic());
    // A daemon that has nothing to do looks for requests with its next poll; it may poll now.
    target.ask_for_check();
    loop {
        let known = seen(target, cluster);
        let ours = known.as_ref().ok().and_then(Option::as_ref);
        let ours = ours.filter(|switchover| switchover.id == id);
        if let Some(switchover) = ours {
            (is_taken, known_at) = (true, clock::monotonic());
            // One that was restarted on the way begins anew.
            if switchover.steps.len() < printed {
                printed = 0;
            }
            for step in switchover.steps.iter().skip(printed) {
                output::print(&format!("{:8.3} s  {}", step.after, step.text));
            }
            printed = switchover.steps.len();
            if let Some(exit) = exit(&switchover.state) {
                return exit;
            }
        } else if is_taken && known.is_ok() {
            output::print_error(RESTARTED);
            return ExitCode::from(GIVEN_UP);
        } else if is_over(known_at, is_taken) {
            let reason = known.map_or_else(|reason| reason, |_| NOT_TAKEN.to_owned());
            return no_answer(&reason);
        }
        wait();
    }
}

/// Is it too long that nothing was known of our request.
fn is_over(since: Monotonic, is_taken: bool) -> bool {
    let patience = if is_taken { SILENCE } else { LIFETIME };
    clock::monotonic().since(since) >= patience
}

fn exit(state: &str) -> Option<ExitCode> {
    match state {
        RUNNING => None,
        "done" | "possible" => Some(ExitCode::SUCCESS),
        "refused" => Some(ExitCode::FAILURE),
        _ => Some(ExitCode::from(GIVEN_UP)),
    }
}

fn no_answer(reason: &str) -> ExitCode {
    output::print_error(reason);
    ExitCode::from(NO_ANSWER)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is not the daemon, and has nothing to do meanwhile"
)]
fn wait() {
    thread::sleep(Duration::from_millis(100));
}

const RUNNING: &str = "running";
const RESTARTED: &str = "the daemon was restarted, and has given the switchover up: look at pglookout votes and pglookout status";
const NOT_TAKEN: &str =
    "the daemon has not taken the request: its log shows why, if it has found it";
const GIVEN_UP: u8 = 2;
const NO_ANSWER: u8 = 3;
/// So long a daemon that has taken the request may not answer.
const SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse as parse_config};

    #[test]
    fn what_a_command_line_asks_for() {
        let parsed = |words: &[&str]| parse(&mut Parser::from_args(words));
        let options = SwitchoverOptions {
            config: "c".into(),
            to: "s1".to_owned(),
            dry_run: true,
        };
        let found = parsed(&["c", "--to", "s1", "--dry-run"]).unwrap();
        assert_eq!(found, Some(options));
        assert_eq!(parsed(&["--help"]).unwrap(), None);
        for wrong in [
            &["c"][..],
            &["--to", "s1"],
            &["c", "d", "--to", "s1"],
            &["c", "--to", "s1", "--to", "s2"],
            &["c", "--to"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn it_is_for_a_primary_with_a_lease() {
        let of = |fence: &str| {
            let text = format!(
                r#"{{"remote_conns": {{"p": "host=p", "s": "host=s"}}, "own_db": "p", "vote_directory": "/v" {fence},
                "voting": {{"main": {{"generation": 1, "secret_file": "/s",
                "voters": {{"p": "http://p", "s": "http://s", "o": "http://o"}}}}}}}}"#
            );
            leased(&parse_config(&text, &Environment::default()).unwrap().config)
        };
        assert_eq!(of(r#", "fence_command": "f""#), Ok("main".to_owned()));
        assert!(of("").unwrap_err().contains("no leases"));
    }

    #[test]
    fn every_end_has_its_status() {
        assert_eq!(exit("running"), None);
        for (state, status) in [
            ("done", 0),
            ("possible", 0),
            ("refused", 1),
            ("aborted", 2),
            ("failed", 2),
        ] {
            assert_eq!(exit(state), Some(ExitCode::from(status)), "{state}");
        }
    }
}
