//! The TLS settings of a connection, from what its files contain.

use super::io::Io;
use super::tls_file_set::TlsFileSet;
use super::trust::local;
use crate::config::{TlsSettings, TlsVersion};
use crate::tls::{Failure, Protocol, Settings};

/// The settings of a connection to this host of a node; `None` while files are being read.
pub(super) fn for_node(
    settings: &TlsSettings,
    host: &str,
    io: &mut Io,
) -> Result<Option<Settings>, Failure> {
    let material = io.tls_material(&TlsFileSet::of(settings));
    let Some(material) = material.map_err(|reason| local(&reason))? else {
        return Ok(None);
    };
    io.trust
        .settings(settings, host, &material, io.now.wall)
        .map(Some)
}

/// The same for an observer: its certificate must be its host's, by the system's authorities.
pub(super) fn for_observer(host: &str, io: &mut Io) -> Result<Option<Settings>, Failure> {
    let material = io.tls_material(&TlsFileSet::system());
    let Some(material) = material.map_err(|reason| local(&reason))? else {
        return Ok(None);
    };
    let roots = material.roots.as_ref().map_err(|reason| local(reason))?;
    Ok(Some(Settings {
        host: host.to_owned(),
        trust: Some(io.trust.parse(roots.as_ref(), None)?),
        verifies_name: true,
        identity: None,
        must_be_asked: false,
        sni: true,
        oldest: TlsVersion::V1_2,
        newest: TlsVersion::V1_3,
        protocol: Protocol::Http,
        now: io.now.wall,
    }))
}
