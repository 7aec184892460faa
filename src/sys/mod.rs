//! All system calls: clock, signals, children, files, log. The only room with `unsafe` in it; what
//! leaves it is safe.

pub mod certificates;
pub mod child;
pub mod clock;
pub mod config_file;
pub mod datagram;
pub mod files;
pub mod limits;
pub mod log;
pub mod notify;
pub mod process;
pub mod record_file;
pub mod resolve;
pub mod signals;
pub mod socket;
pub mod text;
pub mod user;
pub mod writer;

mod output;
mod sink;
mod syslog;
