//! Certificates: shown by a server in a real handshake, and read from the files of the operator.

use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock};

use pglookout::config::TlsVersion;
use pglookout::time::WallTime;
use pglookout::tls::{Identity, Protocol, Settings, TlsStream, Trust};
use rcgen::{CertifiedKey as Generated, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ServerConfig, ServerConnection};

use super::on_one_line;

/// A server shows these bytes as its certificate, and then that of the authority itself, the place
/// that the first two bytes name altered by the third: nothing else in it is as it was signed.
pub(super) fn certificate(input: &[u8]) {
    show(input);
    let Some((&[high, low, change], _)) = input.split_first_chunk() else {
        return;
    };
    let mut altered = AUTHORITY.own.cert.der().to_vec();
    let place = usize::from(u16::from_be_bytes([high, low])) % altered.len();
    altered[place] ^= change;
    show(&altered);
}

/// We believe one authority, and want the host's name.
fn show(certificate: &[u8]) {
    let mut server = Server::showing(certificate);
    let settings = Settings {
        host: "db1.example".to_owned(),
        trust: Some(Arc::clone(&AUTHORITY.trust)),
        verifies_name: true,
        identity: None,
        must_be_asked: false,
        sni: true,
        oldest: TlsVersion::V1_2,
        newest: TlsVersion::V1_3,
        protocol: Protocol::Postgres,
        now: WallTime::from_unix_micros(1_800_000_000_000_000),
    };
    let mut client = TlsStream::new(settings).expect("the settings are good");
    let mut buffer = [0; 64];
    for _ in 0..20 {
        match client.read(&mut server, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return on_one_line(&error.to_string()),
            Ok(_) => break,
        }
        let _ = client.flush(&mut server);
    }
    assert_eq!(
        certificate,
        AUTHORITY.own.cert.der().as_ref(),
        "a server is believed that nobody has vouched for"
    );
}

/// As authorities, as a list of what was revoked, as our own certificate and as its key.
pub(super) fn pem(input: &[u8]) {
    let root = AUTHORITY.own.cert.pem();
    for outcome in [
        Trust::from_pem("root.crt", input, None).err(),
        Trust::from_pem("root.crt", root.as_bytes(), Some(("root.crl", input))).err(),
        Identity::from_pem(("own.crt", input), ("own.key", input)).err(),
        Identity::from_pem(("own.crt", root.as_bytes()), ("own.key", input)).err(),
    ] {
        outcome
            .iter()
            .for_each(|failure| on_one_line(&failure.to_string()));
    }
}

/// The one that is believed, with its key, which signs for whatever is shown.
struct Authority {
    own: Generated<KeyPair>,
    trust: Arc<Trust>,
    key: Arc<dyn SigningKey>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let own = generate_simple_self_signed(["db1.example".to_owned()]).expect("a certificate");
    let trust = Trust::from_pem("root.crt", own.cert.pem().as_bytes(), None).expect("an authority");
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let key = any_supported_type(&key).expect("a key");
    Authority {
        own,
        trust: Arc::new(trust),
        key,
    }
});

/// A server's side of a handshake, and the wire to it.
struct Server(ServerConnection);

impl Server {
    fn showing(certificate: &[u8]) -> Self {
        let shown = CertifiedKey::new(
            vec![CertificateDer::from(certificate.to_vec())],
            Arc::clone(&AUTHORITY.key),
        );
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(shown))));
        Self(ServerConnection::new(Arc::new(config)).expect("a server"))
    }
}

impl Read for Server {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.wants_write() {
            true => self.0.write_tls(&mut buffer),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Server {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let taken = self.0.read_tls(&mut bytes)?;
        // What it does not like it says in an alert.
        let _ = self.0.process_new_packets();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
