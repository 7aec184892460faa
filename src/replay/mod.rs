//! Timelines: what a node has seen, written down as it happens, and run through the very same core.
//! Nothing is executed; no clock, socket or file is touched.

mod decision_line;
mod format;
mod record;
mod run;
mod timeline;
mod verify;
mod words;

pub use decision_line::DecisionLine;
pub use format::{FormatError, MAX_LINE_BYTES, Reader, read};
pub use record::Recorder;
pub use run::{Endless, Outcome, Told, decisions, run};
pub use timeline::{CheckLine, Decided, Follow, Line, Step, Timeline};
pub use verify::{Difference, Tally, verify};
