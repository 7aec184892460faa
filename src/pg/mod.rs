//! The PostgreSQL protocol as bytes in, bytes out: start-up, authentication, the status queries, errors.
