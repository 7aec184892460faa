//! Authorities and the certificates that they issue, made anew in every test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::host::give_to_server;

/// Somebody who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for this common name and these alternative names.
    pub(crate) fn issue(&self, common_name: &str, names: &[&str]) -> Pair {
        self.sign(&params(common_name, names))
    }

    /// One whose time is over.
    pub(crate) fn issue_expired(&self, common_name: &str, names: &[&str]) -> Pair {
        let mut params = params(common_name, names);
        (params.not_before, params.not_after) =
            (date_time_ymd(2023, 1, 1), date_time_ymd(2024, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A certificate that nobody but itself has issued.
pub(crate) fn self_signed(common_name: &str, names: &[&str]) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(common_name, names)
        .self_signed(&key)
        .expect("a certificate");
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// Writes a file of ours; nobody else may read it.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("a file for PEM");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    path
}

/// Writes a file of the server's.
pub(crate) fn write_for_server(dir: &Path, name: &str, text: &str) {
    give_to_server(&write(dir, name, text));
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names that can stand in a certificate");
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
