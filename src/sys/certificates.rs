//! Where the operating system keeps the certificates of the authorities that it trusts. To be read
//! by a child process: a directory may hang.

use std::io;
use std::path::{Path, PathBuf};

use super::files;

/// Where the system's authorities are, as OpenSSL finds them: `SSL_CERT_FILE` and the directories
/// of `SSL_CERT_DIR`; if neither is set, the bundle of the distribution. `None`: there is none.
pub fn system_places() -> Option<Vec<PathBuf>> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (file, directories) = (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
    let candidates: Vec<PathBuf> = match (&file, &directories) {
        (None, None) => BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .into_iter()
            .collect(),
        _ => file
            .iter()
            .map(PathBuf::from)
            .chain(directories.iter().flat_map(std::env::split_paths))
            .collect(),
    };
    let places: Vec<PathBuf> = candidates
        .into_iter()
        .filter(|path| path.exists())
        .collect();
    Some(places).filter(|places| !places.is_empty())
}

/// The PEM text at `path`: a file's, or that of all files in a directory.
pub fn read_place(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return files::read_small(path, MAX_BUNDLE_BYTES);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path)?.take(MAX_FILES) {
        let entry = entry?.path();
        if entry.is_file() {
            all.extend(files::read_small(
                &entry,
                MAX_BUNDLE_BYTES.saturating_sub(all.len()),
            )?);
            all.push(b'\n');
        }
    }
    Ok(all)
}

/// Debian and Ubuntu; Fedora, RHEL; the same, newer; SUSE; Alpine.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Bytes of one place; the largest bundles have a quarter of a million.
pub const MAX_BUNDLE_BYTES: usize = 4 << 20;
/// Files of one directory.
const MAX_FILES: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_is_read_file_by_file() {
        let room =
            std::env::temp_dir().join(format!("pglookout-certificates-{}", std::process::id()));
        fs::create_dir_all(room.join("below")).unwrap();
        fs::write(room.join("a.pem"), "a").unwrap();
        fs::write(room.join("b.0"), "b").unwrap();
        let mut text = String::from_utf8(read_place(&room).unwrap()).unwrap();
        assert_eq!(text.len(), 4);
        text.retain(|letter| letter != '\n');
        assert!(text == "ab" || text == "ba", "{text}");
        fs::File::create(room.join("huge"))
            .and_then(|file| file.set_len(1 << 30))
            .unwrap();
        assert!(
            read_place(&room)
                .unwrap_err()
                .to_string()
                .contains("is larger than")
        );
        fs::remove_dir_all(&room).unwrap();
    }
}
