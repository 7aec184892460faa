//! `pglookout_current_master CONFIG`: a few lines into the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pglookout::cli::current_master_main()
}
