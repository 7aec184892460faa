//! Timelines in, decisions out: what a node has seen, run through the very same core. Nothing is executed; no clock, socket
//! or file is touched.

mod format;
mod scripted;
mod verify;

pub use format::{CheckLine, Follow, FormatError, Line, Step, Timeline, read};
pub use scripted::{Outcome, decisions};
pub use verify::{Difference, Tally, verify};
