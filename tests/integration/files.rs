//! Nothing is as it should be where the daemon writes its files, looks for one or reads its
//! configuration: the failover comes as if nothing were there, and the log says once what is wrong.

mod beside;
mod configuration;
mod disks;
mod maintenance;
mod places;
