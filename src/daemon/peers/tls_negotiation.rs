//! From a connection to one on which something may be said: whether it is to be encrypted, the
//! handshake, and what its failures mean.

use std::io;

use super::outbound::Connection;
use crate::cluster::ProbeFailure;
use crate::config::ConnInfo;
use crate::daemon::io::Io;
use crate::daemon::keyring;
use crate::net::{Endpoint, Next};
use crate::pg::{self, Answer};
use crate::sys::process::local_name;
use crate::tls::{self, AttemptFailure, Blame, Failure, Opening, Settings, Step, TlsStream};

/// How far the negotiation with a server has come.
#[derive(Debug)]
pub(super) struct TlsNegotiation {
    stage: Stage,
    /// Why the first attempt on this server failed; this is the second, in the other way.
    first: Option<ProbeFailure>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was said.
    Begun {
        /// How the second attempt is to begin.
        wanted: Option<Opening>,
    },
    /// The server was asked whether it encrypts.
    Asked,
    /// It did not say yes, but has an error to tell.
    ReadingError,
    /// The handshake is next.
    Agreed,
    /// The handshake is under way.
    Handshaking,
    /// The login may begin, or has begun.
    Settled,
}

impl TlsNegotiation {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Begun { wanted: None },
            first: None,
        }
    }

    /// Brings the negotiation on as far as it goes without waiting. True: the login may begin.
    pub(super) fn go_on(
        &mut self,
        open: &mut Connection,
        info: &ConnInfo,
        input_limit: usize,
        io: &mut Io,
    ) -> Result<bool, ProbeFailure> {
        loop {
            self.stage = match self.stage {
                Stage::Begun { wanted } => begin(wanted, open, info)?,
                Stage::Asked => match read_answer(open)? {
                    None => return Ok(false),
                    Some(answer) => act_on(answer, open, info, input_limit)?,
                },
                Stage::Agreed if !encrypt(open, info, io)? => return Ok(false),
                Stage::Agreed => Stage::Handshaking,
                Stage::ReadingError => return read_error(open).map(|()| false),
                Stage::Handshaking if continue_handshake(open, io)? => Stage::Settled,
                Stage::Handshaking => return Ok(false),
                Stage::Settled => return Ok(true),
            };
        }
    }

    /// Is the failure of this attempt a reason to make another, in the other way?
    /// `was_turned_away`: by the server's own error, before it let us in.
    pub(super) fn other_way(
        &self,
        open: &Connection,
        info: &ConnInfo,
        failure: &ProbeFailure,
        was_turned_away: bool,
    ) -> Option<Self> {
        let attempt = match self.stage {
            Stage::Agreed | Stage::Handshaking => AttemptFailure::Handshake,
            Stage::Settled if was_turned_away => AttemptFailure::Rejected,
            _ => AttemptFailure::Other,
        };
        let was_encrypted = attempt == AttemptFailure::Handshake || open.link.tls().is_some();
        let wanted = tls::after_failure(info.tls.mode, was_encrypted, is_local(open), attempt)?;
        let second = Self {
            stage: Stage::Begun {
                wanted: Some(wanted),
            },
            first: Some(failure.clone()),
        };
        self.first.is_none().then_some(second)
    }

    /// Our own files keep it waiting: that its time is over says nothing of the server.
    pub(super) fn blame_files(&self, failure: ProbeFailure) -> ProbeFailure {
        match (&self.stage, failure) {
            (Stage::Agreed, ProbeFailure::TimedOut { .. }) => explained(&Failure::new(
                Blame::Ourselves,
                "the files for TLS have not been read in time",
            )),
            (_, failure) => failure,
        }
    }

    /// A failure of the second attempt, with the first one's reason: that is often the one to look
    /// at.
    pub(super) fn explain(&self, mut failure: ProbeFailure) -> ProbeFailure {
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
    wanted: Option<Opening>,
    open: &mut Connection,
    info: &ConnInfo,
) -> Result<Stage, ProbeFailure> {
    if let (Some(name), Some(account)) = (&info.required_peer, open.link.peer_account()) {
        check_peer(name, account)?;
    }
    let opening =
        wanted.unwrap_or_else(|| tls::opening(info.tls.mode, info.tls.negotiation, is_local(open)));
    match opening {
        Opening::Plain => Ok(Stage::Settled),
        Opening::Direct => Ok(Stage::Agreed),
        Opening::Ask if !open.link.input.is_empty() => Err(ProbeFailure::ProtocolError {
            reason: "data before the first request".to_owned(),
        }),
        Opening::Ask => {
            open.link.limit_input(pg::ENCRYPTION_ANSWER_BYTES);
            pg::ask_for_encryption(&mut open.link.output);
            Ok(Stage::Asked)
        }
    }
}

/// As with a certificate: somebody lives there whom we do not take for the one we mean.
fn check_peer(required: &str, account: io::Result<u32>) -> Result<(), ProbeFailure> {
    let account = account.map_err(|error| ProbeFailure::Unreachable {
        reason: error.to_string(),
    })?;
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
    match (pg::encryption_answer(&mut open.link.input)?, pumped.next) {
        (Some(answer), _) => Ok(Some(answer)),
        (None, Next::Failed(error)) => Err(blame(&error)),
        (None, Next::Ended) => Err(ended("after the TLS request")),
        (None, Next::Wait | Next::Again | Next::Full) => Ok(None),
    }
}

fn act_on(
    answer: Answer,
    open: &mut Connection,
    info: &ConnInfo,
    input_limit: usize,
) -> Result<Stage, ProbeFailure> {
    open.link.limit_input(input_limit);
    if answer == Answer::Error {
        return Ok(Stage::ReadingError);
    }
    match tls::after_answer(info.tls.mode, answer == Answer::Willing) {
        Step::Encrypt => Ok(Stage::Agreed),
        Step::GoOnPlain => Ok(Stage::Settled),
        Step::Refuse => Err(ProbeFailure::Refused {
            message: "the server does not support TLS, which sslmode requires".to_owned(),
        }),
    }
}

fn read_error(open: &mut Connection) -> Result<(), ProbeFailure> {
    let pumped = open.link.pump();
    pg::encryption_error(&mut open.link.input)?;
    match pumped.next {
        Next::Failed(error) => Err(blame(&error)),
        Next::Ended => Err(ended("after the TLS request")),
        Next::Wait | Next::Again | Next::Full => Ok(()),
    }
}

/// False: the files that this takes are still being read.
fn encrypt(open: &mut Connection, info: &ConnInfo, io: &mut Io) -> Result<bool, ProbeFailure> {
    let host = info
        .hosts
        .get(open.host)
        .map_or("", |host| host.name.as_str());
    start_handshake(open, keyring::for_node(&info.tls, host, io))
}

/// Begins the handshake, once its settings are known. False: they are not yet.
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

/// Brings the handshake on. True: it is over, and what is said from now on is encrypted.
pub(super) fn continue_handshake(open: &mut Connection, io: &mut Io) -> Result<bool, ProbeFailure> {
    let pumped = open.link.pump();
    if open.link.tls().is_some_and(|tls| !tls.is_handshaking()) {
        return Ok(true);
    }
    match pumped.next {
        Next::Failed(error) => Err(blame(&error)),
        Next::Ended => Err(ended("within the TLS handshake")),
        Next::Again => {
            io.registry.again(open.token);
            Ok(false)
        }
        Next::Wait | Next::Full => Ok(false),
    }
}

/// What the end of a connection is to be blamed on.
pub(super) fn blame(error: &io::Error) -> ProbeFailure {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Failure>())
    {
        Some(failure) => explained(failure),
        None => ProbeFailure::Unreachable {
            reason: error.to_string(),
        },
    }
}

/// A certificate that has expired is no reason to take a primary for dead: somebody lives there,
/// and it may well be the primary. So whoever shows a certificate, ours or the server's, that the
/// other does not accept counts as alive.
pub(super) fn explained(failure: &Failure) -> ProbeFailure {
    let message = failure.reason.clone();
    match failure.blame {
        Blame::Certificate | Blame::OurCertificate | Blame::Ourselves => {
            ProbeFailure::AuthenticationRejected { message }
        }
        Blame::Server => ProbeFailure::Refused { message },
        Blame::ProtocolError => ProbeFailure::ProtocolError { reason: message },
    }
}

/// How what is said on it gets to the server.
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

fn ended(when: &str) -> ProbeFailure {
    ProbeFailure::Unreachable {
        reason: format!("the server closed the connection {when}"),
    }
}
