//! The pause of a cluster: whether daemons leave its servers alone, as they all come to agree on it.
//!
//! Each pause and each end of one by an operator has a number, one higher than the last that was known
//! where it was set. A daemon keeps the highest mark that it has ever met, and shows it in the names
//! of its sessions; so the newest one reaches everybody, in whatever order and however often it
//! comes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::{WallTime, timestamp};

/// What an operator last did: paused the cluster, or resumed it. Of two marks the higher one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PauseMark {
    /// Odd: paused. 0: never.
    number: u32,
    /// Minutes since 1970 by the wall clock at which the pause ends by itself; 0: it does not.
    until: u32,
}

impl PauseMark {
    /// A pause after this mark. It ends by itself at this time, rounded up to a minute.
    ///
    /// # Errors
    ///
    /// If there were too many, or the end is too far away: what is wrong.
    pub fn paused(self, until: Option<WallTime>) -> Result<Self, String> {
        let minutes = |at: WallTime| {
            let micros = at.unix_micros().max(0).unsigned_abs();
            let minutes = u32::try_from(micros.div_ceil(MINUTE)).ok();
            let minutes = minutes.filter(|minutes| (1..=MAX_UNTIL).contains(minutes));
            minutes.ok_or("the end of the pause is too far away")
        };
        Ok(Self {
            number: self.next(1)?,
            until: until.map(minutes).transpose()?.unwrap_or_default(),
        })
    }

    /// The end of the pause after this mark.
    ///
    /// # Errors
    ///
    /// If there were too many.
    pub fn resumed(self) -> Result<Self, String> {
        let (number, until) = (self.next(0)?, 0);
        Ok(Self { number, until })
    }

    fn next(self, parity: u32) -> Result<u32, String> {
        let next = self.number + 1;
        let next = next + (next % 2).abs_diff(parity);
        let too_many = || format!("there were {} pauses already", self.number);
        (next <= MAX_NUMBER).then_some(next).ok_or_else(too_many)
    }

    /// Its text, if there ever was a pause.
    pub fn shown(self) -> Option<String> {
        (self != Self::default()).then(|| self.to_string())
    }

    /// A pause in words.
    pub fn sentence(self) -> String {
        match self.until() {
            Some(until) => format!("the cluster is paused until {}", timestamp::format(until)),
            None => "the cluster is paused".to_owned(),
        }
    }

    /// Is the cluster paused.
    pub fn is_active(self, now: WallTime) -> bool {
        self.number % 2 == 1 && self.until().is_none_or(|until| now < until)
    }

    /// When the pause ends by itself.
    pub fn until(self) -> Option<WallTime> {
        let until = Duration::from_micros(u64::from(self.until) * MINUTE);
        (self.until != 0).then(|| WallTime::from_unix_micros(0) + until)
    }
}

/// `NUMBER` or `NUMBER.MINUTES`, each to the base of 36.
impl fmt::Display for PauseMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base_36(self.number, f)?;
        if self.until != 0 {
            f.write_str(".")?;
            write_base_36(self.until, f)?;
        }
        Ok(())
    }
}

impl FromStr for PauseMark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, until) = text.split_once('.').unwrap_or((text, "0"));
        let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let read = |part: &str, max: u32| {
            let value = u32::from_str_radix(part, BASE).ok();
            let value = value.filter(|value| is_plain(part) && *value <= max);
            value.ok_or_else(|| format!("{text:?} is no mark of a pause"))
        };
        Ok(Self {
            number: read(number, MAX_NUMBER)?,
            until: read(until, MAX_UNTIL)?,
        })
    }
}

fn write_base_36(mut value: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(value % BASE, BASE));
        value /= BASE;
        if value == 0 {
            break;
        }
    }
    digits
        .iter()
        .rev()
        .try_for_each(|digit| write!(f, "{digit}"))
}

/// So that a mark fits into the name of a session.
const BASE: u32 = 36;
/// Four digits.
const MAX_NUMBER: u32 = BASE.pow(4) - 1;
/// Five digits: the year 2084.
const MAX_UNTIL: u32 = BASE.pow(5) - 1;
/// In microseconds.
const MINUTE: u64 = 60_000_000;
#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> WallTime {
        WallTime::from_unix_micros(minutes * 60_000_000)
    }

    #[test]
    fn marks_grow_and_alternate() {
        let never = PauseMark::default();
        let paused = never.paused(None).unwrap();
        let again = paused.paused(Some(at(9))).unwrap();
        let resumed = again.resumed().unwrap();
        assert!(never < paused && paused < again && again < resumed);
        let active = [never, paused, again, resumed].map(|mark| mark.is_active(at(8)));
        assert_eq!(active, [false, true, true, false]);
        assert!(!again.is_active(at(9)), "its end has come");
        assert!(never.resumed().unwrap() > never);
    }

    #[test]
    fn an_end_is_rounded_up_and_has_a_limit() {
        let late = WallTime::from_unix_micros(60_000_001);
        let mark = PauseMark::default().paused(Some(late)).unwrap();
        assert_eq!(mark.until(), Some(at(2)));
        for odd in [WallTime::from_unix_micros(i64::MAX), at(0), at(-5)] {
            assert!(PauseMark::default().paused(Some(odd)).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_mark_is_written_and_read_back() {
        let never = PauseMark::default();
        let now = at(29_800_000);
        let most = PauseMark {
            number: MAX_NUMBER,
            until: MAX_UNTIL,
        };
        for mark in [
            never,
            never.paused(None).unwrap(),
            never.paused(Some(now)).unwrap(),
            most,
        ] {
            let text = mark.to_string();
            assert!(text.len() <= 4 + 1 + 5, "{text}");
            assert_eq!(text.parse(), Ok(mark), "{text}");
        }
        assert!(most.paused(None).is_err() && most.resumed().is_err());
        for wrong in [
            "", ".", "1.", "+1", "-1", "1.2.3", "10000", "1.100000", "ä", "zzzzzzzz",
        ] {
            assert!(wrong.parse::<PauseMark>().is_err(), "{wrong}");
        }
    }
}
