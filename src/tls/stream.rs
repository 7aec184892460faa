//! An encrypted connection: reads and writes plaintext over a transport that is handed in at each
//! call.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, SupportedProtocolVersion};

use super::certificate::Certificate;
use super::identity::ClientCertificate;
use super::verifier::{Verifier, without_zone};
use super::{Blame, Failure, Protocol, Settings};
use crate::config::TlsVersion;
use crate::time::WallTime;

/// The client's side of one encrypted connection. Its errors carry a [`Failure`] wherever TLS is
/// their cause.
#[derive(Debug)]
pub struct TlsStream {
    connection: ClientConnection,
    client_certificate: Arc<ClientCertificate>,
    /// What is to be checked once the handshake is over.
    unchecked: Option<Unchecked>,
}

#[derive(Debug)]
struct Unchecked {
    protocol: Protocol,
    must_be_asked: bool,
}

impl TlsStream {
    /// The beginning of a handshake.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let unchecked = Unchecked {
            protocol: settings.protocol,
            must_be_asked: settings.must_be_asked,
        };
        let client_certificate = Arc::new(ClientCertificate::new(settings.identity.clone()));
        let name = server_name(&settings)?;
        let config = configuration(settings, Arc::clone(&client_certificate))
            .map_err(|error| ours(&error))?;
        let mut connection =
            ClientConnection::new(Arc::new(config), name).map_err(|error| ours(&error))?;
        connection.set_buffer_limit(Some(MAX_SEALED_BYTES));
        Ok(Self {
            connection,
            client_certificate,
            unchecked: Some(unchecked),
        })
    }

    /// Nothing can be sent yet.
    pub fn is_handshaking(&self) -> bool {
        self.unchecked.is_some()
    }

    /// What a login can be bound to: `tls-server-end-point`; `None` if the certificate gives no
    /// hash for it.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        Certificate::read(self.connection.peer_certificates()?.first()?)?.end_point()
    }

    /// As [`Read::read`] of a non-blocking socket. `Interrupted` means that some was taken which
    /// was no plaintext: what is needed for that counts as work, lest somebody keeps us busy with
    /// nothing.
    pub fn read(
        &mut self,
        transport: &mut (impl Read + Write),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        match self.plaintext(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        let taken = self.connection.read_tls(transport)?;
        let understood = self.connection.process_new_packets();
        // Answers of the handshake, or the alert with the reason for our rejection. If that does not
        // go, the other side has hung up, and has perhaps sent why: the next reads show it.
        let _ = self.flush(transport);
        understood.map_err(|error| broken(&error))?;
        if self.unchecked.is_some() && !self.connection.is_handshaking() {
            self.check_agreed()?;
        }
        match self.plaintext(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => {
                Err(io::ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }

    /// As [`Write::write`] of a non-blocking socket: what it takes is encrypted, and sent now or by
    /// a later [`flush`](Self::flush). Takes nothing before the handshake is over.
    pub fn write(
        &mut self,
        transport: &mut (impl Read + Write),
        bytes: &[u8],
    ) -> io::Result<usize> {
        self.flush(transport)?;
        if self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write(bytes).map_err(in_words)?;
        ignoring_blocks(self.flush(transport))?;
        Ok(taken)
    }

    /// Sends what is encrypted and waits to be sent; `WouldBlock` if not all of it went.
    pub fn flush(&mut self, transport: &mut impl Write) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is decrypted and was not taken yet. An end that nobody announced may be somebody else's
    /// doing.
    fn plaintext(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let how = if self.is_handshaking() {
            "within the TLS handshake"
        } else {
            "without a TLS close_notify"
        };
        self.connection
            .reader()
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), format!("the connection ended {how}"))
                }
                _ => in_words(error),
            })
    }

    /// The handshake is over: did it bring what was demanded.
    fn check_agreed(&mut self) -> io::Result<()> {
        let Some(unchecked) = self.unchecked.take() else {
            return Ok(());
        };
        let confirmed = self.connection.alpn_protocol() == alpn(unchecked.protocol);
        if unchecked.protocol == Protocol::DirectPostgres && !confirmed {
            let reason = "the server did not confirm PostgreSQL's protocol (ALPN), which sslnegotiation=direct requires";
            return Err(io::Error::other(Failure::new(Blame::Server, reason)));
        }
        if unchecked.must_be_asked && !self.client_certificate.was_requested() {
            let reason =
                "the server did not ask for our certificate, which sslcertmode=require requires";
            return Err(io::Error::other(Failure::new(Blame::Server, reason)));
        }
        Ok(())
    }
}

fn configuration(
    settings: Settings,
    client_certificate: Arc<ClientCertificate>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier {
        trust: settings.trust,
        host: settings.verifies_name.then_some(settings.host),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_details(
        provider as Arc<CryptoProvider>,
        Arc::new(At(settings.now)),
    )
    .with_protocol_versions(&versions(settings.oldest, settings.newest))?
    .dangerous()
    .with_custom_certificate_verifier(Arc::new(verifier))
    .with_client_cert_resolver(client_certificate);
    config.alpn_protocols = alpn(settings.protocol)
        .map(<[u8]>::to_vec)
        .into_iter()
        .collect();
    config.enable_sni = settings.sni;
    // Connections stay open for days; a resumed one would save a millisecond.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn versions(oldest: TlsVersion, newest: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    all.into_iter()
        .filter(|(version, _)| (oldest..=newest).contains(version))
        .map(|(_, version)| version)
        .collect()
}

/// A name that cannot stand in a certificate matters only where it is compared with one.
fn server_name(settings: &Settings) -> Result<ServerName<'static>, Failure> {
    let host = without_zone(&settings.host);
    match ServerName::try_from(host.to_owned()) {
        Err(_) if settings.verifies_name => Err(Failure::new(
            Blame::Ourselves,
            "the host name is not valid in a certificate",
        )),
        // An address is never sent.
        Err(_) => Ok(ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])))),
        Ok(name) => Ok(name),
    }
}

/// PostgreSQL's word is registered, and confirmed by servers from version 17 on; older ones do not
/// look at it.
fn alpn(protocol: Protocol) -> Option<&'static [u8]> {
    match protocol {
        Protocol::Postgres | Protocol::DirectPostgres => Some(b"postgresql"),
        Protocol::Http => Some(b"http/1.1"),
    }
}

/// The one time at which a connection's certificates are looked at.
#[derive(Debug)]
struct At(WallTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.unix_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(
            std::time::Duration::from_micros(micros),
        ))
    }
}

fn ignoring_blocks(sent: io::Result<()>) -> io::Result<()> {
    sent.or_else(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            Ok(())
        } else {
            Err(error)
        }
    })
}

fn ours(error: &Error) -> Failure {
    Failure::new(Blame::Ourselves, format!("TLS: {error}"))
}

/// rustls repeats the failure that ended a connection as the inside of every later one.
fn in_words(error: io::Error) -> io::Error {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        Some(reason) => broken(reason),
        None => error,
    }
}

/// What ended the connection, in words, by who is to blame.
fn broken(error: &Error) -> io::Error {
    io::Error::other(match error {
        Error::InvalidCertificate(reason) => rejected(reason),
        Error::AlertReceived(alert) => alerted(*alert),
        Error::PeerIncompatible(reason) => Failure::new(
            Blame::Server,
            format!("no common TLS version or cipher with the server: {reason:?}"),
        ),
        other => Failure::new(Blame::ProtocolError, format!("TLS: {other}")),
    })
}

/// The verifier's own reason, where it is one.
fn rejected(reason: &CertificateError) -> Failure {
    let ours = match reason {
        CertificateError::Other(other) => other.0.downcast_ref::<Failure>().cloned(),
        _ => None,
    };
    ours.unwrap_or_else(|| {
        let reason = format!("the server's certificate: {reason}");
        Failure::new(Blame::Certificate, reason)
    })
}

/// What the server has sent in place of a close_notify (RFC 8446, section 6.2).
fn alerted(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    let (blame, reason) = match alert {
        A::CertificateRequired => {
            let reason = "the server requires a client certificate";
            return Failure::new(Blame::OurCertificate, reason);
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => (
            Blame::OurCertificate,
            "the server does not accept our client certificate",
        ),
        A::ProtocolVersion => (Blame::Server, "the server supports no allowed TLS version"),
        _ => (Blame::Server, "the server ended the TLS connection"),
    };
    Failure::new(blame, format!("{reason} (TLS alert {alert:?})"))
}

/// Encrypted bytes that may wait to be sent.
const MAX_SEALED_BYTES: usize = 64 * 1024;
