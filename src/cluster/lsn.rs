//! A position in the write-ahead log, and PostgreSQL's text for it.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: bytes since the beginning of the write-ahead log (PostgreSQL's `pg_lsn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// The position `bytes` into the log.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes since the beginning of the log.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The text is no LSN: two hexadecimal numbers of at most 32 bits each, one slash between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLsnError;

impl fmt::Display for ParseLsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no LSN: expected two hexadecimal numbers of up to 8 digits with a slash between, such as 0/5000060",
        )
    }
}

impl std::error::Error for ParseLsnError {}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    /// As strict as `pg_lsn`'s own input function: one to eight hexadecimal digits on either side.
    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Self((u64::from(half(high)?) << 32) | u64::from(half(low)?)))
    }
}

fn half(digits: &str) -> Result<u32, ParseLsnError> {
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(ParseLsnError);
    }
    u32::from_str_radix(digits, 16).map_err(|_| ParseLsnError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(
            text.parse::<Lsn>().ok().map(Lsn::bytes),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn takes_what_the_server_prints() {
        check("0/0", Some(0));
        check("0/5000060", Some(83_886_176));
        check("16/B374D848", Some(97_500_059_720));
        check("a/b", Some(42_949_672_971));
        check("00000001/00000001", Some(4_294_967_297));
        check("FFFFFFFF/FFFFFFFF", Some(u64::MAX));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "x",
            "/",
            "1/",
            "/1",
            "1/2/3",
            "G/0",
            " 1/2",
            "1/2\n",
            "0x1/0",
            "+1/0",
            "-1/0",
            "1/1FFFFFFFF",
            "１/0",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn prints_as_the_server_does() {
        for text in ["0/0", "0/5000060", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(
                text.parse::<Lsn>().map(|lsn| lsn.to_string()).as_deref(),
                Ok(text)
            );
        }
    }
}
