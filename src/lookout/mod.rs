//! The pure core around the decision: memory, schedule and waiting states.

mod effect;
mod event;
mod memory;

pub use effect::{Alert, CommandId, CommandPurpose, Effect, ProbeId};
pub use event::{CommandOutcome, Event};
pub use memory::{Contact, Memory};
