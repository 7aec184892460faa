//! The decision: a function from a snapshot to a named verdict.
