//! The fleet's timestamps: UTC in ISO 8601, `2024-04-30T12:34:56.789012Z`; to the millisecond in
//! logs and alert files. The calendar is written out here because the small crates' begin at 1970,
//! and one old database clock must not make a whole answer unreadable.

use crate::time::WallTime;

/// The timestamp as the original prints it: six digits of fraction, or none when it is zero. A time
/// outside the years 1 to 9999 is printed as the nearest one inside.
pub fn format(time: WallTime) -> String {
    let (whole, fraction) = whole_seconds(time);
    if fraction == 0 {
        whole + "Z"
    } else {
        format!("{whole}.{fraction:06}Z")
    }
}

/// The timestamp as people read it in logs and alert files: always three digits of fraction.
pub fn format_millis(time: WallTime) -> String {
    let (whole, fraction) = whole_seconds(time);
    format!("{whole}.{:03}Z", fraction / 1000)
}

/// Reads what [`format()`] prints, and the basic form `20240430T123456Z`; either with one to six
/// digits of fraction.
pub fn parse(text: &str) -> Option<WallTime> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    let extended = skip(&mut rest, b'-');
    let month = digits(&mut rest, 2)?;
    separator(&mut rest, b'-', extended)?;
    let day = digits(&mut rest, 2)?;
    separator(&mut rest, b'T', true)?;
    let hour = digits(&mut rest, 2)?;
    separator(&mut rest, b':', extended)?;
    let minute = digits(&mut rest, 2)?;
    separator(&mut rest, b':', extended)?;
    let second = digits(&mut rest, 2)?;
    let fraction = if skip(&mut rest, b'.') {
        fraction(&mut rest)?
    } else {
        0
    };
    separator(&mut rest, b'Z', true)?;
    let on_calendar =
        year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !rest.is_empty() || !on_calendar || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(WallTime::from_unix_micros(
        seconds * MICROS_PER_SECOND + fraction,
    ))
}

/// Date and time to the second, and the microseconds that follow.
fn whole_seconds(time: WallTime) -> (String, i64) {
    let micros = time.unix_micros().clamp(FIRST_MICROS, LAST_MICROS);
    let (year, month, day) = civil(micros.div_euclid(MICROS_PER_DAY));
    let in_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (in_day / MICROS_PER_SECOND, in_day % MICROS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    (
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
        fraction,
    )
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(count)?;
    let value = number.iter().try_fold(0, |value: i64, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + i64::from(digit.wrapping_sub(b'0')))
    })?;
    *rest = after;
    Some(value)
}

/// Microseconds, from one to six digits.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let missing = u32::try_from(6_usize.checked_sub(count)?).ok()?;
    if count == 0 {
        return None;
    }
    Some(digits(rest, count)? * 10_i64.pow(missing))
}

fn skip(rest: &mut &[u8], byte: u8) -> bool {
    match rest.split_first() {
        Some((first, after)) if *first == byte => {
            *rest = after;
            true
        }
        _ => false,
    }
}

/// The separator, there exactly if it is `expected`.
fn separator(rest: &mut &[u8], byte: u8, expected: bool) -> Option<()> {
    (skip(rest, byte) == expected).then_some(())
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March on, so that the leap day is the last day of
/// its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - DAYS_TO_EPOCH
}

/// Year, month and day: the reverse of [`days`].
fn civil(days_since_epoch: i64) -> (i64, i64, i64) {
    let day_count = days_since_epoch + DAYS_TO_EPOCH;
    let era = day_count.div_euclid(DAYS_PER_ERA);
    let in_era = day_count.rem_euclid(DAYS_PER_ERA);
    let year_in_era =
        (in_era - in_era / 1460 + in_era / 36_524 - in_era / (DAYS_PER_ERA - 1)) / 365;
    let in_year = in_era - (year_in_era * 365 + year_in_era / 4 - year_in_era / 100);
    let month = (in_year * 5 + 2) / 153;
    let day = in_year - (month * 153 + 2) / 5 + 1;
    let year = era * 400 + year_in_era;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// 400 years of the Gregorian calendar.
const DAYS_PER_ERA: i64 = 146_097;
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 0001-01-01T00:00:00Z.
const FIRST_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
const LAST_MICROS: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_day_of_the_calendar_comes_back() {
        let mut expected = days(1, 1, 1);
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in [1, days_in_month(year, month)] {
                    assert_eq!(civil(days(year, month, day)), (year, month, day));
                }
                assert_eq!(days(year, month, 1), expected, "{year}-{month}");
                expected += days_in_month(year, month);
            }
        }
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
