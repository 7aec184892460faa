//! All system calls: clock, signals, children, files, log. The only room with `unsafe` in it; what
//! leaves it is safe.

pub mod child;
pub mod clock;
pub mod files;
pub mod forked;
pub mod guard;
pub mod log;
pub mod notify;
pub mod process;
pub mod record_file;
pub mod resolve;
pub mod signals;
pub mod socket;
pub mod temporary;
pub mod text;
pub mod vote_directory;
pub mod watchdog;

mod guard_file;
mod keepalive;
mod sink;
mod syslog;
