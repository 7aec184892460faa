//! The base URL of an observer: `http://host[:port][/path]`, or the same with `https`.

use std::fmt;

use super::ObserverUrl;

/// Takes the URL apart, or says what was expected. The message never repeats the URL: it may hold a
/// password.
pub(super) fn parse(url: &str) -> Result<ObserverUrl, &'static str> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("expected a URL like http://host:15000")?;
    let encrypted = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" if cfg!(feature = "tls") => true,
        "https" => return Err("this program was built without TLS; expected http://"),
        _ => return Err("expected a URL that begins with http:// or https://"),
    };
    if rest.contains(|next: char| next.is_control() || next.is_whitespace() || !next.is_ascii()) {
        return Err("expected a URL of printable ASCII without blanks");
    }
    if rest.contains(['?', '#']) {
        return Err("expected a URL without query or fragment: /state.json is added to it");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("expected a URL without user and password");
    }
    let (host, port) = split_authority(authority, if encrypted { HTTPS_PORT } else { HTTP_PORT })?;
    Ok(ObserverUrl {
        // How RFC 6874 writes an interface, and how people do.
        host: host.replace("%25", "%"),
        port,
        encrypted,
        path: path.trim_end_matches('/').to_owned(),
    })
}

impl std::str::FromStr for ObserverUrl {
    type Err = &'static str;

    /// An error says what was expected, and never repeats the text.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        parse(url)
    }
}

impl fmt::Display for ObserverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}{}", self.host, self.port, self.path),
            false => write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path),
        }
    }
}

impl ObserverUrl {
    /// The port, unless it is the scheme's own.
    pub fn uncommon_port(&self) -> Option<u16> {
        let common = if self.encrypted {
            HTTPS_PORT
        } else {
            HTTP_PORT
        };
        Some(self.port).filter(|port| *port != common)
    }
}

fn split_authority(authority: &str, default_port: u16) -> Result<(&str, u16), &'static str> {
    let (host, tail) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, tail) = inner.split_once(']').ok_or("expected a closing bracket")?;
            let (literal, scope) = address.split_once('%').unwrap_or((address, "25x"));
            if matches!(scope, "" | "25") {
                return Err("expected the name of an interface after the percent sign");
            }
            let literal = literal.parse::<std::net::Ipv6Addr>();
            literal.map_err(|_| "expected an IPv6 address in the brackets")?;
            (address, tail)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err("expected a host");
    }
    let port = match tail.strip_prefix(':') {
        None if tail.is_empty() => default_port,
        Some("") => default_port,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    };
    if port == 0 {
        Err("expected a port number from 1 to 65535")
    } else {
        Ok((host, port))
    }
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, u16, &str)>) {
        let parsed = parse(url);
        let parts = parsed
            .as_ref()
            .ok()
            .map(|url| (url.host.as_str(), url.port, url.path.as_str()));
        assert_eq!(parts, expected, "{url:?}: {parsed:?}");
    }

    #[test]
    fn takes_base_urls_apart() {
        check("http://2.3.4.5:15000", Some(("2.3.4.5", 15000, "")));
        check("http://o", Some(("o", 80, "")));
        check("HTTP://o:/", Some(("o", 80, "")));
        check("http://o:1/a/b/", Some(("o", 1, "/a/b")));
        check("http://[::1]:15000/", Some(("::1", 15000, "")));
        check("http://[::1]", Some(("::1", 80, "")));
        for url in ["http://[fe80::1%25eth0]:1/a", "http://[fe80::1%eth0]:1/a"] {
            check(url, Some(("fe80::1%eth0", 1, "/a")));
        }
        check("http://[fe80::1%252]", Some(("fe80::1%2", 80, "")));
    }

    #[test]
    fn https_is_for_builds_with_tls() {
        let built_in = cfg!(feature = "tls");
        check("https://o", built_in.then_some(("o", 443, "")));
        check("HTTPS://o:8443/a", built_in.then_some(("o", 8443, "/a")));
        assert_eq!(parse("https://o").is_ok_and(|url| url.encrypted), built_in);
        assert!(parse("http://o").is_ok_and(|url| !url.encrypted));
    }

    #[test]
    fn refuses_everything_else() {
        for url in [
            "",
            "o:15000",
            "ftp://o",
            "http://",
            "http://:1",
            "http://o:0",
            "http://o:65536",
            "http://o:+1",
            "http://o:1x",
            "http://u:p@o",
            "http://o?x",
            "http://o/#x",
            "http://o /",
            "http://o\r\nX:1",
            "http://[::1",
            "http://[x]",
            "http://[x%eth0]",
            "http://[fe80::1%]",
            "http://[fe80::1%25]",
            "http://[::1]x",
            "http://::1",
            "http://å",
        ] {
            check(url, None);
        }
    }
}
