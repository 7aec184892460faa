//! `pglookout CONFIG`: a few lines into the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pglookout::cli::main()
}
