//! All system calls: clock, signals, children, files, log. The only room with `unsafe` in it; what
//! leaves it is safe.

pub mod certificates;
pub mod child;
pub mod clock;
pub mod datagram;
pub mod files;
pub mod limits;
pub mod log;
pub mod notify;
pub mod process;
pub mod reader;
pub mod record_file;
pub mod resolve;
pub mod signals;
pub mod socket;
pub mod text;
pub mod text_file;
pub mod user;
pub mod writer;

mod output;
mod sink;
mod syslog;
