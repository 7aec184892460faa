//! What libpq's `ssl*` keywords say of one node: when to encrypt, whom to trust, what to show of
//! ourselves.

use std::path::{Path, PathBuf};

use super::source::Source;

/// The `ssl*` keywords, resolved. Files are named here and read when a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// `sslmode`. Unix sockets are never encrypted.
    pub mode: SslMode,
    /// `sslnegotiation`.
    pub negotiation: Negotiation,
    /// `sslsni`: send the server the name by which we address it.
    pub sni: bool,
    /// `sslrootcert`.
    pub roots: Roots,
    /// `sslcrl`: revoked certificates; by default `root.crl` of [`home`](Self::home).
    pub crl: Option<PathBuf>,
    /// `sslcert`; by default `postgresql.crt` of [`home`](Self::home).
    pub certificate: Option<PathBuf>,
    /// `sslkey`; by default `postgresql.key` of [`home`](Self::home).
    pub key: Option<PathBuf>,
    /// `sslcertmode`: when to show our certificate.
    pub certificate_mode: CertificateMode,
    /// `ssl_min_protocol_version`; what is older than the oldest that we support counts as that.
    pub oldest: TlsVersion,
    /// `ssl_max_protocol_version`.
    pub newest: TlsVersion,
    /// `~/.postgresql`, where the files lie that no keyword names.
    pub home: Option<PathBuf>,
}

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypt.
    Disable,
    /// Encrypt only if the server refuses plaintext.
    Allow,
    /// Encrypt if the server can.
    Prefer,
    /// Encrypt; if there is a file of authorities, as `verify-ca`, else trust any certificate.
    Require,
    /// Encrypt, and the certificate must be signed by a known authority.
    VerifyCa,
    /// And it must be the host's.
    VerifyFull,
}

/// `sslnegotiation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiation {
    /// Ask in PostgreSQL's protocol first.
    Postgres,
    /// Begin with the handshake, from PostgreSQL 17 on.
    Direct,
}

/// `sslrootcert`: whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Not given: `root.crt` of [`home`](TlsSettings::home), if it is there.
    Default,
    /// This file, if it is there.
    File(PathBuf),
    /// `system`: those that the operating system trusts.
    System,
}

/// `sslcertmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateMode {
    /// Never show one.
    Disable,
    /// Show one if the server asks and there is one.
    Allow,
    /// The server must ask for it.
    Require,
}

/// The versions of TLS that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl SslMode {
    /// Would a plaintext connection break what the operator asked for.
    pub(super) fn demands_tls(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }

    /// Must the certificate be verified, come what may.
    pub fn demands_roots(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

impl TlsSettings {
    /// The file of authorities; `None` for the system's, or without a home.
    pub fn root_file(&self) -> Option<PathBuf> {
        match &self.roots {
            Roots::Default => self.at_home("root.crt"),
            Roots::File(path) => Some(path.clone()),
            Roots::System => None,
        }
    }

    /// The file of revoked certificates.
    pub fn crl_file(&self) -> Option<PathBuf> {
        self.crl.clone().or_else(|| self.at_home("root.crl"))
    }

    /// The file of our certificate.
    pub fn certificate_file(&self) -> Option<PathBuf> {
        self.certificate
            .clone()
            .or_else(|| self.at_home("postgresql.crt"))
    }

    /// The file of our key.
    pub fn key_file(&self) -> Option<PathBuf> {
        self.key.clone().or_else(|| self.at_home("postgresql.key"))
    }

    fn at_home(&self, name: &str) -> Option<PathBuf> {
        self.home.as_deref().map(|home| home.join(name))
    }
}

/// Reads the `ssl*` keywords.
pub(super) fn resolve(source: &mut Source<'_>) -> TlsSettings {
    let roots = match source.filled("sslrootcert") {
        None => Roots::Default,
        Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
    };
    let settings = TlsSettings {
        mode: mode(source, &roots),
        negotiation: source
            .filled_one_of("sslnegotiation", &NEGOTIATIONS)
            .unwrap_or(Negotiation::Postgres),
        sni: source
            .filled_one_of("sslsni", &[("0", false), ("1", true)])
            .unwrap_or(true),
        roots,
        crl: source.filled("sslcrl").map(PathBuf::from),
        certificate: source.filled("sslcert").map(PathBuf::from),
        key: source.filled("sslkey").map(PathBuf::from),
        certificate_mode: source
            .filled_one_of("sslcertmode", &CERTIFICATE_MODES)
            .unwrap_or(CertificateMode::Allow),
        oldest: version(source, "ssl_min_protocol_version").unwrap_or(TlsVersion::V1_2),
        newest: version(source, "ssl_max_protocol_version").unwrap_or(TlsVersion::V1_3),
        home: source
            .environment
            .home
            .as_deref()
            .map(|home: &Path| home.join(".postgresql")),
    };
    check(source, &settings);
    settings
}

fn mode(source: &mut Source<'_>, roots: &Roots) -> SslMode {
    let named = source.one_of("sslmode", &SSL_MODES);
    let required = source
        .value("requiressl")
        .is_some_and(|value| value.starts_with('1'));
    let default = match roots {
        Roots::System => SslMode::VerifyFull,
        _ if required => SslMode::Require,
        _ => SslMode::Prefer,
    };
    named.unwrap_or(default)
}

/// What libpq refuses as well.
fn check(source: &mut Source<'_>, settings: &TlsSettings) {
    if settings.roots == Roots::System && settings.mode != SslMode::VerifyFull {
        source.error(
            "sslmode",
            "too weak for sslrootcert=system: whoever buys a certificate has one; use verify-full",
        );
    }
    if settings.negotiation == Negotiation::Direct && !settings.mode.demands_tls() {
        source.error(
            "sslnegotiation",
            "direct needs sslmode=require, verify-ca or verify-full",
        );
    }
    if settings.oldest > settings.newest {
        source.error(
            "ssl_min_protocol_version",
            "newer than ssl_max_protocol_version",
        );
    }
}

fn version(source: &mut Source<'_>, keyword: &str) -> Option<TlsVersion> {
    let value = source.filled(keyword)?.to_ascii_lowercase();
    match (value.as_str(), keyword) {
        ("tlsv1" | "tlsv1.1", "ssl_min_protocol_version") | ("tlsv1.2", _) => {
            Some(TlsVersion::V1_2)
        }
        ("tlsv1.3", _) => Some(TlsVersion::V1_3),
        ("tlsv1" | "tlsv1.1", _) => {
            source.error(
                keyword,
                "TLSv1.2 and TLSv1.3 are supported, and nothing older",
            );
            None
        }
        _ => {
            source.error(keyword, "expected TLSv1.2 or TLSv1.3");
            None
        }
    }
}

pub(super) const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

pub(super) const NEGOTIATIONS: [(&str, Negotiation); 2] = [
    ("postgres", Negotiation::Postgres),
    ("direct", Negotiation::Direct),
];

pub(super) const CERTIFICATE_MODES: [(&str, CertificateMode); 3] = [
    ("disable", CertificateMode::Disable),
    ("allow", CertificateMode::Allow),
    ("require", CertificateMode::Require),
];

pub(super) const VERSIONS: [(&str, TlsVersion); 2] =
    [("TLSv1.2", TlsVersion::V1_2), ("TLSv1.3", TlsVersion::V1_3)];

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::super::keywords::Keywords;
    use super::super::problem::Findings;
    use super::super::resolve;
    use super::*;

    fn settings(text: &str) -> Result<TlsSettings, Vec<String>> {
        let environment = Environment {
            home: Some(PathBuf::from("/home/u")),
            ..Environment::default()
        };
        let mut findings = Findings::default();
        match resolve::resolve(
            "n",
            &Keywords::parse(text).unwrap(),
            &environment,
            &mut findings,
        ) {
            Some(info) => Ok(info.tls),
            None => Err(findings.errors.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn files_lie_where_libpq_looks_for_them() {
        let settings = settings("host=/run sslcert=c sslkey=k").unwrap();
        assert_eq!(settings.mode, SslMode::Prefer);
        assert_eq!(
            settings.root_file(),
            Some(PathBuf::from("/home/u/.postgresql/root.crt"))
        );
        assert_eq!(
            settings.crl_file(),
            Some(PathBuf::from("/home/u/.postgresql/root.crl"))
        );
        assert_eq!(settings.certificate_file(), Some(PathBuf::from("c")));
        assert_eq!(settings.key_file(), Some(PathBuf::from("k")));
    }

    #[track_caller]
    fn check(text: &str, expected: Result<SslMode, &str>) {
        let mode = settings(text).map(|settings| settings.mode);
        assert_eq!(
            mode.map_err(|errors| errors.join("; ")),
            expected.map_err(str::to_owned),
            "{text:?}"
        );
    }

    #[test]
    fn combinations_that_libpq_refuses_are_errors() {
        check("host=/run sslrootcert=system", Ok(SslMode::VerifyFull));
        check(
            "host=/run sslrootcert=system sslmode=verify-full",
            Ok(SslMode::VerifyFull),
        );
        let weak = "n.sslmode is \"verify-ca\": too weak for sslrootcert=system: whoever buys a certificate has one; use \
                    verify-full";
        check("host=/run sslrootcert=system sslmode=verify-ca", Err(weak));
        let direct = "n.sslnegotiation is \"direct\": direct needs sslmode=require, verify-ca or verify-full";
        check("host=/run sslnegotiation=direct", Err(direct));
        check(
            "host=/run sslnegotiation=direct sslmode=require",
            Ok(SslMode::Require),
        );
        check(
            "host=/run ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=tlsv1.2",
            Ok(SslMode::Prefer),
        );
        let reversed =
            "n.ssl_min_protocol_version is \"TLSv1.3\": newer than ssl_max_protocol_version";
        check(
            "host=/run ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
            Err(reversed),
        );
        let old = "n.ssl_max_protocol_version is \"TLSv1.1\": TLSv1.2 and TLSv1.3 are supported, and nothing older";
        check("host=/run ssl_max_protocol_version=TLSv1.1", Err(old));
        check(
            "host=/run sslsni=2",
            Err("n.sslsni is \"2\": expected one of 0, 1"),
        );
    }
}
