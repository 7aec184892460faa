//! Much of everything, for a while: afterwards the daemon holds what it held before.

mod day;
mod observer;
mod reloads;
mod soak;
