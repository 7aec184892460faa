//! Certificates that `openssl` has made; the expected hashes are its own (`openssl dgst`).

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::*;
use crate::testing::mutations;

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// The first 8 bytes of the hash that a login is bound to.
#[track_caller]
fn check_end_point(pem: &str, length: usize, expected: &str) {
    let der = der(pem);
    let hash = Certificate::read(&der).unwrap().end_point().unwrap();
    let begin: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((hash.len(), begin.as_str()), (length, expected));
}

#[test]
fn a_login_is_bound_to_the_hash_that_the_signature_uses() {
    check_end_point(ECDSA_SHA384, 48, "65618efaad7b6719");
    check_end_point(PSS_SHA512, 64, "4e075e0e00615eea");
    check_end_point(RSA_SHA1, 32, "e9de23a25618e8c5");
    assert_eq!(Certificate::read(&der(ED25519)).unwrap().end_point(), None);
}

#[test]
fn reads_names_dates_and_version() {
    let pss = der(PSS_SHA512);
    let read = Certificate::read(&pss).unwrap();
    assert_eq!(read.names(), "a.example, *.b.example, 10.0.0.1, fe80::1");
    assert_eq!(
        (read.common_name(), read.is_version_1, read.is_self_issued()),
        (Some("pss"), false, true)
    );
    assert_eq!(timestamp::format(read.not_before), "2026-11-23T07:07:52Z");
    assert_eq!(timestamp::format(read.not_after), "2036-11-20T07:07:52Z");
    let old = der(ECDSA_SHA384);
    let read = Certificate::read(&old).unwrap();
    assert_eq!(
        (read.names().as_str(), read.issuer_name().as_str()),
        ("db1.example", "Fixture CA")
    );
    assert!(read.is_version_1 && !read.is_self_issued() && read.dns_names.is_empty());
    // From 2050 on years have four digits.
    assert_eq!(
        timestamp::format(Certificate::read(&der(ED25519)).unwrap().not_after),
        "2109-01-12T07:07:52Z"
    );
}

#[test]
fn what_a_stranger_writes_stays_on_one_line() {
    assert_eq!(
        on_one_line("a\nb\u{1b}[2J\u{202e}\u{e4}"),
        "a\\nb\\u{1b}[2J\\u{202e}\\u{e4}"
    );
    assert_eq!(on_one_line(&"x".repeat(1_000)).len(), MOST_CHARACTERS);
}

#[test]
fn no_mutation_panics() {
    for pem in [ECDSA_SHA384, PSS_SHA512] {
        mutations(&der(pem), |bytes| {
            if let Some(read) = Certificate::read(bytes) {
                let _ = (read.names(), read.issuer_name(), read.end_point());
            }
        });
    }
}

/// `openssl x509 -req -sha384`: version 1, no extensions.
pub(in crate::tls) const ECDSA_SHA384: &str = "-----BEGIN CERTIFICATE-----
MIIBVDCB+wIUIlKCYzdG8r3twajubRAipDVtgIYwCgYIKoZIzj0EAwMwFTETMBEG
A1UEAwwKRml4dHVyZSBDQTAeFw0yNjExMjMwNzA3NTJaFw0zNjExMjAwNzA3NTJa
MCgxEDAOBgNVBAoMB0V4YW1wbGUxFDASBgNVBAMMC2RiMS5leGFtcGxlMHYwEAYH
KoZIzj0CAQYFK4EEACIDYgAEnE4MOiWBnSUqmm3fsyKQlsT7AWmKl5B59uxqKX5x
0cIC8+nfxfXaXHmmC0ClvEcgdYcUoVEWXu+0Eko5B1xvU1EzEw8/mmYbwm1u+Wl1
xrKZ/y9Xr8EyChT3Od1yoDsuMAoGCCqGSM49BAMDA0gAMEUCIByWxI7sKD6umGDO
uDTq4S+m/Fkxygq/SKSL0VyeLRMCAiEAsq33wzWWzerdF1+Lg1SJkaho/4nCg2s/
AUJ62Gh5jts=
-----END CERTIFICATE-----";
/// Who has signed it.
pub(in crate::tls) const FIXTURE_CA: &str = "-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUQJBgqgbqIQEQAtmP/pqdtNXldKMwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKRml4dHVyZSBDQTAeFw0yNjExMjMwNzA3NTJaFw0zNjExMjAw
NzA3NTJaMBUxEzARBgNVBAMMCkZpeHR1cmUgQ0EwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATXhJVm0dCeawqcZeT4TUNrhB5Lc4TzCk1X5dVrUxTfq9ERcMZCFOco
mbTwgmEoMWvM0C/DQuhN29AoPDuMSNyFo1MwUTAdBgNVHQ4EFgQUhG0Vk+TNqSD6
KWXrg9sl4vrgLNkwHwYDVR0jBBgwFoAUhG0Vk+TNqSD6KWXrg9sl4vrgLNkwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA5H1O4oo1QjFPzS7TzY8i
SpM37N0B+CCs9EEVIQP0U1ICIGzFJ49cuMei1vwH4LvVw8hjW0ao5cgUWF/mbT0L
bdnG
-----END CERTIFICATE-----";
/// `openssl req -x509 -sha512 -sigopt rsa_padding_mode:pss`.
const PSS_SHA512: &str = "-----BEGIN CERTIFICATE-----
MIIDojCCAlagAwIBAgIUDzqfiauf/5n1KdFsX7CLJFxdPmkwQQYJKoZIhvcNAQEK
MDSgDzANBglghkgBZQMEAgMFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgMF
AKIDAgFAMA4xDDAKBgNVBAMMA3BzczAeFw0yNjExMjMwNzA3NTJaFw0zNjExMjAw
NzA3NTJaMA4xDDAKBgNVBAMMA3BzczCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
AQoCggEBALZWQ38PZFBN/cHCBGCsQCR77hvlX9lA312h2SJkeDcmiAEYLrCQLqLi
u+Ooqraaovp8hjSuXuMO4BlKq4piPvOTCBr7JeCDL2LOURLLPkbA+OfDn2G+Fk6d
2ajLjZDm1m4HOifdduY7BKORuYevwlnX92zYGeqAg5k+yp/kVrIOQ/SH70DIi8RW
kptshWmYZCF3Cu/Qj6wmh3Z5OOLfxbHxGYY5mTjm4JlJKcM1CFgU+CScxOUQCk65
RDupaZMns+2cnZG/v8tvPgXI7LGpx/bVZ3MCu3HPkJKrkr+SC8PV7Ax2plDOq7ho
AgfxmgDIpoR6ZDfuqTJJoT3stwMthQMCAwEAAaOBjzCBjDAdBgNVHQ4EFgQUlwVI
qBw33z4qhQydOGA6XxVx2XgwHwYDVR0jBBgwFoAUlwVIqBw33z4qhQydOGA6XxVx
2XgwDwYDVR0TAQH/BAUwAwEB/zA5BgNVHREEMjAwgglhLmV4YW1wbGWCCyouYi5l
eGFtcGxlhwQKAAABhxD+gAAAAAAAAAAAAAAAAAABMEEGCSqGSIb3DQEBCjA0oA8w
DQYJYIZIAWUDBAIDBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIDBQCiAwIB
QAOCAQEAqJNv0mPNua3mJulhNGAVutYrdpYGaOmfYOYYL8LmCjpJezIPou/YWRA4
gs9wCT7SmYD01KPglRiXh8TUQkK+vp0Uq3XIiTsAdTUIrN0GHLv42okSsWNg5qpj
utj0L8eN44cxCToKBNOPZ9ncivU+xkpS+CM4GpFL1qohj/OWhxdHl2FWFh91pJ2p
LCZkV3XcadNWF9WsR0Xt6iR9BF31Ku7rXYD+8mFh3Df6+QQcYbz9cLPw7wHeaBE7
W3F1E92it3UVV1XYS1IEQ912B1EoD8r/LVKUYkMhN6brpfeBz4RIMtwxdRLMU+H7
iSmu/wv4D6iDuNkppRfUvDxeGLqkTw==
-----END CERTIFICATE-----";
/// `openssl req -x509 -sha1`.
const RSA_SHA1: &str = "-----BEGIN CERTIFICATE-----
MIIC/zCCAeegAwIBAgIUBTPoDnBksQYxcKpBNi5mZvI6qhEwDQYJKoZIhvcNAQEF
BQAwDzENMAsGA1UEAwwEc2hhMTAeFw0yNjExMjMwNzA3NTJaFw0zNjExMjAwNzA3
NTJaMA8xDTALBgNVBAMMBHNoYTEwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEK
AoIBAQC2VkN/D2RQTf3BwgRgrEAke+4b5V/ZQN9dodkiZHg3JogBGC6wkC6i4rvj
qKq2mqL6fIY0rl7jDuAZSquKYj7zkwga+yXggy9izlESyz5GwPjnw59hvhZOndmo
y42Q5tZuBzon3XbmOwSjkbmHr8JZ1/ds2BnqgIOZPsqf5FayDkP0h+9AyIvEVpKb
bIVpmGQhdwrv0I+sJod2eTji38Wx8RmGOZk45uCZSSnDNQhYFPgknMTlEApOuUQ7
qWmTJ7PtnJ2Rv7/Lbz4FyOyxqcf21WdzArtxz5CSq5K/kgvD1ewMdqZQzqu4aAIH
8ZoAyKaEemQ37qkySaE97LcDLYUDAgMBAAGjUzBRMB0GA1UdDgQWBBSXBUioHDff
PiqFDJ04YDpfFXHZeDAfBgNVHSMEGDAWgBSXBUioHDffPiqFDJ04YDpfFXHZeDAP
BgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBQUAA4IBAQCvwJoIPOL3pRKCp/v+
o5z1NW9IEV84uvFHJ7BMTr7jZDTGq/VzQn6b2tC2UmaPYdRZNnFtw5ubI8ZNBHEL
+Sotf/P5oOHTxZCDFo91ztEvKy5/TeoFWf7YFucG4cU6T9InU9qU8pDpWt0oI1d+
p7ZCUvRHt+xxHG7YGJraAxDBI+cqWgnku4o0qaQoWvUBlE59i0ToPYclC7ddgW0K
FPxfMgLETiARPjlRzVDgBr+3nxVSMDkJAtVdsRz6NwI6CBXJFhPnteZqX+EnrfS7
6hNol+wb92sqj/MG9sFHVtSnGPFBZzrRDFNfPC/Q59NE5RL5HFKJ8HIBwbtbnjrx
8K14
-----END CERTIFICATE-----";
/// `openssl req -x509` with a key of Ed25519.
const ED25519: &str = "-----BEGIN CERTIFICATE-----
MIIBMDCB46ADAgECAhRkfTl3suVS7jSInPKc2VtBYsWvmTAFBgMrZXAwDTELMAkG
A1UEAwwCZWQwIBcNMjYxMTIzMDcwNzUyWhgPMjEwOTAxMTIwNzA3NTJaMA0xCzAJ
BgNVBAMMAmVkMCowBQYDK2VwAyEA8BHDt+fZ5k3B+weiK1SBioFZ8XOYwAN/jqy4
fr6Zhr+jUzBRMB0GA1UdDgQWBBQG3SJzrtJuSRt3m7AR5yC/philZjAfBgNVHSME
GDAWgBQG3SJzrtJuSRt3m7AR5yC/philZjAPBgNVHRMBAf8EBTADAQH/MAUGAytl
cANBABJ3avLq2Lxjw6wLlk0c14JSSHj1E1Whw5prGob7Y3C7UU/5JasvIEFO6MXY
p7pm8tjNNlc2kEHcWlLjn1vokwU=
-----END CERTIFICATE-----";
