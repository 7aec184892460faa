//! `pglookout_current_master CONFIG`: a few lines into the library.

fn main() {}
