//! TLS as bytes in, bytes out: what is agreed upon before it, whose certificates count, and the
//! encrypted stream itself, on rustls. No socket, no file and no clock: transport, texts and time
//! are handed in.
//!
//! Without the feature `tls` the types are there and can have no value: whoever uses them need not
//! know.

mod failure;
mod policy;
mod settings;

#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod trust;
#[cfg(feature = "tls")]
mod verifier;

#[cfg(not(feature = "tls"))]
mod absent;

#[cfg(not(feature = "tls"))]
pub use absent::{Identity, TlsStream, Trust};
pub use failure::{Blame, Failure};
#[cfg(feature = "tls")]
pub use identity::Identity;
pub use policy::{
    AttemptFailure, Check, Opening, Step, after_answer, after_failure, check_of, opening,
};
pub use settings::{Protocol, Settings};
#[cfg(feature = "tls")]
pub use stream::TlsStream;
#[cfg(feature = "tls")]
pub use trust::Trust;
