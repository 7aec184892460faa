//! What goes to the look-up helper and what comes back: the one is checked because it becomes an
//! argument of a command, the other because it came through a pipe.

use std::net::IpAddr;

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
pub fn parse_answer(succeeded: bool, printed: &[u8]) -> Result<Vec<IpAddr>, String> {
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

/// Addresses of one name that are kept: who has more does not get them all tried before the
/// deadline anyway.
pub(super) const MOST_ADDRESSES: usize = 16;

/// RFC 1035, section 3.1, without the root's own dot.
const NAME_BYTES: usize = 253;
/// Sixteen of the longest addresses fit in several times over.
const ANSWER_BYTES: usize = 4096;
/// Characters of a reason that are kept.
const REASON_CHARS: usize = 200;

fn start_of(line: &str) -> String {
    line.chars()
        .take(REASON_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "192.0.2.1\n2001:db8::1\n",
            Ok(&["192.0.2.1", "2001:db8::1"]),
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
