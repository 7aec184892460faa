//! Before the login: whether the connection is encrypted, the TLS handshake, and what its failures
//! mean.

use std::io;

use super::outbound::{Connection, unreachable};
use crate::cluster::ProbeFailure;
use crate::config::ConnInfo;
use crate::daemon::io::Io;
use crate::daemon::tls_settings;
use crate::net::{Endpoint, Next};
use crate::pg::{self, Answer};
use crate::sys::process::local_name;
use crate::tls::{self, AttemptFailure, Blame, Failure, Opening, Settings, Step, TlsStream};

#[derive(Debug)]
pub(super) struct TlsNegotiation {
    state: NegotiationState,
    /// The failure of the first attempt on this server, if this is the second.
    first: Option<ProbeFailure>,
}

#[derive(Debug)]
enum NegotiationState {
    /// Nothing was sent. A second attempt begins with this opening.
    Begun(Option<Opening>),
    /// SSLRequest was sent.
    Requested,
    /// The server answers the request with an error.
    ReadingError,
    /// The handshake is next.
    Agreed,
    Handshaking,
    /// The login may begin, or has begun.
    Complete,
}

impl TlsNegotiation {
    pub(super) fn new() -> Self {
        Self {
            state: NegotiationState::Begun(None),
            first: None,
        }
    }

    /// Goes on as far as possible without waiting. True: the login may begin.
    pub(super) fn go_on(
        &mut self,
        open: &mut Connection,
        info: &ConnInfo,
        input_limit: usize,
        io: &mut Io,
    ) -> Result<bool, ProbeFailure> {
        loop {
            self.state = match self.state {
                NegotiationState::Begun(opening) => begin(opening, open, info)?,
                NegotiationState::Requested => match read_answer(open)? {
                    None => return Ok(false),
                    Some(answer) => act_on(answer, open, info, input_limit)?,
                },
                NegotiationState::Agreed if !start_encryption(open, info, io)? => return Ok(false),
                NegotiationState::Agreed => NegotiationState::Handshaking,
                NegotiationState::ReadingError => return read_error(open).map(|()| false),
                NegotiationState::Handshaking if continue_handshake(open, io)? => {
                    NegotiationState::Complete
                }
                NegotiationState::Handshaking => return Ok(false),
                NegotiationState::Complete => return Ok(true),
            };
        }
    }

    /// Whether to try again with TLS in place of plaintext, or the other way round. `is_rejected`: the
    /// server has ended the login with an error.
    pub(super) fn second_attempt(
        &self,
        open: &Connection,
        info: &ConnInfo,
        failure: &ProbeFailure,
        is_rejected: bool,
    ) -> Option<Self> {
        let attempt = match self.state {
            NegotiationState::Agreed | NegotiationState::Handshaking => AttemptFailure::Handshake,
            NegotiationState::Complete if is_rejected => AttemptFailure::Rejected,
            _ => AttemptFailure::Other,
        };
        let was_encrypted = attempt == AttemptFailure::Handshake || open.link.tls().is_some();
        let opening = tls::after_failure(info.tls.mode, was_encrypted, is_local(open), attempt)?;
        let second = Self {
            state: NegotiationState::Begun(Some(opening)),
            first: Some(failure.clone()),
        };
        self.first.is_none().then_some(second)
    }

    /// A timeout while the own files are being read means nothing about the server.
    pub(super) fn attribute_timeout(&self, failure: ProbeFailure) -> ProbeFailure {
        match (&self.state, failure) {
            (NegotiationState::Agreed, ProbeFailure::TimedOut { .. }) => explained(&Failure::new(
                Blame::Ourselves,
                "the files for TLS have not been read in time",
            )),
            (_, failure) => failure,
        }
    }

    /// A failure of the second attempt, with the first one's reason, which is often the relevant one.
    pub(super) fn with_first_failure(&self, mut failure: ProbeFailure) -> ProbeFailure {
        let first = self.first.as_ref().filter(|first| **first != failure);
        if let ProbeFailure::AuthenticationRejected { message }
        | ProbeFailure::Refused { message } = &mut failure
        {
            message.extend(first.map(|first| format!(" (before that: {first})")));
        }
        failure
    }
}

fn begin(
    second: Option<Opening>,
    open: &mut Connection,
    info: &ConnInfo,
) -> Result<NegotiationState, ProbeFailure> {
    if let (Some(name), Some(account)) = (&info.required_peer, open.link.peer_account()) {
        check_peer(name, account)?;
    }
    let opening =
        second.unwrap_or_else(|| tls::opening(info.tls.mode, info.tls.negotiation, is_local(open)));
    match opening {
        Opening::Plain => Ok(NegotiationState::Complete),
        Opening::Direct => Ok(NegotiationState::Agreed),
        Opening::Ask if !open.link.input.is_empty() => Err(ProbeFailure::ProtocolError {
            reason: "data before the first request".to_owned(),
        }),
        Opening::Ask => {
            open.link.limit_input(pg::ENCRYPTION_ANSWER_BYTES);
            pg::ask_for_encryption(&mut open.link.output);
            Ok(NegotiationState::Requested)
        }
    }
}

/// As with a certificate: the server is alive, and is not the expected one.
fn check_peer(required: &str, account: io::Result<u32>) -> Result<(), ProbeFailure> {
    let account = account.map_err(unreachable)?;
    match local_name(account) {
        Some(name) if name == required => Ok(()),
        name => {
            let name = name.unwrap_or_else(|| "not in /etc/passwd".to_owned());
            let message =
                format!("the server runs as user {account} ({name}), requirepeer is {required}");
            Err(ProbeFailure::AuthenticationRejected { message })
        }
    }
}

fn read_answer(open: &mut Connection) -> Result<Option<Answer>, ProbeFailure> {
    let pumped = open.link.pump();
    let answer = pg::encryption_answer(&mut open.link.input)?;
    if answer.is_none() {
        check_open(&pumped.next, "after the TLS request")?;
    }
    Ok(answer)
}

fn act_on(
    answer: Answer,
    open: &mut Connection,
    info: &ConnInfo,
    input_limit: usize,
) -> Result<NegotiationState, ProbeFailure> {
    open.link.limit_input(input_limit);
    if answer == Answer::Error {
        return Ok(NegotiationState::ReadingError);
    }
    match tls::after_answer(info.tls.mode, answer == Answer::Willing) {
        Step::Encrypt => Ok(NegotiationState::Agreed),
        Step::GoOnPlain => Ok(NegotiationState::Complete),
        Step::Refuse => Err(ProbeFailure::Refused {
            message: "the server does not support TLS, which sslmode requires".to_owned(),
        }),
    }
}

fn read_error(open: &mut Connection) -> Result<(), ProbeFailure> {
    let pumped = open.link.pump();
    pg::encryption_error(&mut open.link.input)?;
    check_open(&pumped.next, "after the TLS request")
}

/// An error if the connection has ended.
fn check_open(next: &Next, when: &str) -> Result<(), ProbeFailure> {
    match next {
        Next::Failed(error) => Err(failure_of(error)),
        Next::Ended => Err(unreachable(format_args!(
            "the server closed the connection {when}"
        ))),
        Next::Wait | Next::Again | Next::Full => Ok(()),
    }
}

/// False: the files that this needs are still being read.
fn start_encryption(
    open: &mut Connection,
    info: &ConnInfo,
    io: &mut Io,
) -> Result<bool, ProbeFailure> {
    let host = info
        .hosts
        .get(open.host)
        .map_or("", |host| host.name.as_str());
    start_handshake(open, tls_settings::for_node(&info.tls, host, io))
}

/// Begins the handshake once its settings are known. False: they are not known yet.
pub(super) fn start_handshake(
    open: &mut Connection,
    settings: Result<Option<Settings>, Failure>,
) -> Result<bool, ProbeFailure> {
    let begun = settings.and_then(|settings| {
        let tls = settings.map(TlsStream::new).transpose()?;
        let is_known = tls.is_some();
        tls.map_or(Ok(()), |tls| open.link.start_tls(tls))?;
        Ok(is_known)
    });
    begun.map_err(|failure| explained(&failure))
}

/// True: the handshake is complete.
pub(super) fn continue_handshake(open: &mut Connection, io: &mut Io) -> Result<bool, ProbeFailure> {
    let pumped = open.link.pump();
    if open.link.tls().is_some_and(|tls| !tls.is_handshaking()) {
        return Ok(true);
    }
    check_open(&pumped.next, "within the TLS handshake")?;
    if matches!(pumped.next, Next::Again) {
        io.registry.again(open.token);
    }
    Ok(false)
}

/// What the end of a connection by this error means.
pub(super) fn failure_of(error: &io::Error) -> ProbeFailure {
    let inner = error.get_ref();
    let failure = inner.and_then(|inner| inner.downcast_ref::<Failure>());
    failure.map_or_else(|| unreachable(error), explained)
}

/// An expired certificate is no reason to regard a primary as failed. So a server counts as alive if
/// its certificate, or ours, is not accepted by the other side.
fn explained(failure: &Failure) -> ProbeFailure {
    let message = failure.reason.clone();
    match failure.blame {
        Blame::Certificate | Blame::OurCertificate | Blame::Ourselves => {
            ProbeFailure::AuthenticationRejected { message }
        }
        Blame::Server => ProbeFailure::Refused { message },
        Blame::ProtocolError => ProbeFailure::ProtocolError { reason: message },
    }
}

pub(super) fn transport(open: &Connection) -> pg::Transport {
    match open.link.tls() {
        Some(tls) => pg::Transport::Encrypted {
            end_point: tls.end_point(),
        },
        None if is_local(open) => pg::Transport::Local,
        None => pg::Transport::Network,
    }
}

fn is_local(open: &Connection) -> bool {
    !matches!(open.endpoint, Endpoint::Tcp(_))
}
