//! From the first authentication request to the first ReadyForQuery (Protocol, "Start-up" and "SASL
//! Authentication").
//!
//! What is spoken: trust, cleartext password, md5, SCRAM-SHA-256 with channel binding and without.
//! Once SCRAM has begun there is no way around the server's own proof. What the operator does not
//! accept is not answered.

use std::{fmt, io, mem};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::error::{MAX_MESSAGE, ServerError, nonsense, printable};
use super::login::{Accepted, Binding, Login, Password, Transport};
use super::mechanism::{choose, unbound};
use crate::cluster::ProbeFailure;

/// Logging in: whom as, and how far it has come.
pub(super) struct Handshake {
    user: String,
    password: Option<Password>,
    transport: Transport,
    binding: Binding,
    accepted: Accepted,
    stage: Stage,
}

impl Handshake {
    /// The start-up message is on its way.
    pub(super) fn new(login: Login) -> Self {
        Self {
            user: login.user,
            password: login
                .password
                .filter(|password| !password.reveal().is_empty()),
            transport: login.transport,
            binding: login.binding,
            accepted: login.accepted,
            stage: Stage::Asked,
        }
    }

    /// The server has not let us in yet.
    pub(super) fn is_undecided(&self) -> bool {
        !matches!(self.stage, Stage::Accepted | Stage::Over)
    }

    /// Takes one message and queues the answer. True: logged in, and the server is ready.
    pub(super) fn receive(
        &mut self,
        message: Message,
        out: &mut BytesMut,
    ) -> Result<bool, ProbeFailure> {
        if let Message::ErrorResponse(body) = message {
            return Err(ServerError::read(&body)?.into_failure());
        }
        let stage = mem::replace(&mut self.stage, Stage::Over);
        self.stage = match (stage, message) {
            (Stage::Asked, message) => self.answer(message, out)?,
            (Stage::ScramBegun(scram), Message::AuthenticationSaslContinue(body)) => {
                prove(scram, body.data(), out)?
            }
            (Stage::ScramProved(scram), Message::AuthenticationSaslFinal(body)) => {
                verify(scram, body.data())?
            }
            (Stage::Answered, Message::AuthenticationOk) => Stage::Accepted,
            (Stage::Accepted, Message::ReadyForQuery(_)) => return Ok(true),
            (stage, _) => {
                return Err(nonsense(format!(
                    "an unexpected message while waiting for {stage}"
                )));
            }
        };
        Ok(false)
    }

    /// The server's first authentication request.
    fn answer(&self, message: Message, out: &mut BytesMut) -> Result<Stage, ProbeFailure> {
        match message {
            Message::AuthenticationOk => {
                self.check("nothing", self.accepted.nothing)?;
                return Ok(Stage::Accepted);
            }
            Message::AuthenticationCleartextPassword => {
                self.check("the password in cleartext", self.accepted.cleartext)?;
                self.check_nobody_listens()?;
                frontend::password_message(self.password_for("password")?, out)
                    .map_err(unsendable)?;
            }
            Message::AuthenticationMd5Password(body) => {
                self.check("the password as md5", self.accepted.md5)?;
                let hash = md5_hash(self.user.as_bytes(), self.password_for("md5")?, body.salt());
                frontend::password_message(hash.as_bytes(), out).map_err(unsendable)?;
            }
            Message::AuthenticationSasl(body) => return self.begin_scram(&body, out),
            other => return Err(not_spoken(&other)),
        }
        Ok(Stage::Answered)
    }

    /// What the operator does not accept, and what cannot be bound although it must be, goes no
    /// further.
    fn check(&self, method: &str, is_accepted: bool) -> Result<(), ProbeFailure> {
        if !is_accepted {
            return Err(rejected(format!(
                "the server requests {method}, which require_auth does not allow"
            )));
        }
        if self.binding == Binding::Require {
            return Err(unbound(&self.transport, method));
        }
        Ok(())
    }

    /// Any server that is asked in plaintext, and whoever stands in its place, could have the
    /// password by asking for it.
    fn check_nobody_listens(&self) -> Result<(), ProbeFailure> {
        if self.transport != Transport::Network || self.accepted.cleartext_in_the_open {
            return Ok(());
        }
        let message = "the server requests the password in cleartext over a connection that is not encrypted; to allow that, \
                       write require_auth=password";
        Err(rejected(message.to_owned()))
    }

    fn begin_scram(
        &self,
        body: &AuthenticationSaslBody,
        out: &mut BytesMut,
    ) -> Result<Stage, ProbeFailure> {
        if !self.accepted.scram {
            return Err(rejected(
                "the server requests SCRAM, which require_auth does not allow".to_owned(),
            ));
        }
        let offered: Vec<&str> = body
            .mechanisms()
            .collect()
            .map_err(|error| nonsense(format!("a malformed list of mechanisms: {error}")))?;
        let (mechanism, channel) = choose(&offered, &self.transport, self.binding)?;
        let scram = ScramSha256::new(self.password_for(SCRAM_SHA_256)?, channel);
        frontend::sasl_initial_response(mechanism, scram.message(), out).map_err(unsendable)?;
        Ok(Stage::ScramBegun(scram))
    }

    /// A password that is missing on our side is a rejection too: the server lives, and we cannot
    /// log in.
    fn password_for(&self, method: &str) -> Result<&[u8], ProbeFailure> {
        match &self.password {
            Some(password) => Ok(password.reveal().as_bytes()),
            None => Err(rejected(format!(
                "the server requests a password ({method}), and none is configured"
            ))),
        }
    }
}

/// How far logging in has come: named by what is waited for.
enum Stage {
    /// Start-up message sent.
    Asked,
    /// Our nonce sent.
    ScramBegun(ScramSha256),
    /// Our proof sent, the server's outstanding.
    ScramProved(ScramSha256),
    /// Everything that authentication asked for was sent, or the server has proved itself.
    Answered,
    /// Let in; parameters and the key are coming.
    Accepted,
    /// Failed, or done.
    Over,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "an authentication request",
            Self::ScramBegun(_) => "the server's SCRAM challenge",
            Self::ScramProved(_) => "the server's SCRAM proof",
            Self::Answered => "AuthenticationOk",
            Self::Accepted => "ReadyForQuery",
            Self::Over => "no further message",
        })
    }
}

/// The server's challenge; postgres-protocol refuses a foreign nonce and an absurd iteration count.
fn prove(
    mut scram: ScramSha256,
    challenge: &[u8],
    out: &mut BytesMut,
) -> Result<Stage, ProbeFailure> {
    scram
        .update(challenge)
        .map_err(|error| nonsense(format!("the server's SCRAM challenge: {}", quoted(&error))))?;
    frontend::sasl_response(scram.message(), out).map_err(unsendable)?;
    Ok(Stage::ScramProved(scram))
}

/// The server's proof that it knows the password too (RFC 5802, section 3, ServerSignature).
fn verify(mut scram: ScramSha256, proof: &[u8]) -> Result<Stage, ProbeFailure> {
    scram
        .finish(proof)
        .map_err(|error| rejected(format!("the server's proof is wrong: {}", quoted(&error))))?;
    Ok(Stage::Answered)
}

fn not_spoken(message: &Message) -> ProbeFailure {
    match message {
        Message::AuthenticationKerberosV5 => refused("Kerberos V5"),
        Message::AuthenticationScmCredential => refused("SCM credentials"),
        Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => refused("GSSAPI"),
        Message::AuthenticationSspi => refused("SSPI"),
        _ => nonsense(format!(
            "an unexpected message while waiting for {}",
            Stage::Asked
        )),
    }
}

fn refused(method: &str) -> ProbeFailure {
    ProbeFailure::Refused {
        message: format!("the server requests {method}, which pglookout does not support"),
    }
}

fn rejected(message: String) -> ProbeFailure {
    ProbeFailure::AuthenticationRejected { message }
}

/// postgres-protocol's errors quote what came.
fn quoted(error: &io::Error) -> String {
    printable(error.to_string().as_bytes(), MAX_MESSAGE)
}

/// A password with a zero byte: the server cannot have it either.
fn unsendable(error: io::Error) -> ProbeFailure {
    rejected(format!("the configured password cannot be sent: {error}"))
}
