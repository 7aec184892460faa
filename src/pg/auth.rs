//! From the first authentication request to the first ReadyForQuery (Protocol, "Start-up" and "SASL
//! Authentication").
//!
//! What is supported: trust, cleartext password, md5, SCRAM-SHA-256 with channel binding and without.
//! Once SCRAM has begun there is no way around the server's own proof. What the operator does not
//! accept is not answered.

use std::{fmt, io, mem};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::SCRAM_SHA_256;
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::error::{MAX_MESSAGE, ServerError, declined, nonsense, printable};
use super::mechanism::{Transport, choose, unbound};
use super::scram::{Fault, Proved, Salting, Scram};
use crate::cluster::ProbeFailure;
use crate::config::{AuthMethod, AuthMethods, ChannelBinding, ConnInfo, Secret};

/// Logging in: whom as, and how far it has come.
pub(super) struct Handshake {
    user: String,
    /// None of an empty one, as in libpq.
    password: Option<Secret>,
    transport: Transport,
    binding: ChannelBinding,
    accepted: AuthMethods,
    stage: Stage,
}

impl Handshake {
    /// Queues the StartupMessage (Protocol, "Message Formats") for the host at index `host`. Nothing
    /// is queued when a value holds a zero byte, which the message cannot carry.
    ///
    /// Protocol 3.0, though newer servers speak 3.2: nothing of it is needed here, and poolers know
    /// 3.0. Only parameters that pgbouncer accepts from everybody are sent; `options` is there only
    /// if it was configured.
    pub(super) fn begin(
        info: &ConnInfo,
        host: usize,
        transport: Transport,
        out: &mut BytesMut,
    ) -> io::Result<Self> {
        let begin = out.len();
        let name = info.application_name.as_deref();
        let parameters = [
            ("user", info.user.as_str()),
            ("database", info.dbname.as_str()),
            ("application_name", name.unwrap_or(APPLICATION_NAME)),
            // The server's own bytes: what it cannot convert would be an error.
            ("client_encoding", "SQL_ASCII"),
        ];
        let options = info.options.as_deref().map(|options| ("options", options));
        frontend::startup_message(parameters.into_iter().chain(options), out)
            .inspect_err(|_| out.truncate(begin))?;
        let password = info.hosts.get(host).and_then(|host| host.password.clone());
        Ok(Self {
            user: info.user.clone(),
            password: password.filter(|password| !password.reveal().is_empty()),
            transport,
            binding: info.channel_binding,
            accepted: info.require_auth,
            stage: Stage::Asked,
        })
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
                challenged(scram, body.data())?
            }
            (Stage::ScramProved(proved), Message::AuthenticationSaslFinal(body)) => {
                verify(proved, body.data())?
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

    /// The password is being salted: no message is taken before that is done.
    pub(super) fn is_computing(&self) -> bool {
        matches!(self.stage, Stage::ScramSalting(_))
    }

    /// Computes a portion, and queues the answer after the last.
    pub(super) fn compute(&mut self, out: &mut BytesMut) -> Result<(), ProbeFailure> {
        let Stage::ScramSalting(salting) = &mut self.stage else {
            return Ok(());
        };
        salting.next_portion();
        if !salting.is_done() {
            return Ok(());
        }
        if let Stage::ScramSalting(salting) = mem::replace(&mut self.stage, Stage::Over) {
            let (message, proved) = salting.prove();
            frontend::sasl_response(message.as_bytes(), out).map_err(unsendable)?;
            self.stage = Stage::ScramProved(proved);
        }
        Ok(())
    }

    /// The server's first authentication request.
    fn answer(&self, message: Message, out: &mut BytesMut) -> Result<Stage, ProbeFailure> {
        match message {
            Message::AuthenticationOk => {
                self.check("nothing", AuthMethod::Nothing)?;
                return Ok(Stage::Accepted);
            }
            Message::AuthenticationCleartextPassword => {
                self.check("the password in cleartext", AuthMethod::Password)?;
                self.check_nobody_listens()?;
                frontend::password_message(self.password_for("password")?, out)
                    .map_err(unsendable)?;
            }
            Message::AuthenticationMd5Password(body) => {
                self.check("the password as md5", AuthMethod::Md5)?;
                let hash = md5_hash(self.user.as_bytes(), self.password_for("md5")?, body.salt());
                frontend::password_message(hash.as_bytes(), out).map_err(unsendable)?;
            }
            Message::AuthenticationSasl(body) => return self.begin_scram(&body, out),
            other => return Err(not_supported(&other)),
        }
        Ok(Stage::Answered)
    }

    /// What the operator does not accept, and what cannot be bound although it must be, goes no
    /// further.
    fn check(&self, name: &str, method: AuthMethod) -> Result<(), ProbeFailure> {
        if !self.accepted.allows(method) {
            return Err(rejected(format!(
                "the server requests {name}, which require_auth does not allow"
            )));
        }
        if self.binding == ChannelBinding::Require {
            return Err(unbound(&self.transport, name));
        }
        Ok(())
    }

    /// Any server that is asked in plaintext, and whoever stands in its place, could have the
    /// password by asking for it.
    fn check_nobody_listens(&self) -> Result<(), ProbeFailure> {
        if self.transport != Transport::Network || self.accepted.lists(AuthMethod::Password) {
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
        if !self.accepted.allows(AuthMethod::Scram) {
            return Err(rejected(
                "the server requests SCRAM, which require_auth does not allow".to_owned(),
            ));
        }
        let offered: Vec<&str> = body
            .mechanisms()
            .collect()
            .map_err(|error| nonsense(format!("a malformed list of mechanisms: {error}")))?;
        let (mechanism, channel) = choose(&offered, &self.transport, self.binding)?;
        let scram = Scram::new(self.password_for(SCRAM_SHA_256)?, channel);
        let first = scram.first_message();
        frontend::sasl_initial_response(mechanism, first.as_bytes(), out).map_err(unsendable)?;
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
    ScramBegun(Scram),
    /// The server's challenge is there, our proof is being computed.
    ScramSalting(Box<Salting>),
    /// Our proof sent, the server's outstanding.
    ScramProved(Proved),
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
            Self::ScramSalting(_) => "our own SCRAM proof",
            Self::ScramProved(_) => "the server's SCRAM proof",
            Self::Answered => "AuthenticationOk",
            Self::Accepted => "ReadyForQuery",
            Self::Over => "no further message",
        })
    }
}

/// The server's challenge.
fn challenged(scram: Scram, challenge: &[u8]) -> Result<Stage, ProbeFailure> {
    let salting = scram.challenged(challenge).map_err(|fault| match fault {
        Fault::TooManyIterations => declined(
            "the server's SCRAM challenge: SCRAM iteration count exceeds the maximum allowed",
        ),
        Fault::Nonsense(what) => nonsense(format!("the server's SCRAM challenge: {what}")),
    })?;
    Ok(Stage::ScramSalting(Box::new(salting)))
}

/// The server's proof that it knows the password too (RFC 5802, section 3, ServerSignature).
fn verify(proved: Proved, proof: &[u8]) -> Result<Stage, ProbeFailure> {
    let wrong = |reason: String| {
        let reason = printable(reason.as_bytes(), MAX_MESSAGE);
        rejected(format!("the server's proof is wrong: {reason}"))
    };
    proved.verify(proof).map_err(wrong)?;
    Ok(Stage::Answered)
}

fn not_supported(message: &Message) -> ProbeFailure {
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

/// A password with a zero byte: the server cannot have it either.
fn unsendable(error: io::Error) -> ProbeFailure {
    rejected(format!("the configured password cannot be sent: {error}"))
}

/// What a session is called before it has a name of its own.
const APPLICATION_NAME: &str = "pglookout";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::wire;

    fn start(info: &ConnInfo, out: &mut BytesMut) -> bool {
        Handshake::begin(info, 0, Transport::Network, out).is_ok()
    }

    #[test]
    fn the_start_up_message_is_protocol_3_0() {
        let mut out = BytesMut::new();
        let mut info = wire::info("user=u dbname=d");
        assert!(start(&info, &mut out));
        let expected =
            b"\0\0\0\x50\0\x03\0\0user\0u\0database\0d\0application_name\0pglookout\0client_encoding\0SQL_ASCII\0\0";
        assert_eq!(&out[..], expected);

        out.clear();
        info.options = Some("-c x=y".to_owned());
        assert!(start(&info, &mut out));
        assert!(out.ends_with(b"SQL_ASCII\0options\0-c x=y\0\0"));
    }

    #[test]
    fn a_zero_byte_queues_nothing() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut info = wire::info("");
        info.user = "u\0superuser\0yes".to_owned();
        assert!(!start(&info, &mut out));
        assert_eq!(&out[..], b"before");
    }
}
