//! Everybody whom a daemon talks to misbehaves at once, and a failover is needed: nothing costs
//! another.

mod clients;
mod idlers;
mod log_lines;
mod observers;
mod outcome;
mod requests;
mod servers;
