//! Encrypted connections to real servers, compared with what `psql` (libpq) makes of the same
//! connection strings; observers behind https; and servers that cheat before the encryption begins.

mod certificates;
mod hostile;
mod modes;
mod observers;
mod setup;
