//! The verdict on certificates of every kind, at a time that the test chooses.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;

use super::super::certificate::tests::{ECDSA_SHA384, FIXTURE_CA};
use super::*;

/// An authority, valid from 2020 to 2040.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        let certificate = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), certificate.pem())
    }

    fn issue(&self, params: &CertificateParams) -> CertificateDer<'static> {
        params
            .signed_by(&KeyPair::generate().unwrap(), &self.0)
            .unwrap()
            .der()
            .clone()
    }
}

/// A certificate valid from 2024 to 2028.
fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )
    .unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2028, 1, 1));
    params.serial_number = Some(SerialNumber::from(7));
    params
}

fn trust(authorities: &str) -> Option<Arc<Trust>> {
    Some(Arc::new(
        Trust::from_pem("root.crt", authorities.as_bytes(), None).unwrap(),
    ))
}

fn year(year: i32) -> UnixTime {
    let seconds = date_time_ymd(year, 6, 1).unix_timestamp();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(seconds).unwrap(),
    ))
}

/// The verdict on `shown` in June of `when`; an empty reason for a certificate that is believed.
#[track_caller]
fn check(
    trust: &Option<Arc<Trust>>,
    host: Option<&str>,
    shown: &CertificateDer<'_>,
    when: i32,
    expected: &str,
) {
    let algorithms = default_provider().signature_verification_algorithms;
    let verifier = Verifier {
        trust: trust.clone(),
        host: host.map(str::to_owned),
        algorithms,
    };
    let verdict = verifier
        .verify(shown, &[], year(when))
        .map_or_else(|reason| reason.to_string(), |()| String::new());
    assert_eq!(verdict, expected, "{host:?}");
}

#[test]
fn a_certificate_must_be_signed_by_a_known_authority_and_valid_now() {
    let (known, unknown) = (Authority::new("Known CA"), Authority::new("Other CA"));
    let trust = trust(&known.1);
    let good = known.issue(&params("x", &["db1.example"]));
    check(&trust, None, &good, 2026, "");
    check(
        &trust,
        None,
        &good,
        2023,
        "the server's certificate is not valid yet (not before 2024-01-01T00:00:00Z)",
    );
    check(
        &trust,
        None,
        &good,
        2029,
        "the server's certificate has expired (not after 2028-01-01T00:00:00Z)",
    );
    let foreign = unknown.issue(&params("x", &["db1.example"]));
    let reason = "the server's certificate has an unknown issuer: Other CA is not among the authorities of root.crt";
    check(&trust, None, &foreign, 2026, reason);
    check(&None, None, &foreign, 2029, "");
    check(
        &trust,
        None,
        &CertificateDer::from(&b"\x30\x03\x02\x01\x00"[..]),
        2026,
        "the server's certificate cannot be read",
    );
}

#[test]
fn a_self_signed_certificate_counts_if_it_is_itself_among_the_authorities() {
    let key = KeyPair::generate().unwrap();
    let mut params = params("db1.example", &[]);
    // As PostgreSQL's manual makes it: `openssl req -new -x509` issues authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let shown = certificate.der();
    let own = trust(&certificate.pem());
    check(&own, Some("db1.example"), shown, 2026, "");
    check(
        &own,
        None,
        shown,
        2029,
        "the server's certificate has expired (not after 2028-01-01T00:00:00Z)",
    );
    check(
        &own,
        None,
        shown,
        2023,
        "the server's certificate is not valid yet (not before 2024-01-01T00:00:00Z)",
    );
    let reason = "the server's certificate (db1.example) is self-signed, and is not among the authorities of root.crt";
    check(&trust(&Authority::new("CA").1), None, shown, 2026, reason);
}

#[test]
fn the_host_must_be_named() {
    let authority = Authority::new("CA");
    let trust = trust(&authority.1);
    let wrong = |names: &str, host: &str| {
        format!("the server's certificate is for {names}, not for {host}")
    };
    let named = authority.issue(&params(
        "common.example",
        &["db1.example", "*.pool.example", "10.0.0.1", "fe80::1"],
    ));
    for host in [
        "db1.example",
        "DB1.Example",
        "a.pool.example",
        "10.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
    ] {
        check(&trust, Some(host), &named, 2026, "");
    }
    let names = "db1.example, *.pool.example, 10.0.0.1, fe80::1";
    for host in [
        "db2.example",
        "common.example",
        "a.b.pool.example",
        "pool.example",
        "10.0.0.2",
        "fe80::2",
    ] {
        check(&trust, Some(host), &named, 2026, &wrong(names, host));
    }
    let by_address = authority.issue(&params("common.example", &["10.0.0.1"]));
    check(
        &trust,
        Some("common.example"),
        &by_address,
        2026,
        &wrong("10.0.0.1", "common.example"),
    );
}

#[test]
fn the_common_name_counts_where_there_is_no_other() {
    let authority = Authority::new("CA");
    let trust = trust(&authority.1);
    let wrong =
        |name: &str, host: &str| format!("the server's certificate is for {name}, not for {host}");
    for (name, host, is_fine) in [
        ("db1.example", "DB1.example", true),
        ("db1.example", "db2.example", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("*.pool.example", "a.pool.example", true),
        ("*.pool.example", "a.b.pool.example", false),
        ("*.example", "example", false),
        ("*.com", "a.com", false),
        ("*", "a", false),
    ] {
        let shown = authority.issue(&params(name, &[]));
        check(
            &trust,
            Some(host),
            &shown,
            2026,
            &if is_fine {
                String::new()
            } else {
                wrong(name, host)
            },
        );
    }
}

#[test]
fn a_certificate_of_version_1_is_verified_too() {
    let shown = CertificateDer::from_pem_slice(ECDSA_SHA384.as_bytes()).unwrap();
    let known = trust(FIXTURE_CA);
    check(&known, Some("db1.example"), &shown, 2030, "");
    check(
        &known,
        Some("db2.example"),
        &shown,
        2030,
        "the server's certificate is for db1.example, not for db2.example",
    );
    check(
        &known,
        None,
        &shown,
        2040,
        "the server's certificate has expired (not after 2036-11-20T07:07:52Z)",
    );
    let other = Authority::new("Fixture CA");
    let reason = "the server's certificate has an unknown issuer: Fixture CA is not among the authorities of root.crt";
    check(&trust(&other.1), None, &shown, 2030, reason);
    let mut forged = shown.to_vec();
    let at = forged.windows(3).position(|bytes| bytes == b"db1").unwrap();
    forged[at + 2] = b'2';
    check(
        &known,
        Some("db2.example"),
        &CertificateDer::from(forged),
        2030,
        reason,
    );
}

#[test]
fn a_revoked_certificate_is_not_believed() {
    let authority = Authority::new("CA");
    let list = |serial: u64| {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2028, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2024, 2, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&authority.0).unwrap().pem().unwrap();
        Some(Arc::new(
            Trust::from_pem(
                "root.crt",
                authority.1.as_bytes(),
                Some(("crl", pem.as_bytes())),
            )
            .unwrap(),
        ))
    };
    let shown = authority.issue(&params("x", &["db1.example"]));
    check(
        &list(7),
        None,
        &shown,
        2026,
        "the server's certificate has been revoked",
    );
    check(&list(8), None, &shown, 2026, "");
}
