//! Time goes wrong: wall clocks are stepped, processes are stopped and continued. None of it causes
//! or prevents a failover.

mod hosts;
mod sightings;
mod steps;
mod stops;
mod wall_clock;
