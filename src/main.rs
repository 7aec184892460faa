//! `pglookout CONFIG`: a few lines into the library.

fn main() {}
