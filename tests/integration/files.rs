//! Nothing is as it should be where the daemon writes its files, looks for one or reads its
//! configuration: the failover is not delayed, and the log reports once what is wrong.

mod beside;
mod configuration;
mod disks;
mod maintenance;
mod places;
