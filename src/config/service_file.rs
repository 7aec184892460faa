//! libpq's connection service files (`pg_service.conf`): keywords under a name, for `service=NAME`.
//! LDAP is not asked.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::{Environment, FileContent};
use super::keywords::{Keywords, find, is_blank};
use super::problem::{Findings, shown_text};

/// What a service file says under one name.
pub(super) struct Service {
    name: String,
    file: PathBuf,
    pub(super) keywords: Keywords,
}

/// The service that a connection names; `None`: it names none, or it cannot be had, which was
/// reported.
///
/// In libpq's order: the file that is named, by `servicefile` or `PGSERVICEFILE`, else the one of
/// the home directory; then the system's.
pub(super) fn look_up(
    path: &str,
    given: &Keywords,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<Service> {
    let variable = |name| environment.vars.get(name).map(String::as_str);
    let (name, label) = match given.value("service") {
        Some(name) => (name, format!("{path}.service")),
        None => (variable("PGSERVICE")?, format!("PGSERVICE (for {path})")),
    };
    let service = in_files(
        name,
        given
            .value("servicefile")
            .or_else(|| variable("PGSERVICEFILE")),
        environment,
    );
    let shown = given.may_show("service").then(|| shown_text(name));
    service
        .map_err(|message| findings.error(label, shown, message))
        .ok()
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {} in {}", self.name, self.file.display())
    }
}

fn in_files(name: &str, named: Option<&str>, environment: &Environment) -> Result<Service, String> {
    let mut files = Vec::new();
    match (named, &environment.home) {
        (Some(named), _) => files.push(PathBuf::from(named)),
        (None, Some(home)) => files.push(home.join(".pg_service.conf")),
        (None, None) => {}
    }
    match environment.vars.get("PGSYSCONFDIR") {
        Some(directory) => files.push(Path::new(directory).join(SYSTEM_FILE)),
        None => {
            files.extend(SYSTEM_DIRECTORIES.map(|directory| Path::new(directory).join(SYSTEM_FILE)))
        }
    }
    for (at, file) in files.iter().enumerate() {
        let text = match environment.read_service_file.read(file) {
            FileContent::Absent if at == 0 && named.is_some() => {
                return Err(format!("there is no {}", file.display()));
            }
            FileContent::Absent => continue,
            FileContent::Refused(reason) => return Err(reason),
            FileContent::Text(text) => text,
        };
        let found = in_text(&text, name)
            .map_err(|(line, message)| format!("{}, line {line}: {message}", file.display()))?;
        if let Some(keywords) = found {
            return Ok(Service {
                name: name.to_owned(),
                file: file.clone(),
                keywords,
            });
        }
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Err(format!("no such service in {}", files.join(", ")))
}

/// The keywords under `[name]`. Values stand as they are, without quotes; of a keyword that stands
/// twice the first counts.
fn in_text(text: &str, name: &str) -> Result<Option<Keywords>, (usize, &'static str)> {
    let mut found: Option<Keywords> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_matches(is_blank);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            let is_it = heading
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(']'));
            found = is_it.then(Keywords::default);
        } else if let Some(keywords) = &mut found {
            let (keyword, value) = pair(line).map_err(|message| (at.saturating_add(1), message))?;
            if keywords.value(keyword).is_none() {
                keywords.set(keyword, value);
            }
        }
    }
    Ok(found)
}

/// No message shows any of the line: it may be part of a password.
fn pair(line: &str) -> Result<(&str, &str), &'static str> {
    if line.starts_with("ldap") {
        return Err("services from LDAP are not supported");
    }
    match line.split_once('=') {
        Some(("service" | "servicefile", _)) => Err("a service cannot name another one"),
        Some((keyword, _)) if find(keyword).is_none() => {
            Err("what stands before the \"=\" is no libpq keyword")
        }
        Some((_, value)) if value.contains('\0') => Err("holds a NUL character"),
        Some(pair) => Ok(pair),
        None => Err("expected keyword=value"),
    }
}

const SYSTEM_FILE: &str = "pg_service.conf";
/// Where libpq looks for it, as Debian's packages and PostgreSQL's own for Red Hat are built.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

#[cfg(test)]
mod tests {
    use super::super::ConnInfo;
    use super::super::resolve::resolve;
    use super::*;

    const TEXT: &str = "\
stray line that is nobody's
[other]
host=other
[a]
 # a comment
host=h1
host=h2
  port=7\t
dbname=it's ; = [x] \\
[a]
user=never
[empty]
[broken]
host
[nested]
service=a
[unknown]
Secret = x
[ldap]
ldap://h/dc=x
";

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment {
            vars: vars
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            home: Some(PathBuf::from("/home/u")),
            read_service_file: crate::config::ReadFile::new(|path| match path.to_str() {
                Some("/home/u/.pg_service.conf") => FileContent::Text(TEXT.to_owned()),
                Some("/etc/postgresql-common/pg_service.conf") => {
                    FileContent::Text("[a]\nhost=no\n[system]\nhost=debian".to_owned())
                }
                Some("/etc/sysconfig/pgsql/pg_service.conf") => {
                    FileContent::Text("[redhat]\nhost=rh".to_owned())
                }
                Some("/sys/pg_service.conf") => {
                    FileContent::Text("[system]\nhost=elsewhere\nport=x".to_owned())
                }
                Some("/named") => FileContent::Text("[b]\nhost=named\npassword=xyzzy".to_owned()),
                Some("/pipe") => FileContent::Refused("/pipe: not a regular file".to_owned()),
                _ => FileContent::Absent,
            }),
            ..Environment::default()
        }
    }

    fn resolved(text: &str, vars: &[(&str, &str)]) -> Result<ConnInfo, Vec<String>> {
        let mut findings = Findings::default();
        let info = resolve(
            "n",
            &Keywords::parse(text).unwrap(),
            &environment(vars),
            &mut findings,
        );
        info.ok_or_else(|| findings.errors.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn check(text: &str, vars: &[(&str, &str)], expected: &str) {
        assert_eq!(resolved(text, vars).unwrap().masked(), expected, "{text:?}");
    }

    #[test]
    fn what_was_written_goes_first_then_the_service_then_the_environment() {
        let vars = [("PGPORT", "9"), ("PGUSER", "env")];
        check(
            "service=a",
            &vars,
            r"host=h1 port=7 dbname='it\'s ; = [x] \\' user=env; no password",
        );
        check(
            "service=a host=x dbname=d",
            &vars,
            "host=x port=7 dbname=d user=env; no password",
        );
        check(
            "service=empty",
            &vars,
            "host=/var/run/postgresql port=9 dbname=env user=env; no password",
        );
        check(
            "dbname=d",
            &[("PGSERVICE", "a")],
            "host=h1 port=7 dbname=d user=postgres; no password",
        );
        check(
            "service=other",
            &[("PGSERVICE", "a")],
            "host=other port=5432 dbname=postgres user=postgres; no password",
        );
    }

    #[test]
    fn the_named_file_or_the_users_own_goes_before_the_systems() {
        let from = |host: &str| {
            format!("host={host} port=5432 dbname=postgres user=postgres; no password")
        };
        check("service=system", &[], &from("debian"));
        check("service=redhat", &[], &from("rh"));
        check(
            "service=system port=5432",
            &[("PGSYSCONFDIR", "/sys")],
            &from("elsewhere"),
        );
        check(
            "service=system",
            &[("PGSERVICEFILE", "/named")],
            &from("debian"),
        );
        let named = "host=named port=5432 dbname=postgres user=postgres; hidden password";
        check("service=b", &[("PGSERVICEFILE", "/named")], named);
        check(
            "service=b servicefile=/named",
            &[("PGSERVICEFILE", "/pipe")],
            named,
        );
    }

    #[track_caller]
    fn check_errors(text: &str, vars: &[(&str, &str)], expected: &str) {
        assert_eq!(resolved(text, vars).unwrap_err(), [expected], "{text:?}");
    }

    #[test]
    fn a_service_that_cannot_be_had_is_an_error_that_shows_no_value() {
        let at = "/home/u/.pg_service.conf, line";
        let broken = |service: &str, line: u32, why: &str| {
            check_errors(
                &format!("service={service}"),
                &[],
                &format!("n.service is {service:?}: {at} {line}: {why}"),
            );
        };
        broken("broken", 14, "expected keyword=value");
        broken("nested", 16, "a service cannot name another one");
        broken(
            "unknown",
            18,
            "what stands before the \"=\" is no libpq keyword",
        );
        broken("ldap", 20, "services from LDAP are not supported");
        let nowhere = "no such service in /home/u/.pg_service.conf, /sys/pg_service.conf";
        check_errors(
            "",
            &[("PGSERVICE", "x"), ("PGSYSCONFDIR", "/sys")],
            &format!("PGSERVICE (for n) is \"x\": {nowhere}"),
        );
        check_errors(
            "service=x",
            &[("PGSERVICEFILE", "/none")],
            "n.service is \"x\": there is no /none",
        );
        check_errors(
            "service=x servicefile=/pipe",
            &[],
            "n.service is \"x\": /pipe: not a regular file",
        );
        let port = "port of service system in /sys/pg_service.conf (for n) is \"x\": expected a port number from 1 to 65535";
        check_errors("service=system", &[("PGSYSCONFDIR", "/sys")], port);
    }
}
