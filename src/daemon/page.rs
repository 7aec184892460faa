//! The page at `/`: one document without anything from elsewhere, which asks for `/status.json` again and
//! again.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::http::Answer;

pub(super) fn answer() -> Answer {
    Answer::document(Bytes::from_static(DOCUMENT.as_bytes()), &POLICY)
}

/// Nothing runs in the page but its own script, whatever servers report.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |tag| STANDARD.encode(Sha256::digest(element(tag)));
    let (style, script) = (hash("style"), hash("script"));
    format!(
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'sha256-{style}'; \
        script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The content of the only element with this tag.
fn element(tag: &str) -> &'static str {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let rest = DOCUMENT.split_once(&begin).map_or("", |(_, rest)| rest);
    rest.split_once(&end).map_or("", |(content, _)| content)
}

const DOCUMENT: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_one_style_and_one_script() {
        for tag in ["style", "script"] {
            assert!(!element(tag).is_empty(), "{tag}");
            assert_eq!(DOCUMENT.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for text in ["src=", "@import", "url(http", "<link rel=\"stylesheet"] {
            assert!(!DOCUMENT.contains(text), "{text}");
        }
    }
}
