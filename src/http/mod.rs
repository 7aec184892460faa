//! HTTP/1.1 as bytes in, bytes out: server requests and responses, the observer client, limits.
