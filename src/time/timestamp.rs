//! The fleet's timestamps: UTC in ISO 8601, `2024-04-30T12:34:56.789012Z`; to the millisecond in
//! logs and alert files. The calendar is jiff's; what is printed and read is narrower than what
//! jiff would take, because others read and write it too.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::WallTime;

/// The timestamp as the original prints it: six digits of fraction, or none when it is zero. A time
/// outside the years 1 to 9999 is printed as the nearest one inside.
pub fn format(time: WallTime) -> String {
    let time = civil(time);
    if time.subsec_nanosecond() == 0 {
        format!("{time}Z")
    } else {
        format!("{time:.6}Z")
    }
}

/// The timestamp as people read it in logs and alert files: always three digits of fraction.
pub fn format_millis(time: WallTime) -> String {
    format!("{:.3}Z", civil(time))
}

/// Reads what [`format()`] prints, and the basic form `20240430T123456Z`; either with one to six
/// digits of fraction.
pub fn parse(text: &str) -> Option<WallTime> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = SHAPES.iter().any(|shape| is_of_shape(whole, shape));
    // A leap second would be read as the one before it.
    let is_leap = whole.ends_with("60");
    if !is_known || is_leap || !(1..=6).contains(&fraction.len()) || !is_digits(fraction) {
        return None;
    }
    let time: DateTime = text.parse().ok()?;
    let micros = time.duration_since(EPOCH).as_micros();
    (time >= FIRST).then_some(WallTime::from_unix_micros(i64::try_from(micros).ok()?))
}

/// The same length, digits where the shape has a zero, and the same character elsewhere.
fn is_of_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, like): (u8, u8)| match like {
        b'0' => byte.is_ascii_digit(),
        _ => byte == like,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn civil(time: WallTime) -> DateTime {
    let since_epoch = SignedDuration::from_micros(time.unix_micros());
    EPOCH.saturating_add(since_epoch).max(FIRST)
}

/// The extended and the basic form.
const SHAPES: [&str; 2] = ["0000-00-00T00:00:00", "00000000T000000"];
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const FIRST: DateTime = DateTime::constant(1, 1, 1, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    /// 0001-01-01T00:00:00Z.
    const FIRST_MICROS: i64 = -62_135_596_800_000_000;
    /// 9999-12-31T23:59:59.999999Z.
    const LAST_MICROS: i64 = 253_402_300_800_000_000 - 1;

    #[track_caller]
    fn both_ways(text: &str, micros: i64) {
        assert_eq!(
            parse(text).map(WallTime::unix_micros),
            Some(micros),
            "{text}"
        );
        assert_eq!(format(WallTime::from_unix_micros(micros)), text);
    }

    #[test]
    fn prints_and_reads_what_the_original_prints() {
        both_ways("1970-01-01T00:00:00Z", 0);
        both_ways("2024-01-01T00:00:00Z", 1_704_067_200_000_000);
        both_ways("2024-01-01T00:00:00.500000Z", 1_704_067_200_500_000);
        both_ways("2024-01-01T00:00:00.000001Z", 1_704_067_200_000_001);
        both_ways("2024-01-01T23:59:59.999999Z", 1_704_153_599_999_999);
        both_ways("2024-02-29T12:34:56Z", 1_709_210_096_000_000);
        both_ways("1969-12-31T23:59:59.999999Z", -1);
        both_ways("0001-01-01T00:00:00Z", FIRST_MICROS);
        both_ways("9999-12-31T23:59:59.999999Z", LAST_MICROS);
    }

    #[test]
    fn logs_and_alerts_show_milliseconds() {
        let check = |micros, expected: &str| {
            assert_eq!(format_millis(WallTime::from_unix_micros(micros)), expected)
        };
        check(1_714_480_496_789_999, "2024-04-30T12:34:56.789Z");
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(i64::MAX, "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn reads_the_basic_form_and_short_fractions() {
        let at = parse("2024-01-01T10:20:30Z");
        assert!(at.is_some());
        assert_eq!(parse("20240101T102030Z"), at);
        assert_eq!(parse("20240101T102030.0Z"), at);
        assert_eq!(
            parse("2024-01-01T00:00:00.123Z"),
            parse("2024-01-01T00:00:00.123000Z")
        );
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "foobar",
            "2024-01-01",
            "2024-01-01T10:20Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00+00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567Z",
            "2024-01-01 00:00:00Z",
            "2024-0101T00:00:00Z",
            "20240101T10:20:30Z",
            "2024-01-01T102030Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:60Z",
            "0000-01-01T00:00:00Z",
            " 2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Zx",
            "+024-01-01T00:00:00Z",
            "٢٠٢٤-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn times_off_the_calendar_are_printed_as_its_ends() {
        assert_eq!(
            format(WallTime::from_unix_micros(i64::MIN)),
            "0001-01-01T00:00:00Z"
        );
        assert_eq!(
            format(WallTime::from_unix_micros(i64::MAX)),
            "9999-12-31T23:59:59.999999Z"
        );
    }
}
