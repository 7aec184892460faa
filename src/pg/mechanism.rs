//! Which SCRAM is supported, and what it is bound to (RFC 5802, section 6; libpq's `channel_binding`).

use postgres_protocol::authentication::sasl::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};

use super::error::{MAX_WORD, printable};
use super::scram::Binding;
use crate::cluster::ProbeFailure;
use crate::config;

/// How the bytes of a session get to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over a network, unencrypted: anybody on the way can read them.
    Network,
    /// Over a socket of this machine.
    Local,
    /// Encrypted.
    Encrypted {
        /// What the login can be bound to: `tls-server-end-point` (RFC 5929), if the certificate
        /// gives one.
        end_point: Option<Vec<u8>>,
    },
}

/// The mechanism, and what its first message says of the connection.
///
/// Where the connection could be bound and the server does not offer it, the message says so ("y").
/// A server that did offer it then knows that somebody between us has struck it from the list, and
/// refuses.
pub(super) fn choose(
    offered: &[&str],
    transport: &Transport,
    binding: config::ChannelBinding,
) -> Result<(&'static str, Binding), ProbeFailure> {
    use config::ChannelBinding::{Disable, Prefer, Require};
    let plus = offered.contains(&SCRAM_SHA_256_PLUS);
    let end_point = match transport {
        Transport::Encrypted { end_point } => end_point.clone(),
        _ if plus => {
            return Err(rejected(
                "the server offers channel binding on a connection that is not encrypted",
            ));
        }
        Transport::Network | Transport::Local => None,
    };
    match (binding, end_point) {
        (Prefer | Require, Some(hash)) if plus => Ok((SCRAM_SHA_256_PLUS, Binding::EndPoint(hash))),
        (Require, _) if !matches!(transport, Transport::Encrypted { .. }) => Err(not_encrypted()),
        (Require, None) => Err(rejected(
            "channel binding is required, and the server's certificate has no hash to bind to",
        )),
        (Require, Some(_)) => Err(rejected(
            "channel binding is required, and the server does not offer it",
        )),
        _ if !offered.contains(&SCRAM_SHA_256) => Err(ProbeFailure::Refused {
            message: format!(
                "the server requests SASL with {}, which pglookout does not support",
                printable(offered.join(", ").as_bytes(), MAX_WORD)
            ),
        }),
        (Prefer, Some(_)) => Ok((SCRAM_SHA_256, Binding::Unrequested)),
        (Prefer | Disable, _) => Ok((SCRAM_SHA_256, Binding::Unsupported)),
    }
}

/// Channel binding is required, and the server lets us in by another way.
pub(super) fn unbound(transport: &Transport, method: &str) -> ProbeFailure {
    match transport {
        Transport::Encrypted { .. } => rejected(&format!(
            "channel binding is required, and the server requests {method}"
        )),
        Transport::Network | Transport::Local => not_encrypted(),
    }
}

fn not_encrypted() -> ProbeFailure {
    rejected("channel binding is required, and the connection is not encrypted")
}

fn rejected(message: &str) -> ProbeFailure {
    ProbeFailure::AuthenticationRejected {
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelBinding as Binding;
    use crate::pg::scram::Scram;

    /// The mechanism and the first message's letter, or why there is none.
    #[track_caller]
    fn check(offered: &[&str], transport: Transport, binding: Binding, expected: &str) {
        let chosen = match choose(offered, &transport, binding) {
            Err(failure) => failure.to_string(),
            Ok((mechanism, channel)) => {
                let first = Scram::new(b"x", channel).first_message();
                format!("{mechanism} {}", first.split(',').next().unwrap())
            }
        };
        assert!(
            chosen.contains(expected),
            "{offered:?} {transport:?} {binding:?}: {chosen}"
        );
    }

    #[test]
    fn a_login_is_bound_where_both_sides_can() {
        let (both, plain) = ([SCRAM_SHA_256_PLUS, SCRAM_SHA_256], [SCRAM_SHA_256]);
        let tls = || Transport::Encrypted {
            end_point: Some(vec![7; 32]),
        };
        let no_hash = || Transport::Encrypted { end_point: None };
        check(
            &both,
            tls(),
            Binding::Prefer,
            "SCRAM-SHA-256-PLUS p=tls-server-end-point",
        );
        check(
            &both,
            tls(),
            Binding::Require,
            "SCRAM-SHA-256-PLUS p=tls-server-end-point",
        );
        check(&both, tls(), Binding::Disable, "SCRAM-SHA-256 n");
        check(&both, no_hash(), Binding::Prefer, "SCRAM-SHA-256 n");
        check(
            &plain,
            Transport::Network,
            Binding::Prefer,
            "SCRAM-SHA-256 n",
        );
        check(
            &plain,
            Transport::Local,
            Binding::Disable,
            "SCRAM-SHA-256 n",
        );
    }

    #[test]
    fn a_server_learns_that_its_offer_was_struck() {
        let tls = Transport::Encrypted {
            end_point: Some(vec![7; 32]),
        };
        check(&[SCRAM_SHA_256], tls, Binding::Prefer, "SCRAM-SHA-256 y");
    }

    #[test]
    fn what_is_required_and_cannot_be_had_is_a_rejection() {
        let tls = || Transport::Encrypted {
            end_point: Some(vec![7; 32]),
        };
        let both = [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
        check(
            &[SCRAM_SHA_256],
            tls(),
            Binding::Require,
            "the server does not offer it",
        );
        check(
            &both,
            Transport::Encrypted { end_point: None },
            Binding::Require,
            "no hash to bind to",
        );
        check(
            &[SCRAM_SHA_256],
            Transport::Network,
            Binding::Require,
            "the connection is not encrypted",
        );
        check(
            &both,
            Transport::Network,
            Binding::Prefer,
            "on a connection that is not encrypted",
        );
        check(
            &["OAUTHBEARER"],
            tls(),
            Binding::Prefer,
            "SASL with OAUTHBEARER",
        );
        check(
            &[SCRAM_SHA_256_PLUS],
            tls(),
            Binding::Disable,
            "SASL with SCRAM-SHA-256-PLUS",
        );
    }
}
