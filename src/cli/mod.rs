//! Argument parsing, one file per subcommand. Everything said to the terminal goes through
//! `output`.

mod arguments;
mod check_config;
mod current_master;
mod explain;
pub mod explained;
mod output;
mod replay;
mod resolve;
mod run;
mod simulate;

use std::process::ExitCode;

use arguments::Invocation;
pub use current_master::main as current_master_main;

/// `pglookout`.
pub fn main() -> ExitCode {
    match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Invocation::Run(config)) => run::main(&config),
        Ok(Invocation::Explain(config)) => explain::main(&config),
        Ok(Invocation::CheckConfig(config)) => check_config::main(&config),
        Ok(Invocation::Replay(what)) => replay::main(&what),
        Ok(Invocation::Simulate(wanted)) => simulate::main(&wanted),
        Ok(Invocation::Resolve(name)) => resolve::main(&name),
        Ok(Invocation::Recovery) => crate::daemon::recovery_main(),
        Ok(Invocation::Help) => output::answer(USAGE),
        Ok(Invocation::Version) => {
            output::answer(&format!("pglookout {}", env!("CARGO_PKG_VERSION")))
        }
        Err(error) => output::usage_error("pglookout", &error),
    }
}

const USAGE: &str = "\
Usage: pglookout CONFIG                 watch the cluster described by the file CONFIG
       pglookout explain CONFIG         print the last decision of the daemon with this file, and why
       pglookout --check-config CONFIG  say all that is wrong with it; exit 0 if it can be used
       pglookout replay [--text | --verify] [--config CONFIG] FILE...
                                        run timelines, as flight_recorder writes them, and tell every decision:
                                        a line of JSON each; --text: for people; --config: with these settings
                                        in place of the recorded ones; --verify: compare with what the files
                                        expect, or recorded; exit 1 if something differs. Exit 2 for what is no timeline
       pglookout simulate CONFIG [--seed N] [--schedules N] [--timelines DIR]
                                        say what can happen to this cluster: every split and crash, and schedules of
                                        faults drawn from a seed. Exit 0 if no problem is found, 1 if another
                                        configuration would do better, 2 for what cannot be simulated.
                                        --timelines: write what each finding is about, for replay --text
       pglookout --version | --help

SIGHUP reads the file again; SIGTERM and SIGINT end the daemon. A configuration whose name is a
subcommand's is ./replay.";
