//! Timelines: what a node has seen, written down as it happens, and run through the very same core.
//! Nothing is executed; no clock, socket or file is touched.

mod decision_line;
mod record;
mod run;
mod verify;

pub use decision_line::DecisionLine;
pub use record::Recorder;
pub use run::{Endless, Outcome, Report, decisions, run};
pub use verify::{Difference, Tally, verify};
