//! Two servers and some that are none; how a case is put to psql and to a daemon, and what came of
//! it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use nix::unistd::{Uid, User};
use serde_json::{Value, json};

use crate::harness::blackhole::Blackhole;
use crate::harness::host::{Account, Host, give_to_server, server_account};
use crate::harness::postgres::{PASSWORD, append};
use crate::harness::{Cluster, Daemon, SOON, wait_until};

/// A connection string with what surrounds it, and what must come of it.
pub(super) struct Case {
    dsn: &'static str,
    env: &'static str,
    pgpass: Option<&'static str>,
    mode: u32,
    service: Option<&'static str>,
    libpq: Outcome,
    ours: Outcome,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// `user|database|server|ip`, or `socket` at its end.
    In(&'static str),
    /// This server has answered, and is not kept: one of the other role is wished for.
    Seen(&'static str),
    /// The server rejects the login, or is rejected.
    TurnedAway,
    /// There is no server.
    Unreached,
    /// Nothing was tried: the settings are invalid.
    Broken,
}

/// The same as found.
#[derive(PartialEq, Eq)]
pub(super) struct Found(Result<String, Outcome>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(place) => write!(f, "in as {place}"),
            Err(failure) => write!(f, "{failure:?}"),
        }
    }
}

pub(super) fn case(dsn: &'static str, expected: Outcome) -> Case {
    Case {
        dsn,
        env: "",
        pgpass: None,
        mode: 0o600,
        service: None,
        libpq: expected,
        ours: expected,
    }
}

impl Case {
    /// Environment variables, parted by blanks.
    pub(super) fn env(self, env: &'static str) -> Self {
        Self { env, ..self }
    }

    /// `~/.pgpass`.
    pub(super) fn pgpass(self, text: &'static str) -> Self {
        Self {
            pgpass: Some(text),
            ..self
        }
    }

    /// The mode of `~/.pgpass`.
    pub(super) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// `~/.pg_service.conf`, and `etc/pg_service.conf` beside the home directory.
    pub(super) fn service(self, text: &'static str) -> Self {
        Self {
            service: Some(text),
            ..self
        }
    }

    /// Ours differs, on purpose: see vendor-notes/differences.md.
    pub(super) fn ours(self, outcome: Outcome) -> Self {
        Self {
            ours: outcome,
            ..self
        }
    }

    pub(super) fn is_as_expected(&self, libpq: &Found, ours: &Found) -> bool {
        let same = |found: &Found, expected: Outcome| match (&found.0, expected) {
            (Ok(place), Outcome::In(expected)) => place == expected,
            (Err(failure), expected) => *failure == expected,
            _ => false,
        };
        same(libpq, self.libpq) && same(ours, self.ours)
    }

    pub(super) fn described(&self, world: &World) -> String {
        format!(
            "{:?} {} {:?} {:?}, expected {:?}",
            world.fill(self.dsn, 0),
            self.env,
            self.pgpass,
            self.libpq,
            self.ours
        )
    }
}

/// Servers, and addresses where there is none.
pub(super) struct World {
    pub(super) cluster: Cluster,
    words: BTreeMap<&'static str, String>,
    _hole: Blackhole,
    _silent: TcpListener,
}

impl World {
    pub(super) fn new() -> Option<Self> {
        let mut cluster = Cluster::prepare(&["s1"])?;
        let sockets = cluster.dir().join("sockets");
        // Names without a file are everybody's: this test's directory makes it its own.
        let test = cluster.dir().file_name().unwrap().to_string_lossy();
        let name = format!("pglookout-dsns-{}-{test}", std::process::id());
        fs::create_dir(&sockets).unwrap();
        give_to_server(&sockets);
        let setting = format!(
            "unix_socket_directories = '{}, @{name}'\nmax_connections = 200\n",
            sockets.display()
        );
        append(&cluster["p"].data.join("postgresql.conf"), &setting);
        append(
            &cluster["s1"].data.join("postgresql.conf"),
            "max_connections = 200\n",
        );
        for server in cluster.servers() {
            append(
                &server.data.join("pg_hba.conf"),
                "host all all 0.0.0.0/0 scram-sha-256\nlocal all all scram-sha-256\n",
            );
        }
        // A standby refuses more connections than the primary's control file knows of, so the
        // primary is first.
        cluster["p"].start();
        cluster["p"].query(r#"CREATE USER "o'brien \x" PASSWORD 'p ''w\'"#);
        cluster["p"].query("CREATE USER \"ümlaut\" PASSWORD 'pä@s/s:w%rd'");
        cluster["p"].query("CREATE DATABASE \"my db\"");
        cluster["s1"].start();
        cluster.wait_streaming(1);
        cluster.wait_caught_up("s1");
        let hole = Blackhole::open("hole", 5432).unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = server_account().map_or_else(Uid::effective, |(uid, _)| uid);
        let words = BTreeMap::from([
            ("p", cluster["p"].host.address.to_string()),
            ("s", cluster["s1"].host.address.to_string()),
            ("dead", Host::on_loopback("dead").address.to_string()),
            ("hole", hole.host.address.to_string()),
            ("silent", silent.local_addr().unwrap().port().to_string()),
            ("starting", refusing(Some("57P03")).to_string()),
            ("full", refusing(Some("53300")).to_string()),
            ("closing", refusing(None).to_string()),
            (
                "v6",
                relay(SocketAddr::from((cluster["p"].host.address, 5432))).to_string(),
            ),
            ("dir", sockets.display().to_string()),
            ("abstract", name),
            ("pw", PASSWORD.to_owned()),
            ("server", User::from_uid(server).unwrap().unwrap().name),
        ]);
        Some(Self {
            cluster,
            words,
            _hole: hole,
            _silent: silent,
        })
    }

    /// The text with everything in braces filled in.
    pub(super) fn fill(&self, text: &str, number: usize) -> String {
        // In a URL the directory's slash stands there already, percent-encoded.
        let encoded = format!(
            "%2F{}",
            self.words["dir"]
                .trim_start_matches('/')
                .replace('/', "%2F")
        );
        let text = text
            .replace("%2F{dir}", &encoded)
            .replace("{files}", &self.files(number).display().to_string());
        self.words.iter().fold(text, |text, (word, value)| {
            text.replace(&format!("{{{word}}}"), value)
        })
    }

    fn files(&self, number: usize) -> PathBuf {
        self.cluster.dir().join(format!("case{number}"))
    }

    /// Writes the case's files; its environment.
    fn surroundings(&self, number: usize, case: &Case) -> Vec<(String, String)> {
        let home = self.files(number).join("home");
        fs::create_dir_all(&home).unwrap();
        if let Some(text) = case.pgpass {
            let path = home.join(".pgpass");
            fs::write(&path, self.fill(text, number)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(case.mode)).unwrap();
        }
        if let Some(text) = case.service {
            let system = self.files(number).join("etc");
            fs::create_dir_all(&system).unwrap();
            for path in [
                home.join(".pg_service.conf"),
                system.join("pg_service.conf"),
            ] {
                fs::write(path, self.fill(text, number)).unwrap();
            }
        }
        let home = [("HOME".to_owned(), home.display().to_string())];
        let further = case.env.split(' ').filter_map(|pair| pair.split_once('='));
        home.into_iter()
            .chain(further.map(|(name, value)| (name.to_owned(), self.fill(value, number))))
            .collect()
    }

    /// A daemon that watches this alone.
    pub(super) fn watch(&self, number: usize, case: &Case) -> Daemon {
        let config = json!({
            "remote_conns": {"n": self.fill(case.dsn, number)},
            "db_poll_interval": 60.0,
            "poll_timeout": 8.0,
        });
        let name = format!("case{number}");
        let mut daemon = Daemon::prepare(Host::on_loopback(&name), self.cluster.dir(), config);
        daemon.variables = self.surroundings(number, case);
        daemon.variables.push(("PGAPPNAME".to_owned(), name));
        let log = fs::File::create(daemon.log_path()).unwrap();
        daemon.start_with_stderr(log.into());
        daemon
    }

    /// The outcome of the daemon's first poll as the servers show it, and the log.
    pub(super) fn outcome(&self, number: usize, daemon: &mut Daemon) -> (Found, String) {
        let mut state = Value::Null;
        wait_until(&format!("case {number} was polled"), SOON, || {
            state = daemon.state();
            !daemon.is_running() || state["n"]["connection"].is_boolean()
        });
        let log = daemon.log();
        if state["n"]["connection"] == true {
            let question = format!("{WHERE} WHERE application_name = 'case{number}'");
            let places: Vec<String> = self
                .cluster
                .servers()
                .map(|server| server.query(&question))
                .collect();
            let server = if state["n"]["pg_is_in_recovery"] == true {
                "s1"
            } else {
                "p"
            };
            let place = Some(places.concat()).filter(|place| !place.is_empty());
            return (Found(place.ok_or(Outcome::Seen(server))), log);
        }
        let last = log
            .lines()
            .rfind(|line| line.contains("node n: "))
            .unwrap_or_default();
        let failure = match () {
            () if !daemon.is_running() => Outcome::Broken,
            () if ["authentication rejected", "rejected by the server"]
                .iter()
                .any(|words| last.contains(words)) =>
            {
                Outcome::TurnedAway
            }
            () => Outcome::Unreached,
        };
        (Found(Err(failure)), log)
    }

    /// The same of psql.
    pub(super) fn psql(&self, number: usize, case: &Case) -> (Found, String) {
        let mut psql = Host::on_loopback("psql").command("timeout", Account::Own);
        psql.arg("20")
            .arg(&self.cluster.postgres.psql)
            .args(["-X", "-q", "-A", "-t", "-w"]);
        psql.envs(self.surroundings(number, case))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        let output = psql.args(["-d", &self.fill(case.dsn, number), "-c"]);
        let output = output
            .arg(format!("{WHERE} WHERE pid = pg_backend_pid()"))
            .output()
            .unwrap();
        if output.status.success() {
            return (
                Found(Ok(String::from_utf8(output.stdout)
                    .unwrap()
                    .trim()
                    .to_owned())),
                String::new(),
            );
        }
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        let reports = |words: &[&str]| words.iter().any(|words| printed.contains(words));
        let failure = match () {
            () if reports(&[
                "FATAL",
                "no password supplied",
                "session is",
                "server is",
                "peer user",
            ]) =>
            {
                Outcome::TurnedAway
            }
            () if reports(&[
                "could not translate",
                "could not parse network",
                "refused",
                "timeout expired",
                "No such file",
            ]) || reports(&["closed the connection"]) =>
            {
                Outcome::Unreached
            }
            () => Outcome::Broken,
        };
        (Found(Err(failure)), printed)
    }
}

const WHERE: &str = "SELECT usename, datname, current_setting('cluster_name'), \
    CASE WHEN client_addr IS NULL THEN 'socket' ELSE 'ip' END FROM pg_stat_activity";

/// A port on 127.0.0.1 where whoever comes gets this error, or none, before the connection is
/// closed.
fn refusing(sqlstate: Option<&'static str>) -> u16 {
    serve(
        TcpListener::bind("127.0.0.1:0").unwrap(),
        move |mut stream| {
            let Some(sqlstate) = sqlstate else { return };
            let mut message = [0; 1024];
            // First it is asked whether it encrypts (the request has 8 bytes), then comes the
            // start-up message.
            while let Ok(length) = stream.read(&mut message) {
                let answer = match length {
                    0 => return,
                    8 => b"N".to_vec(),
                    _ => error_response(sqlstate),
                };
                if stream.write_all(&answer).is_err() || length != 8 {
                    return;
                }
            }
        },
    )
}

/// Protocol, "ErrorResponse".
fn error_response(sqlstate: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0Mnot now\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    [b"E", length.as_slice(), fields.as_bytes()].concat()
}

/// A port on `::1` that leads to a server: those of the tests have IPv4 addresses of their own.
fn relay(target: SocketAddr) -> u16 {
    serve(
        TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(),
        move |stream| {
            let Ok(server) = TcpStream::connect(target) else {
                return;
            };
            let (mut from_client, mut to_server) =
                (stream.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Write);
            });
            let (mut from_server, mut to_client) = (server, stream);
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(std::net::Shutdown::Both);
        },
    )
}

fn serve(listener: TcpListener, each: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    port
}
