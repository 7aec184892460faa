//! All system calls: clock, signals, children, files, log.

pub mod config_file;
