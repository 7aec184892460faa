//! The command line: its arguments, and one file for each subcommand. Everything printed goes through
//! `output`.

mod ack;
mod advice;
mod arguments;
mod check;
mod check_config;
mod check_live;
mod command_advice;
mod config_file;
mod current_master;
mod daemon_client;
mod electorate;
mod explain;
pub mod explained;
mod finding;
mod gate;
mod history;
mod look;
mod output;
mod pause;
mod replay;
mod simulate;
mod status;
mod status_text;
mod switchover;
mod votes;
mod watchdog;

use std::path::Path;
use std::process::ExitCode;

use arguments::Invocation;
pub use current_master::main as current_master_main;

use crate::{daemon, sys};

/// `pglookout`.
pub fn main() -> ExitCode {
    match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Invocation::Run(config)) => run(&config),
        Ok(Invocation::Explain(config)) => explain::main(&config),
        Ok(Invocation::CheckConfig(config)) => check_config::main(&config),
        Ok(Invocation::Replay(options)) => replay::main(&options),
        Ok(Invocation::Simulate(options)) => simulate::main(&options),
        Ok(Invocation::Status(options)) => status::main(&options),
        Ok(Invocation::History(options)) => history::main(&options),
        Ok(Invocation::Check(options)) => check::main(&options),
        Ok(Invocation::Ack(ack)) => ack::main(&ack),
        Ok(Invocation::Pause(options)) => pause::main(&options),
        Ok(Invocation::Votes(options)) => votes::main(&options),
        Ok(Invocation::Switchover(options)) => switchover::main(&options),
        Ok(Invocation::Gate(options)) => gate::main(&options),
        Ok(Invocation::Resolve(name)) => sys::resolve::main(&name),
        Ok(Invocation::Recovery) => daemon::recovery_main(),
        Ok(Invocation::Help) => output::print(USAGE),
        Ok(Invocation::Version) => output::print(env!("CARGO_PKG_VERSION")),
        Err(error) => output::usage_error("pglookout", &error),
    }
}

fn run(path: &Path) -> ExitCode {
    if let Err(error) = sys::signals::Signals::block_others() {
        return output::fail(error);
    }
    match daemon::load_config(path) {
        Ok(loaded) => daemon::run(path, loaded),
        Err(error) => output::fail(error),
    }
}

const USAGE: &str = "\
Usage: pglookout CONFIG                 run the daemon
       pglookout status [CONFIG | URL] [--from HOST[:PORT]] [--watch | --json]
                                        print the state of the cluster and of its failover, as the daemon there
                                        sees it; without an argument: http://127.0.0.1:15000. Exit 0 healthy,
                                        1 degraded, 2 no primary, several, or no failover possible, 3 no answer
       pglookout history [CONFIG | URL] [--from HOST[:PORT]] [--json]
                                        print the changes of the primary that the daemons have seen
       pglookout ack CONFIG ALERT...    remove these alert files
       pglookout pause CONFIG [--for TIME] [--reason TEXT]
                                        no failover in this cluster, on any host, until it is resumed or the
                                        time (30m, 2h) is over
       pglookout resume CONFIG          end the pause. Both: exit 0 once every daemon knows, 1 if not all do
       pglookout votes [CONFIG | URL] [--json]
                                        print how the voters stand, as the daemon there knows them. Exit 0 if a
                                        majority of them can vote, 1 if not, 3 no answer
       pglookout votes init CONFIG [CLUSTER]
                                        make the vote file of this host: once, before the daemon may vote
       pglookout switchover CONFIG --to NAME [--dry-run]
                                        on the primary's host, where it has a lease: stop it, and make NAME the
                                        primary. Exit 0 done, 1 refused, 2 given up on the way, 3 no answer
       pglookout gate CONFIG DATA_DIRECTORY [--wait SECONDS]
                                        in front of the start of PostgreSQL: exit 0 for a standby, and for a
                                        primary once the daemon here has a lease for it; 1 after 60 s without
       pglookout explain CONFIG         print the last decision of the daemon with this file, and why
       pglookout check CONFIG [--live] [--json]
                                        check the file, commands and directories; --live: log in everywhere,
                                        compare servers, observers and other daemons. Exit 0 well, 1 with
                                        warnings, 2 if a failover would not work: a Nagios plugin
       pglookout --check-config CONFIG  print its errors and warnings; exit 0 if it can be used
       pglookout replay [--text | --verify] [--config CONFIG] FILE...
                                        run timelines, as flight_recorder writes them, and print each decision:
                                        one line of JSON; --text: one sentence; --config: with these settings
                                        in place of the recorded ones; --verify: compare with the expected or
                                        recorded decisions; exit 1 if one differs, 2 for a file without timelines
       pglookout simulate CONFIG [--seed N] [--schedules N] [--timelines DIR]
                                        simulate every split and crash of this cluster, and random schedules of
                                        faults. Exit 0 if no problem is found, 1 if another configuration would
                                        do better, 2 if the cluster cannot be simulated.
                                        --timelines: write the timelines of each finding, for replay --text
       pglookout --version | --help

SIGHUP reloads the file; SIGTERM and SIGINT end the daemon. A configuration file that is named like
a subcommand is given as ./replay.";
