//! Everybody whom a daemon talks to misbehaves at once, and a failover is needed: nothing costs
//! another.

mod clients;
mod idlers;
mod observers;
mod outcome;
mod requests;
mod servers;
mod words;
