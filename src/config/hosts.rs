//! The hosts of one connection: names, literal addresses and sockets paired with ports and
//! passwords.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::conninfo::{Host, HostAddress};
use super::environment::FileContent;
use super::keywords::is_blank;
use super::passfile::{self, Wanted};
use super::secret::Secret;
use super::source::Source;

/// The hosts in their order; empty only after an error.
pub(super) fn resolve(source: &mut Source<'_>, dbname: &str, user: &str) -> Vec<Host> {
    let names = list(source.filled("host"));
    let addresses = list(source.filled("hostaddr"));
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        source.error(
            "hostaddr",
            format!("expected {} addresses, one for each host", names.len()),
        );
        return Vec::new();
    }
    let count = names.len().max(addresses.len()).max(1);
    let Some(ports) = ports(source, count) else {
        return Vec::new();
    };
    let password = source.filled("password").map(Secret::new);
    let passfile = if password.is_none() {
        passfile_text(source)
    } else {
        None
    };
    let mut hosts = Vec::with_capacity(count);
    for (index, port) in ports.into_iter().enumerate() {
        let name = names.get(index).copied().unwrap_or_default();
        let literal = addresses.get(index).copied().unwrap_or_default();
        let Some((name, address)) = locate(source, name, literal, port) else {
            continue;
        };
        let password = password.clone().or_else(|| {
            let host = if name == DEFAULT_SOCKET_DIRECTORY {
                "localhost"
            } else {
                &name
            };
            passfile::find(
                passfile.as_deref()?,
                &Wanted {
                    host,
                    port,
                    dbname,
                    user,
                },
            )
        });
        hosts.push(Host {
            address,
            port,
            name,
            password,
        });
    }
    hosts
}

/// What the host is called, and where it is.
fn locate(
    source: &mut Source<'_>,
    name: &str,
    literal: &str,
    port: u16,
) -> Option<(String, HostAddress)> {
    if !literal.is_empty() {
        let Some(address) = numeric(literal) else {
            source.error("hostaddr", "expected an IPv4 or IPv6 address");
            return None;
        };
        return Some((
            if name.is_empty() { literal } else { name }.to_owned(),
            address,
        ));
    }
    let name = if name.is_empty() {
        DEFAULT_SOCKET_DIRECTORY
    } else {
        name
    };
    let address = match name.strip_prefix('@') {
        None if name.starts_with('/') => {
            HostAddress::Socket(PathBuf::from(socket_name(name, port)))
        }
        Some(rest) => HostAddress::Abstract(socket_name(rest, port).into_bytes()),
        // Most likely the rest of a password, so it is not shown.
        None if name.contains('@') => {
            source.error(
                "host",
                "expected a name without \"@\" (in a URL's password it is written as %40)",
            );
            return None;
        }
        None => numeric(name).unwrap_or_else(|| HostAddress::Name(name.to_owned())),
    };
    if name.starts_with(['/', '@']) && socket_name(name, port).len() > SOCKET_PATH_MAX_BYTES {
        source.error(
            "host",
            format!("expected a socket whose path has at most {SOCKET_PATH_MAX_BYTES} bytes"),
        );
        return None;
    }
    Some((name.to_owned(), address))
}

fn numeric(text: &str) -> Option<HostAddress> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(HostAddress::Ip(address));
    }
    let (address, scope) = text.split_once('%')?;
    let is_address = address.parse::<std::net::Ipv6Addr>().is_ok() && !scope.is_empty();
    is_address.then(|| HostAddress::Name(text.to_owned()))
}

fn socket_name(directory: &str, port: u16) -> String {
    format!("{directory}/.s.PGSQL.{port}")
}

/// One port for each of `count` hosts: a single one serves all, an empty one is the default.
fn ports(source: &mut Source<'_>, count: usize) -> Option<Vec<u16>> {
    let given = list(source.filled("port"));
    if given.len() > 1 && given.len() != count {
        source.error(
            "port",
            format!("expected one port, or {count}, one for each host"),
        );
        return None;
    }
    let parsed: Option<Vec<u16>> = given.into_iter().map(port).collect();
    if parsed.is_none() {
        source.error("port", "expected a port number from 1 to 65535");
    }
    match parsed?.as_slice() {
        [] => Some(vec![DEFAULT_PORT; count]),
        [single] => Some(vec![*single; count]),
        several => Some(several.to_vec()),
    }
}

fn port(text: &str) -> Option<u16> {
    match text.trim_matches(is_blank) {
        "" => Some(DEFAULT_PORT),
        digits => digits.parse().ok().filter(|port| *port > 0),
    }
}

fn list(text: Option<&str>) -> Vec<&str> {
    text.map(|text| text.split(',').collect())
        .unwrap_or_default()
}

fn passfile_text(source: &mut Source<'_>) -> Option<String> {
    let home = || {
        source
            .environment
            .home
            .as_ref()
            .map(|home| home.join(".pgpass"))
    };
    let path = source.filled("passfile").map(PathBuf::from).or_else(home)?;
    match source.environment.read_passfile.read(Path::new(&path)) {
        FileContent::Absent => None,
        FileContent::Text(text) => Some(text),
        FileContent::Refused(reason) => {
            source.warn(
                &path.to_string_lossy(),
                format!("password file ignored: {reason}"),
            );
            None
        }
    }
}

/// Where libpq of Debian and Red Hat looks when no host is given.
const DEFAULT_SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;
/// What `sockaddr_un` holds on Linux, less the closing NUL.
const SOCKET_PATH_MAX_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::super::keywords::Keywords;
    use super::super::problem::Findings;
    use super::super::resolve;
    use super::*;

    fn hosts(text: &str, environment: &Environment) -> Result<Vec<Host>, Vec<String>> {
        let mut findings = Findings::default();
        match resolve::resolve(
            "n",
            &Keywords::parse(text).unwrap(),
            environment,
            &mut findings,
        ) {
            Some(info) => Ok(info.hosts),
            None => Err(findings.errors.iter().map(ToString::to_string).collect()),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let hosts = hosts(text, &Environment::default()).unwrap();
        let shown: Vec<_> = hosts
            .iter()
            .map(|host| format!("{} {:?} {}", host.name, host.address, host.port))
            .collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn distinguishes_names_addresses_and_sockets() {
        check(
            "",
            &["/var/run/postgresql Socket(\"/var/run/postgresql/.s.PGSQL.5432\") 5432"],
        );
        check("host=h port=7", &["h Name(\"h\") 7"]);
        check("host=10.0.0.1", &["10.0.0.1 Ip(10.0.0.1) 5432"]);
        check("host=::1", &["::1 Ip(::1) 5432"]);
        check(
            "host=fe80::1%eth0",
            &["fe80::1%eth0 Name(\"fe80::1%eth0\") 5432"],
        );
        check("host=h hostaddr=fe80::1%2", &["h Name(\"fe80::1%2\") 5432"]);
        check(
            "postgres://[fe80::1%25eth0]:7/db",
            &["fe80::1%eth0 Name(\"fe80::1%eth0\") 7"],
        );
        check("host=h hostaddr=10.0.0.1", &["h Ip(10.0.0.1) 5432"]);
        check("hostaddr=10.0.0.1", &["10.0.0.1 Ip(10.0.0.1) 5432"]);
        check(
            "host=@a port=1",
            &[&format!("@a Abstract({:?}) 1", b"a/.s.PGSQL.1")],
        );
        check(
            "postgres://%2Ftmp",
            &["/tmp Socket(\"/tmp/.s.PGSQL.5432\") 5432"],
        );
        check("postgres://[::1]:5433/db", &["::1 Ip(::1) 5433"]);
    }

    #[test]
    fn pairs_hosts_with_ports() {
        check("host=a,b port=1,2", &["a Name(\"a\") 1", "b Name(\"b\") 2"]);
        check("host=a,b port=1", &["a Name(\"a\") 1", "b Name(\"b\") 1"]);
        check(
            "host=a,b port=,2",
            &["a Name(\"a\") 5432", "b Name(\"b\") 2"],
        );
        check(
            "host=a,b hostaddr=,10.0.0.2",
            &["a Name(\"a\") 5432", "b Ip(10.0.0.2) 5432"],
        );
        check(
            "postgres://a,b:2",
            &["a Name(\"a\") 5432", "b Name(\"b\") 2"],
        );
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(
            hosts(text, &Environment::default()).unwrap_err(),
            [expected],
            "{text:?}"
        );
    }

    #[test]
    fn refuses_what_cannot_be_reached() {
        for port in ["0", "65536", "-1", "x", "5432.0"] {
            let expected = format!("n.port is {port:?}: expected a port number from 1 to 65535");
            check_error(&format!("host=h port={port}"), &expected);
        }
        check_error(
            "host=a port=1,2",
            "n.port is \"1,2\": expected one port, or 1, one for each host",
        );
        check_error(
            "host=a,b hostaddr=::1",
            "n.hostaddr is \"::1\": expected 2 addresses, one for each host",
        );
        check_error(
            "hostaddr=name",
            "n.hostaddr is \"name\": expected an IPv4 or IPv6 address",
        );
        let long = format!("host=/{}", "x".repeat(92));
        check(
            &long,
            &[&format!(
                "/{0} Socket(\"/{0}/.s.PGSQL.5432\") 5432",
                "x".repeat(92)
            )],
        );
        assert!(hosts(&format!("{long}x"), &Environment::default()).is_err());
    }

    #[test]
    fn a_password_that_spilt_into_the_host_is_not_shown() {
        let errors = hosts("postgres://u:se@cret@h/db", &Environment::default()).unwrap_err();
        assert!(!errors.concat().contains("cret"), "{errors:?}");
    }

    #[track_caller]
    fn check_password(text: &str, pgpassword: Option<&str>, expected: Option<&str>) {
        let environment = Environment {
            vars: pgpassword
                .map(|value| ("PGPASSWORD".to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            os_user: None,
            home: Some(PathBuf::from("/home/u")),
            read_passfile: crate::config::ReadFile::new(|path| match path.to_str() {
                Some("/home/u/.pgpass") => {
                    FileContent::Text("localhost:*:*:*:file\nh:7:*:postgres:seven".to_owned())
                }
                Some("/other") => FileContent::Text("*:*:*:*:other".to_owned()),
                Some("/open") => FileContent::Refused("anyone may read it".to_owned()),
                _ => FileContent::Absent,
            }),
            ..Environment::default()
        };
        let hosts = hosts(text, &environment).unwrap();
        assert_eq!(
            hosts[0].password.as_ref().map(Secret::reveal),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn passwords_come_from_the_nearest_source() {
        check_password("password=p", Some("env"), Some("p"));
        check_password("host=h", Some("env"), Some("env"));
        check_password("", None, Some("file"));
        check_password("host=localhost", None, Some("file"));
        check_password("host=h port=7", None, Some("seven"));
        check_password("host=h port=7 user=other", None, None);
        check_password("host=h passfile=/other", None, Some("other"));
        check_password("host=h passfile=/open", None, None);
        check_password("host=h passfile=/none", None, None);
        check_password("password='' host=localhost", Some("env"), Some("file"));
    }
}
