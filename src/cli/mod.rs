//! Argument parsing, one file per subcommand.
