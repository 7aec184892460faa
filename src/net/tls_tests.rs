//! Encrypted links against a real peer: bytes of any number both ways, a limit on what waits, ends
//! of every kind.

use std::net::{TcpListener, TcpStream as Peer};
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::tests::until;
use super::*;
use crate::config::TlsVersion;
use crate::time::WallTime;
use crate::tls::{Protocol, Settings};

const LIMIT: usize = 10_000;

type Encrypted = StreamOwned<ServerConnection, Peer>;

fn settings(newest: TlsVersion) -> Settings {
    Settings {
        host: "db.example".to_owned(),
        trust: None,
        verifies_name: false,
        identity: None,
        must_be_asked: false,
        sni: true,
        oldest: TlsVersion::V1_2,
        newest,
        protocol: Protocol::Postgres,
        now: WallTime::from_unix_micros(1_800_000_000_000_000),
    }
}

/// A link to a peer that encrypts, which does what it is told in a thread of its own.
fn pair(newest: TlsVersion, act: impl FnOnce(Encrypted) + Send + 'static) -> Link {
    pair_with(newest, false, act)
}

fn pair_with(newest: TlsVersion, asks: bool, act: impl FnOnce(Encrypted) + Send + 'static) -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::connect(&Endpoint::Tcp(listener.local_addr().unwrap()), LIMIT).unwrap();
    let peer = listener.accept().unwrap().0;
    let own = generate_simple_self_signed(["db.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = if asks {
        config.with_client_cert_verifier(clients)
    } else {
        config.with_no_client_auth()
    };
    let config = config
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let server = ServerConnection::new(Arc::new(config)).unwrap();
    #[allow(clippy::disallowed_methods, reason = "the peer of a test")]
    std::thread::spawn(move || act(StreamOwned::new(server, peer)));
    until(&mut link, |link, _| (!link.is_connecting()).then_some(()));
    link.start_tls(TlsStream::new(settings(newest)).unwrap())
        .unwrap();
    link
}

fn until_failed(link: &mut Link) -> io::Error {
    until(link, |_, pumped| match pumped.next {
        Next::Failed(error) => Some(error),
        _ => None,
    })
}

fn blamed(error: &io::Error) -> Option<Blame> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Failure>())
        .map(|failure| failure.blame)
}

#[test]
fn many_bytes_go_both_ways_and_few_of_them_wait() {
    for newest in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let mut link = pair(newest, move |mut peer| {
            let mut received = vec![0; expected.len()];
            peer.read_exact(&mut received).unwrap();
            assert!(
                received == expected,
                "what was received is not what was sent"
            );
            peer.write_all(&received).unwrap();
            peer.conn.send_close_notify();
            peer.flush().unwrap();
        });
        assert!(link.tls().is_some_and(TlsStream::is_handshaking));
        // Queued before the handshake is over, it is sent after it.
        link.output.extend_from_slice(&sent);
        let mut received = Vec::new();
        until(&mut link, |link, pumped| {
            assert!(link.input.len() <= LIMIT, "{} bytes wait", link.input.len());
            received.extend_from_slice(&link.input);
            link.input.clear();
            matches!(pumped.next, Next::Ended).then_some(())
        });
        assert!(
            received == sent && link.output.is_empty(),
            "{} bytes came back",
            received.len()
        );
        assert_eq!(
            link.tls()
                .and_then(TlsStream::end_point)
                .map(|hash| hash.len()),
            Some(32)
        );
    }
}

#[test]
fn an_end_without_a_good_bye_is_a_failure() {
    let mut link = pair(TlsVersion::V1_3, |mut peer| {
        peer.write_all(b"half of it").unwrap();
        peer.flush().unwrap();
        // The socket ends, and TLS does not know.
        peer.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = peer.sock.read(&mut [0; 1000]);
    });
    let error = until_failed(&mut link);
    assert_eq!(
        (error.kind(), &link.input[..]),
        (io::ErrorKind::UnexpectedEof, &b"half of it"[..])
    );
}

#[test]
fn what_is_no_tls_is_blamed_on_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::connect(&Endpoint::Tcp(listener.local_addr().unwrap()), LIMIT).unwrap();
    let mut peer = listener.accept().unwrap().0;
    until(&mut link, |link, _| (!link.is_connecting()).then_some(()));
    link.start_tls(TlsStream::new(settings(TlsVersion::V1_3)).unwrap())
        .unwrap();
    peer.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
    assert_eq!(
        (blamed(&until_failed(&mut link)), link.input.len()),
        (Some(Blame::ProtocolError), 0)
    );
}

#[test]
fn a_client_certificate_that_is_missing_is_reported_at_every_look() {
    for newest in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut link = pair_with(newest, true, |mut peer| {
            assert!(peer.read(&mut [0]).is_err());
            let _ = peer.conn.write_tls(&mut peer.sock);
            let _ = peer.sock.read(&mut [0; 1000]);
        });
        assert_eq!(
            blamed(&until_failed(&mut link)),
            Some(Blame::OurCertificate),
            "{newest:?}"
        );
        // With TLS 1.3 our side of the handshake was over by then: perhaps nobody has looked yet,
        // and writes.
        if newest == TlsVersion::V1_3 {
            link.output.extend_from_slice(b"x");
            assert_eq!(
                blamed(&until_failed(&mut link)),
                Some(Blame::OurCertificate),
                "later"
            );
        }
    }
}

#[test]
fn nothing_that_came_in_plaintext_is_taken_for_encrypted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::connect(&Endpoint::Tcp(listener.local_addr().unwrap()), LIMIT).unwrap();
    let tls = || TlsStream::new(settings(TlsVersion::V1_3)).unwrap();
    link.input.extend_from_slice(b"x");
    assert!(link.start_tls(tls()).is_err());
    link.input.clear();
    link.output.extend_from_slice(b"x");
    assert!(link.start_tls(tls()).is_err());
    link.output.clear();
    assert!(link.start_tls(tls()).is_ok());
    assert!(link.start_tls(tls()).is_err(), "twice");
}
