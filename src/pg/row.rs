//! Rows of answers, which are text: their columns, and what these mean.

use std::borrow::Cow;
use std::str::FromStr;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::DataRowBody;

use super::error::{MAX_WORD, declined, nonsense, printable};
use crate::cluster::ProbeFailure;
use crate::time::WallTime;

/// One value, as text; `None`: null.
pub(super) type Value<'a> = Option<&'a [u8]>;

/// The values of a row of `N` columns.
pub(super) fn columns<const N: usize>(row: &DataRowBody) -> Result<[Value<'_>; N], ProbeFailure> {
    let garbled = |error| nonsense(format!("a malformed row: {error}"));
    let mut columns = [None; N];
    let mut count = 0_usize;
    let mut ranges = row.ranges();
    while let Some(range) = ranges.next().map_err(garbled)? {
        if let Some(column) = columns.get_mut(count) {
            *column = range.and_then(|range| row.buffer().get(range));
        }
        count = count.saturating_add(1);
    }
    if count != N {
        return Err(nonsense(format!("a row of {count} columns, expected {N}")));
    }
    Ok(columns)
}

/// Bytes that are no UTF-8 are replaced: such text is only shown.
pub(super) fn text(value: Value<'_>) -> Option<String> {
    value.map(String::from_utf8_lossy).map(Cow::into_owned)
}

/// Microseconds since the Unix epoch.
pub(super) fn time(column: &str, value: Value<'_>) -> Result<Option<WallTime>, ProbeFailure> {
    let expected = "microseconds between the years 1970 and 9999";
    match parsed::<i64>(column, value, expected)? {
        Some(micros) if !(0..END_OF_9999).contains(&micros) => {
            Err(unexpected(column, value, expected))
        }
        micros => Ok(micros.map(WallTime::from_unix_micros)),
    }
}

/// Whatever is written as `T`.
pub(super) fn parsed<T: FromStr>(
    column: &str,
    value: Value<'_>,
    expected: &str,
) -> Result<Option<T>, ProbeFailure> {
    let Some(bytes) = value else { return Ok(None) };
    let parsed = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed
        .map(Some)
        .ok_or_else(|| unexpected(column, value, expected))
}

/// A value that is not what was expected: the server answers, if in a way that is of no use.
pub(super) fn unexpected(column: &str, value: Value<'_>, expected: &str) -> ProbeFailure {
    let value = value.map_or_else(
        || "null".to_owned(),
        |value| format!("\"{}\"", printable(value, MAX_WORD)),
    );
    declined(format!("{column} is {value}, expected {expected}"))
}

/// 10000-01-01T00:00:00Z in microseconds: later times have no form that other nodes can read.
const END_OF_9999: i64 = 253_402_300_800_000_000;
