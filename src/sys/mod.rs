//! All system calls: clock, signals, children, files, log.
