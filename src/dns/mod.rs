//! Names to addresses: cache, stale answers, literals. Looks nothing up itself: it says when a
//! look-up is wanted, and is told what came of it.

mod answer;
mod cache;

pub use answer::{can_be_looked_up, parse_answer};
pub use cache::{Answer, Cache};
