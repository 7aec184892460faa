//! How JSON documents are laid out.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// The original's layout: indented by 4, no final newline.
pub(super) fn indented(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = Serializer::with_formatter(&mut text, formatter);
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every write, and our maps have strings for keys"
    )]
    value.serialize(&mut serializer).expect("JSON into memory");
    text
}
