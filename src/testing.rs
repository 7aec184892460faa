//! Test support for every room: the ways in which bytes arrive, seeded damage to them, and a place
//! for files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own for one test, removed at its end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("pglookout-{name}-{process}-{count}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The one file in it, with this content and mode.
    pub(crate) fn file(&self, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join("file");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `text` in pieces as a connection may deliver them: whole, in two at every offset, byte by byte.
pub(crate) fn deliveries(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let in_two = (1..text.len()).map(move |at| vec![&text[..at], &text[at..]]);
    std::iter::once(vec![text])
        .chain(in_two)
        .chain(std::iter::once(text.chunks(1).collect()))
}

/// Numbers below what each call asks for, drawn from `seed`, which is printed first.
pub(crate) fn draws(seed: u64) -> impl FnMut(usize) -> usize {
    println!("seed {seed:#x}");
    let mut rng = fastrand::Rng::with_seed(seed);
    move |below| rng.usize(..below)
}

/// Calls `check` with 20,000 variations of `text`, drawn from a fixed seed that is printed first.
pub(crate) fn mutations(text: &[u8], mut check: impl FnMut(&[u8])) {
    let mut draw = draws(0x9E37_79B9_7F4A_7C15);
    for _ in 0..20_000 {
        check(&mutated(text, &mut draw));
    }
}

/// A variation of `text`, which is not empty: bytes changed, dropped, doubled, cut off.
pub(crate) fn mutated(text: &[u8], draw: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut mutated = text.to_vec();
    for _ in 0..=draw(4) {
        let at = draw(mutated.len());
        match draw(4) {
            0 => mutated[at] = ODD_BYTES[draw(ODD_BYTES.len())],
            1 => drop(mutated.remove(at)),
            2 => mutated.insert(at, mutated[at]),
            _ => mutated.truncate(at.max(1)),
        }
        if mutated.is_empty() {
            break;
        }
    }
    mutated
}

/// What parsers stumble over.
const ODD_BYTES: &[u8] = b"\"{}[],:;/0-9atf\\ \t\r\n\x00\x7f\xff";
