//! Names to addresses: cache, stale answers, literals. Looks nothing up itself: it reports when a
//! look-up is wanted, and gets the result. The last good answer is kept for as long as the
//! name is configured: a failover must not wait for the name server that died with the rack.
//!
//! What goes to the look-up helper is checked because it becomes an argument of a command, what
//! comes back because it came through a pipe.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

use crate::time::Monotonic;

/// What is known of every name that somebody asked for.
#[derive(Debug, Default)]
pub struct Cache {
    names: BTreeMap<String, Entry>,
}

/// What is known of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its addresses, fresh or stale, in the order in which they are to be tried. Empty while
    /// nothing is known.
    pub addresses: Vec<Address>,
    /// The caller is to look the name up now, and to give [`Cache::finished`] the result,
    /// whatever it is. Said once per look-up.
    pub wants_lookup: bool,
    /// A look-up runs, or is wanted.
    pub is_running: bool,
    /// Why there is no newer answer: the error of the last look-up, if it failed.
    pub failure: Option<String>,
}

/// An address, and which of this machine's interfaces it belongs to: a link-local one of IPv6 means
/// nothing without (RFC 4007).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    ip: IpAddr,
    /// The number of the interface; 0: any.
    scope: u32,
}

impl Address {
    /// Where a port of it is.
    pub fn at(self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.scope).into(),
            IpAddr::V4(_) => SocketAddr::new(self.ip, port),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        let ip = address.ip();
        Self { ip, scope }
    }
}

impl FromStr for Address {
    type Err = AddrParseError;

    /// An address, of IPv6 also with `%` and the number of an interface behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, scope) = text.split_once('%').unwrap_or((text, "0"));
        match scope.parse() {
            Ok(scope) if ip.len() < text.len() => ip.parse().map(|ip: Ipv6Addr| Self {
                ip: ip.into(),
                scope,
            }),
            _ => text.parse().map(|ip| Self { ip, scope: 0 }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            0 => self.ip.fmt(f),
            scope => write!(f, "{}%{scope}", self.ip),
        }
    }
}

impl Cache {
    /// What is known of `name`. Literal addresses are their own answer.
    pub fn lookup(&mut self, name: &str, now: Monotonic) -> Answer {
        if let Ok(literal) = name.parse() {
            return Answer {
                addresses: vec![literal],
                ..Answer::default()
            };
        }
        if !can_be_looked_up(name) {
            return Answer {
                failure: Some("not a name that can be looked up".to_owned()),
                ..Answer::default()
            };
        }
        let entry = self.names.entry(name.to_owned()).or_default();
        let wants_lookup = !entry.is_running && entry.next_lookup.is_none_or(|at| at <= now);
        entry.is_running |= wants_lookup;
        Answer {
            addresses: entry.addresses.clone(),
            wants_lookup,
            is_running: entry.is_running,
            failure: entry.failure.clone(),
        }
    }

    /// What is known of `name` has led to no server, which may have moved: it is to be looked up anew,
    /// unless that was done a moment ago. The known addresses stay in use.
    pub fn expire(&mut self, name: &str, now: Monotonic) {
        if let Some(entry) = self.names.get_mut(name)
            && entry.finished_at.is_none_or(|at| at + LEAST_AGE <= now)
        {
            entry.next_lookup = None;
        }
    }

    /// The look-up of `name` has ended, or could not begin. An answer for a name that was forgotten
    /// meanwhile is dropped.
    pub fn finished(&mut self, name: &str, outcome: Result<Vec<Address>, String>, now: Monotonic) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        (entry.is_running, entry.finished_at) = (false, Some(now));
        match outcome {
            Ok(mut addresses) if !addresses.is_empty() => {
                addresses.truncate(MOST_ADDRESSES);
                *entry = Entry {
                    addresses,
                    next_lookup: Some(now + FRESH_FOR),
                    finished_at: Some(now),
                    ..Entry::default()
                };
            }
            failed => {
                entry.failure = Some(
                    failed
                        .err()
                        .unwrap_or_else(|| "the name has no address".to_owned()),
                );
                entry.next_lookup = Some(now + RETRY_AFTER);
            }
        }
    }

    /// Forgets every name that `is_configured` denies.
    pub fn retain(&mut self, mut is_configured: impl FnMut(&str) -> bool) {
        self.names.retain(|name, _| is_configured(name));
    }
}

/// Whether `name` may be given to the look-up helper: no option, nothing that is no name in any
/// name service, and not longer than DNS allows.
pub fn can_be_looked_up(name: &str) -> bool {
    let is_fit = |c: char| !c.is_control() && !c.is_whitespace();
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && !name.starts_with('-')
        && name.chars().all(is_fit)
}

/// What the helper printed: addresses, one per line, in the order in which they are to be tried.
/// `succeeded` is its exit status; what a failed one printed is the reason.
pub fn parse_answer(succeeded: bool, printed: &[u8]) -> Result<Vec<Address>, String> {
    let text = String::from_utf8_lossy(printed.get(..ANSWER_BYTES).unwrap_or(printed));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if !succeeded {
        let reason = lines
            .next()
            .map_or("the look-up failed without a reason".to_owned(), start_of);
        return Err(reason);
    }
    let mut addresses = Vec::new();
    for line in lines.take(MOST_ADDRESSES) {
        let address = line
            .parse()
            .map_err(|_| format!("the look-up answered nonsense: {}", start_of(line)))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(addresses)
}

/// How long an answer counts as fresh. Older ones are used as well, while a new look-up runs
/// beside.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// An answer of this age is not doubted.
const LEAST_AGE: Duration = Duration::from_secs(1);
/// From a failed look-up to the next.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Addresses of one name that are kept: who has more does not get them all tried before the
/// deadline anyway.
const MOST_ADDRESSES: usize = 16;

/// RFC 1035, section 3.1, without the root's own dot.
const NAME_BYTES: usize = 253;
/// Sixteen of the longest addresses fit in several times over.
const ANSWER_BYTES: usize = 4096;
/// Characters of a reason that are kept.
const REASON_CHARS: usize = 200;

#[derive(Debug, Default)]
struct Entry {
    /// The last good answer.
    addresses: Vec<Address>,
    /// Not before this; `None` is at once.
    next_lookup: Option<Monotonic>,
    /// When the last look-up ended.
    finished_at: Option<Monotonic>,
    is_running: bool,
    failure: Option<String>,
}

fn start_of(line: &str) -> String {
    line.chars()
        .take(REASON_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// One step per line: at which second, what happens to the name `db`, and what is known of it
    /// afterwards as `addresses / wants / failure`. A question is `?`, an answer its addresses, a
    /// failure `!` and its reason, a doubt `~`.
    fn check(steps: &[(u64, &str, &str)]) {
        let mut cache = Cache::default();
        for &(second, step, expected) in steps {
            match step.strip_prefix('!') {
                Some(reason) => cache.finished("db", Err(reason.to_owned()), at(second)),
                None if step == "?" => {}
                None if step == "~" => cache.expire("db", at(second)),
                None => cache.finished(
                    "db",
                    Ok(addresses(&step.split(' ').collect::<Vec<_>>())),
                    at(second),
                ),
            }
            let answer = cache.lookup("db", at(second));
            let known = answer
                .addresses
                .iter()
                .map(Address::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            let wants = if answer.wants_lookup { "wants" } else { "-" };
            let shown = format!(
                "{known} / {wants} / {}",
                answer.failure.as_deref().unwrap_or("-")
            );
            assert_eq!(shown, expected, "at {second}: {step}");
        }
    }

    #[test]
    fn one_look_up_at_a_time_and_a_fresh_answer_needs_none() {
        check(&[
            (0, "?", " / wants / -"),
            (1, "?", " / - / -"),
            (2, "192.0.2.2 192.0.2.1", "192.0.2.2 192.0.2.1 / - / -"),
            (31, "?", "192.0.2.2 192.0.2.1 / - / -"),
            (32, "?", "192.0.2.2 192.0.2.1 / wants / -"),
            (33, "?", "192.0.2.2 192.0.2.1 / - / -"),
            (34, "192.0.2.3", "192.0.2.3 / - / -"),
        ]);
    }

    #[test]
    fn a_stale_answer_outlives_every_failure() {
        check(&[
            (0, "?", " / wants / -"),
            (0, "192.0.2.1", "192.0.2.1 / - / -"),
            (30, "?", "192.0.2.1 / wants / -"),
            (35, "!timed out", "192.0.2.1 / - / timed out"),
            (39, "?", "192.0.2.1 / - / timed out"),
            (40, "?", "192.0.2.1 / wants / timed out"),
            (45, "!no such name", "192.0.2.1 / - / no such name"),
            (999_999, "?", "192.0.2.1 / wants / no such name"),
            (999_999, "192.0.2.9", "192.0.2.9 / - / -"),
        ]);
    }

    #[test]
    fn a_doubted_answer_is_looked_up_anew_at_once_and_stays_in_use() {
        check(&[
            (0, "?", " / wants / -"),
            (0, "192.0.2.1", "192.0.2.1 / - / -"),
            (0, "~", "192.0.2.1 / - / -"),
            (1, "~", "192.0.2.1 / wants / -"),
            (2, "~", "192.0.2.1 / - / -"),
            (2, "!timed out", "192.0.2.1 / - / timed out"),
            (3, "~", "192.0.2.1 / wants / timed out"),
            (3, "192.0.2.2", "192.0.2.2 / - / -"),
        ]);
    }

    #[test]
    fn an_address_keeps_its_interface() {
        let check = |text: &str, expected: Option<&str>| {
            let address = text.parse::<Address>().ok();
            let at = address.map(|address| address.at(5432).to_string());
            assert_eq!(at.as_deref(), expected, "{text}");
            if let Some(address) = address {
                assert_eq!(Address::from(address.at(1)).to_string(), text);
            }
        };
        check("192.0.2.1", Some("192.0.2.1:5432"));
        check("fe80::1", Some("[fe80::1]:5432"));
        check("fe80::1%3", Some("[fe80::1%3]:5432"));
        for text in [
            "fe80::1%",
            "fe80::1%eth0",
            "fe80::1%-1",
            "192.0.2.1%3",
            "%3",
            "h%3",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_name_that_never_had_an_answer_has_its_reason_and_is_tried_again() {
        check(&[
            (0, "?", " / wants / -"),
            (0, "!no such name", " / - / no such name"),
            (4, "?", " / - / no such name"),
            (5, "?", " / wants / no such name"),
        ]);
    }

    #[test]
    fn an_empty_answer_is_a_failure() {
        let mut cache = Cache::default();
        cache.lookup("db", at(0));
        cache.finished("db", Ok(Vec::new()), at(0));
        assert_eq!(
            cache.lookup("db", at(0)).failure.as_deref(),
            Some("the name has no address")
        );
    }

    #[test]
    fn literals_are_never_looked_up_and_nonsense_neither() {
        let mut cache = Cache::default();
        for literal in ["192.0.2.1", "2001:db8::1", "fe80::1%2"] {
            let expected = Answer {
                addresses: addresses(&[literal]),
                ..Answer::default()
            };
            assert_eq!(cache.lookup(literal, at(0)), expected);
        }
        let answer = cache.lookup("--help", at(0));
        assert!(!answer.wants_lookup && answer.failure.is_some());
        assert!(cache.names.is_empty());
    }

    #[test]
    fn a_name_has_so_many_addresses_and_no_more() {
        let mut cache = Cache::default();
        cache.lookup("db", at(0));
        let many: Vec<String> = (0..100).map(|n| format!("192.0.2.{n}")).collect();
        let many = many.iter().map(|text| text.parse().unwrap()).collect();
        cache.finished("db", Ok(many), at(0));
        assert_eq!(cache.lookup("db", at(0)).addresses.len(), MOST_ADDRESSES);
    }

    #[test]
    fn names_that_left_the_configuration_are_forgotten_with_their_answers() {
        let mut cache = Cache::default();
        cache.lookup("db", at(0));
        cache.lookup("other", at(0));
        cache.retain(|name| name == "other");
        cache.finished("db", Ok(addresses(&["192.0.2.1"])), at(0));
        assert!(!cache.names.contains_key("db") && cache.names.contains_key("other"));
        assert_eq!(
            cache.lookup("db", at(0)),
            Answer {
                wants_lookup: true,
                is_running: true,
                ..Answer::default()
            }
        );
    }

    #[test]
    fn no_name_is_an_option_or_holds_what_no_name_holds() {
        let check = |name: &str, expected| assert_eq!(can_be_looked_up(name), expected, "{name:?}");
        check("db1.example.com", true);
        check("db1.example.com.", true);
        check("under_score-and-dash", true);
        check("bücher.example", true);
        check(&"x".repeat(253), true);
        check(&"x".repeat(254), false);
        check("", false);
        check("--resolve", false);
        check("a b", false);
        check("a\0b", false);
        check("a\nb", false);
    }

    #[test]
    fn an_answer_is_a_list_of_addresses_or_a_reason() {
        let check = |succeeded, printed: &str, expected: Result<&[&str], &str>| {
            let expected = match expected {
                Ok(texts) => Ok(texts.iter().map(|text| text.parse().unwrap()).collect()),
                Err(reason) => Err(reason.to_owned()),
            };
            assert_eq!(
                parse_answer(succeeded, printed.as_bytes()),
                expected,
                "{printed:?}"
            );
        };
        check(
            true,
            "192.0.2.1\n2001:db8::1\nfe80::1%7\n",
            Ok(&["192.0.2.1", "2001:db8::1", "fe80::1%7"]),
        );
        check(true, "192.0.2.1\r\n\n192.0.2.1", Ok(&["192.0.2.1"]));
        check(true, "", Err("the name has no address"));
        check(
            true,
            "192.0.2.1\nevil\x1b[2J\n",
            Err("the look-up answered nonsense: evil?[2J"),
        );
        check(
            true,
            "1.2.3.4:5\n",
            Err("the look-up answered nonsense: 1.2.3.4:5"),
        );
        check(
            false,
            "Name or service not known\n192.0.2.1\n",
            Err("Name or service not known"),
        );
        check(false, "", Err("the look-up failed without a reason"));
        check(false, &"x".repeat(5000), Err(&"x".repeat(REASON_CHARS)));
    }

    #[test]
    fn an_answer_has_an_end() {
        let printed: String = (0..=MOST_ADDRESSES)
            .map(|n| format!("192.0.2.{n}\n"))
            .collect();
        assert_eq!(
            parse_answer(true, printed.as_bytes()).map(|found| found.len()),
            Ok(MOST_ADDRESSES)
        );
        assert!(parse_answer(true, &b"192.0.2.1\n".repeat(100_000)).is_ok());
        assert!(parse_answer(true, &[0xff; 100_000]).is_err());
    }
}
