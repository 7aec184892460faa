//! Servers that encrypt, daemons that watch one server in many ways, and psql's view of the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::certificates::{Pair, write_for_server};
use crate::harness::host::{Account, Host};
use crate::harness::node::Server;
use crate::harness::postgres::{PASSWORD, Postgres, USER, append};
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{Daemon, SOON, or_skip, wait_until};

/// What every server of these tests is called.
pub(super) const NAME: &str = "db.example";

/// Servers by name, and a directory for files of ours.
pub(super) struct Servers {
    servers: BTreeMap<String, Server>,
    pub(super) dir: TestDir,
    pub(super) postgres: &'static Postgres,
}

impl Servers {
    pub(super) fn new() -> Option<Self> {
        let postgres = or_skip(Postgres::here())?;
        Some(Self {
            servers: BTreeMap::new(),
            dir: TestDir::new(),
            postgres,
        })
    }

    /// Starts a server. `pair`: its certificate for a host at the address given; `None`: it does
    /// not encrypt. `hba`: the one line of `pg_hba.conf` that is for the daemons' account, after
    /// its type.
    pub(super) fn start(
        &mut self,
        name: &str,
        pair: impl FnOnce(&str) -> Option<Pair>,
        hba: &str,
        settings: &str,
    ) -> &Server {
        let host = Host::on_loopback(name);
        let pair = pair(&host.address.to_string());
        let data = self.dir.path().join(name);
        let mut server = Server::new(self.postgres, host, data);
        server.copy_template(&self.postgres.template, None);
        if let Some(pair) = pair {
            write_for_server(&server.data, "server.crt", &pair.certificate);
            write_for_server(&server.data, "server.key", &pair.key);
            append(&server.data.join("postgresql.conf"), "ssl = on\n");
        }
        append(&server.data.join("postgresql.conf"), settings);
        let lines = format!("host all postgres 0.0.0.0/0 trust\n{hba}\n");
        write_for_server(&server.data, "pg_hba.conf", &lines);
        server.start();
        self.servers.entry(name.to_owned()).or_insert(server)
    }

    pub(super) fn server(&self, name: &str) -> &Server {
        &self.servers[name]
    }

    /// How to reach a server by its name in certificates, with further keywords.
    pub(super) fn conninfo(&self, server: &str, keywords: &str) -> String {
        let address = self.server(server).host.address;
        let host = if keywords.starts_with("host=") {
            ""
        } else {
            &format!("host={NAME} ")
        };
        format!(
            "hostaddr={address} dbname=postgres user={USER} password={PASSWORD} {host}{keywords}"
        )
    }

    /// Does psql get in; if so, encrypted or not.
    pub(super) fn psql(&self, conninfo: &str) -> Result<bool, String> {
        let mut psql = Host::on_loopback("psql").command("timeout", Account::Own);
        psql.arg("20")
            .arg(&self.postgres.psql)
            .args(["-X", "-q", "-A", "-t"])
            .env("HOME", self.dir.path());
        let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let answer = run(psql.args(["-d", conninfo, "-c", question]));
        answer
            .map(|answer| answer == "t")
            .map_err(|error| error.to_string())
    }

    /// A daemon that watches these connections under these names; started, and each was polled at
    /// least once.
    pub(super) fn watch(&self, nodes: &[(&str, String)]) -> Daemon {
        let connections: BTreeMap<&str, &str> = nodes
            .iter()
            .map(|(name, conninfo)| (*name, conninfo.as_str()))
            .collect();
        let config =
            json!({ "remote_conns": connections, "db_poll_interval": 0.5, "poll_timeout": 5.0 });
        let mut daemon = Daemon::prepare(Host::on_loopback("watch"), self.dir.path(), config);
        daemon
            .variables
            .push(("HOME".to_owned(), self.dir.path().display().to_string()));
        daemon.start();
        wait_until("every node was polled", SOON, || {
            let state = daemon.state();
            nodes
                .iter()
                .all(|(name, _)| state[*name]["connection"].is_boolean())
        });
        daemon
    }
}

/// Whether the daemon has reached the node, and if so encrypted or not: by the server's own word.
pub(super) fn outcome(daemon: &Daemon, server: &Server, node: &str) -> Result<bool, String> {
    if daemon.state()[node]["connection"] == true {
        let question = format!(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = '{node}'"
        );
        return Ok(server.query(&question) == "t");
    }
    Err(complaint(daemon, node))
}

/// The last line of the log about a node.
pub(super) fn complaint(daemon: &Daemon, node: &str) -> String {
    let mark = format!("node {node}: ");
    daemon
        .log()
        .lines()
        .rfind(|line| line.contains(&mark))
        .unwrap_or_default()
        .to_owned()
}

/// A node that is watched, and what must come of it.
pub(super) struct Case {
    /// Name of the node and of the application.
    pub(super) node: String,
    pub(super) server: &'static str,
    pub(super) conninfo: String,
    /// Encrypted or not, or what the log must say.
    pub(super) expected: Result<bool, &'static str>,
}

/// Watches all cases at once. Each must come to what is expected, and psql to the same, reasons
/// aside.
#[track_caller]
pub(super) fn check_all(servers: &Servers, cases: &[Case]) {
    let nodes: Vec<(&str, String)> = cases
        .iter()
        .map(|case| {
            (
                case.node.as_str(),
                format!("{} application_name={}", case.conninfo, case.node),
            )
        })
        .collect();
    let daemon = servers.watch(&nodes);
    let mut wrong = Vec::new();
    for case in cases {
        let found = outcome(&daemon, servers.server(case.server), &case.node);
        let is_right = match (&found, case.expected) {
            (Ok(found), Ok(expected)) => *found == expected,
            (Err(found), Err(expected)) => found.contains(expected),
            _ => false,
        };
        let libpq = servers.psql(&case.conninfo);
        if !is_right || libpq.as_ref().ok() != found.as_ref().ok() {
            wrong.push(format!(
                "{}: {found:?}, not {:?}; libpq: {libpq:?}",
                case.conninfo, case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The path of a file, for a connection string.
pub(super) fn at(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// The value of an entry of `/state.json`.
pub(super) fn connected(daemon: &Daemon, node: &str) -> Value {
    daemon.state()[node]["connection"].clone()
}
