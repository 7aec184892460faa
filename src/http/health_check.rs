//! The questions of load balancers: paths and parameters as Patroni has them, so that what asked it
//! asks us.

/// What a load balancer asks about one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What the server is wanted for.
    pub purpose: Purpose,
    /// `?node=`: which server, if not the daemon's own.
    pub node: Option<String>,
    /// `?lag=`: how far a standby may be behind, in bytes.
    pub max_lag: Option<u64>,
    /// The status alone is wanted: `OPTIONS`.
    pub status_only: bool,
}

/// What a server is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `/primary`, `/read-write`, `/leader`: writes.
    Primary,
    /// `/replica`: reads from a standby.
    Replica,
    /// `/read-only`: reads from the primary or a standby.
    ReadOnly,
    /// `/health`: does PostgreSQL answer.
    Health,
    /// `/liveness`: does the daemon answer.
    Liveness,
    /// `/readiness`: is the server, as primary or standby, a part of the cluster.
    Readiness,
}

/// The purpose of this path, if it is one of a health check.
pub(super) fn purpose(path: &str) -> Option<Purpose> {
    Some(match path {
        "primary" | "read-write" | "leader" => Purpose::Primary,
        "replica" => Purpose::Replica,
        "read-only" => Purpose::ReadOnly,
        "health" => Purpose::Health,
        "liveness" => Purpose::Liveness,
        "readiness" => Purpose::Readiness,
        _ => return None,
    })
}

/// The check with these parameters; those of others are left alone. `None`: a lag that is no number
/// of bytes.
pub(super) fn parse(purpose: Purpose, query: &str, status_only: bool) -> Option<HealthCheck> {
    let mut check = HealthCheck {
        purpose,
        node: None,
        max_lag: None,
        status_only,
    };
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "node" => check.node = Some(percent_decoded(value)?),
            "lag" => check.max_lag = Some(bytes(value)?),
            _ => {}
        }
    }
    Some(check)
}

/// `1048576`, `1024kB`, `1MB`, `1GB`, `1TB`, with the units of PostgreSQL in any case.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

/// RFC 3986, section 2.1, and a plus for a space, as forms have it.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts
        .next()
        .unwrap_or_default()
        .replace('+', " ")
        .into_bytes();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // A number may have a sign, an encoded byte has none.
        let digits = Some(digits).filter(|it| !it.contains('+'))?;
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(rest.replace('+', " ").as_bytes());
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, node: Option<&str>, max_lag: Option<u64>) {
        let parsed = parse(Purpose::Replica, query, false).unwrap();
        assert_eq!((parsed.node.as_deref(), parsed.max_lag), (node, max_lag));
    }

    #[test]
    fn parameters() {
        check("", None, None);
        check("lag=16", None, Some(16));
        check("lag=10kB", None, Some(10_240));
        check("lag=1MB&node=s1", Some("s1"), Some(1 << 20));
        check("x&y=1&lag=2gb", None, Some(2 << 30));
        check("node=a%20b+c%C3%A4", Some("a b cä"), None);
        check("node=", Some(""), None);
    }

    #[test]
    fn what_is_no_lag_and_no_name() {
        for query in [
            "lag=",
            "lag=-1",
            "lag=1.5MB",
            "lag=MB",
            "lag=1PB",
            "lag=1 MB",
            "lag=99999999999999999999",
            "lag=99999999999TB",
            "node=%",
            "node=%4",
            "node=%zz",
            "node=%+4",
            "node=%ff",
            "node=%€",
        ] {
            assert_eq!(parse(Purpose::Replica, query, false), None, "{query}");
        }
    }
}
