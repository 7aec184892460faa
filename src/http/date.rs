//! The `Date` header field (RFC 9110, section 5.6.7) to and from wall time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::WallTime;

/// The time in whole seconds; outside the years 1970 to 9999 the nearest one inside, beyond which
/// httpdate panics.
pub(super) fn format(time: WallTime) -> String {
    let seconds = u64::try_from(time.unix_micros() / 1_000_000)
        .unwrap_or(0)
        .min(LAST_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// What the whole seconds of `Date` leave out: microseconds, 0 to 999,999.
pub(super) fn micros(time: WallTime) -> i64 {
    time.unix_micros().max(0) % 1_000_000
}

/// `date` with the microseconds that go with it; whatever is no such number adds nothing.
pub(super) fn with_micros(date: WallTime, micros: &[u8]) -> WallTime {
    let micros: Option<u32> = std::str::from_utf8(micros)
        .ok()
        .and_then(|digits| digits.parse().ok());
    date + Duration::from_micros(
        micros
            .filter(|micros| *micros < 1_000_000)
            .unwrap_or_default()
            .into(),
    )
}

/// Reads the preferred form and the two obsolete ones.
pub(super) fn parse(value: &[u8]) -> Option<WallTime> {
    let time: SystemTime = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    Some(WallTime::from_unix_micros(
        i64::try_from(since_epoch.as_micros()).ok()?,
    ))
}

/// Our own header field beside `Date`. Facts are aged by the observer's clock, and a second that
/// `Date` leaves out would be a second added to every wait for a failover.
pub(super) const MICROS_FIELD: &str = "Pglookout-Date-Micros";

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways_in_whole_seconds() {
        let text = "Tue, 30 Apr 2024 12:34:56 GMT";
        let time = WallTime::from_unix_micros(1_714_480_496_000_000);
        assert_eq!(parse(text.as_bytes()), Some(time));
        assert_eq!(format(time + Duration::from_micros(999_999)), text);
        assert_eq!(parse(b"Tuesday, 30-Apr-24 12:34:56 GMT"), Some(time));
        assert_eq!(parse(b"Tue Apr 30 12:34:56 2024"), Some(time));
    }

    #[test]
    fn the_microseconds_go_beside_the_date() {
        let time = WallTime::from_unix_micros(1_714_480_496_012_345);
        let date = parse(format(time).as_bytes()).unwrap();
        assert_eq!(with_micros(date, micros(time).to_string().as_bytes()), time);
        for text in ["", "-1", "1000000", "x", "99999999999999"] {
            assert_eq!(with_micros(date, text.as_bytes()), date, "{text}");
        }
    }

    #[test]
    fn times_off_the_calendar_do_not_panic() {
        assert_eq!(
            format(WallTime::from_unix_micros(i64::MIN)),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(
            format(WallTime::from_unix_micros(i64::MAX)),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "today",
            "Tue, 30 Apr 2024 12:34:56",
            "Tue, 31 Apr 2024 12:34:56 GMT",
            "\u{e4}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
