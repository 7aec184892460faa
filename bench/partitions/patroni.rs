//! Patroni as the system that is tried: one beside each server, with etcd on one host or more. There is no
//! watchdog, and no failsafe mode unless it is asked for, as by default.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde_json::{Value, json};

use super::etcd::{self, Etcd};
use super::system::{Setup, System};
use super::world::{SERVERS, takes_writes, wait_until};
use crate::harness::Cluster;
use crate::harness::host::{Account, give_to_server};
use crate::harness::postgres::which;
use crate::harness::run_dir::{Ended, run};
use crate::support::{Arguments, page};

/// How it is set.
pub struct Patroni {
    /// On how many hosts etcd is.
    etcd: usize,
    times: Times,
    /// Whether a primary that reaches all other servers goes on without etcd.
    failsafe: bool,
}

/// `ttl`, `loop_wait`, `retry_timeout`, in seconds.
#[derive(Clone, Copy)]
struct Times([u32; 3]);

/// It runs.
struct Running {
    members: Vec<Ended>,
    etcd: Etcd,
}

impl Patroni {
    /// `--etcd`, `--times` and `--failsafe`.
    pub fn read(arguments: &Arguments) -> Self {
        let etcd = arguments.number("etcd", 3);
        assert!([1, 3, 5].contains(&etcd), "--etcd {etcd}: not 1, 3 or 5");
        Self {
            etcd,
            times: arguments.number("times", Times::FAST),
            failsafe: arguments.number("failsafe", false),
        }
    }
}

impl fmt::Display for Patroni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "?".to_owned();
        let patroni = program().and_then(|program| version(&program));
        let [ttl, loop_wait, retry_timeout] = self.times.0;
        write!(
            f,
            "{}, etcd {} on {}, ttl {ttl}, loop_wait {loop_wait}, retry_timeout {retry_timeout}{}",
            patroni.unwrap_or_else(unknown),
            etcd::version().unwrap_or_else(unknown),
            self.voters().join(" "),
            if self.failsafe { ", failsafe mode" } else { "" },
        )
    }
}

impl Setup for Patroni {
    fn missing(&self) -> Option<String> {
        let mut missing = Vec::new();
        if etcd::version().is_none() {
            missing.push(NO_ETCD);
        }
        if program().and_then(|program| version(&program)).is_none() {
            missing.push(NO_PATRONI);
        }
        (!missing.is_empty()).then(|| missing.join("\n"))
    }

    fn least_hold(&self) -> f64 {
        let [ttl, loop_wait, retry_timeout] = self.times.0.map(f64::from);
        // The lock has run out, each standby has noticed it and looked at the others.
        ttl + 2.0 * (loop_wait + retry_timeout) + 6.0
    }

    fn voters(&self) -> &[&'static str] {
        &ETCD_ON[..self.etcd]
    }

    fn does_fence(&self) -> bool {
        !self.failsafe
    }

    /// The data directories are copies of one template, the standbys' are marked as such: Patroni takes
    /// over a cluster that exists.
    fn start(&self, cluster: &mut Cluster) -> Box<dyn System> {
        let etcd = Etcd::start(cluster, self.voters());
        let mut running = Running {
            members: Vec::new(),
            etcd,
        };
        for name in SERVERS {
            let config = self.config(cluster, name, &running.etcd.addresses());
            running.members.push(start(cluster, name, &config));
            if name == SERVERS[0] {
                wait_until("the first server is the primary", || {
                    takes_writes(cluster, name)
                });
            }
        }
        running.wait_settled(cluster);
        Box::new(running)
    }
}

impl Patroni {
    fn config(&self, cluster: &Cluster, name: &str, etcd: &[String]) -> Value {
        let server = &cluster[name];
        let [ttl, loop_wait, retry_timeout] = self.times.0;
        let address = |port: u16| format!("{}:{port}", server.host.address);
        let superuser = json!({"username": "postgres"});
        json!({
            "scope": "main",
            "name": name,
            "restapi": {"listen": address(REST), "connect_address": address(REST)},
            "etcd3": {"hosts": etcd},
            "bootstrap": {"dcs": {
                "ttl": ttl,
                "loop_wait": loop_wait,
                "retry_timeout": retry_timeout,
                "failsafe_mode": self.failsafe,
                "postgresql": {
                    "use_pg_rewind": true,
                    // As in the template, which has all other settings.
                    "parameters": {"max_connections": 20, "max_wal_senders": 6},
                },
            }},
            "postgresql": {
                "listen": address(5432),
                "connect_address": address(5432),
                "data_dir": server.data,
                "bin_dir": cluster.postgres.programs,
                "authentication": {
                    "superuser": superuser, "replication": superuser, "rewind": superuser,
                },
            },
        })
    }
}

impl System for Running {
    /// It takes no writes: Patroni starts a primary that it has stopped again, as a standby.
    fn is_fenced(&self, cluster: &Cluster, server: &str) -> bool {
        !takes_writes(cluster, server)
    }

    /// Patroni does it by itself, and may change the primary once more.
    fn mend(&mut self, cluster: &mut Cluster, _: &str) -> String {
        self.wait_settled(cluster)
    }
}

impl Running {
    /// Waits until etcd is whole, and every Patroni sees the same primary and two standbys that stream;
    /// who that primary is.
    fn wait_settled(&self, cluster: &Cluster) -> String {
        self.etcd.wait_healthy();
        let mut primary = String::new();
        wait_until("every Patroni knows the whole cluster", || {
            let leaders = SERVERS.map(|name| {
                let page = page::json(cluster.host(name), REST, "/cluster");
                leader_of_all(&page).unwrap_or_default()
            });
            primary.clone_from(&leaders[0]);
            !primary.is_empty()
                && leaders.iter().all(|leader| *leader == primary)
                && takes_writes(cluster, &primary)
        });
        primary
    }
}

/// Whom all members that this page shows follow; `None` while one of them does not.
fn leader_of_all(cluster: &Value) -> Option<String> {
    let members = cluster["members"].as_array()?;
    let is_leader = |member: &&Value| member["role"] == "leader";
    let is_fine = |member: &&Value| {
        let state = if is_leader(member) {
            "running"
        } else {
            "streaming"
        };
        member["state"] == state
    };
    let leader = members.iter().find(is_leader)?["name"].as_str()?;
    let is_whole = members.iter().filter(is_fine).count() == SERVERS.len();
    is_whole.then(|| leader.to_owned())
}

/// One beside this server; what it and the server write goes to the server's log.
fn start(cluster: &Cluster, name: &str, config: &Value) -> Ended {
    let server = &cluster[name];
    let dir = cluster.dir().join(format!("{name}.daemon"));
    fs::create_dir(&dir).expect("a directory for Patroni");
    give_to_server(&dir);
    let path = dir.join("patroni.yml");
    // All JSON is YAML.
    fs::write(&path, config.to_string()).expect("the configuration of Patroni");
    let log = File::create(server.log()).expect("the server's log");
    let stdout = log.try_clone().expect("the server's log");
    let mut command = server
        .host
        .command(program().expect("Patroni"), Account::Server);
    command.arg(path).current_dir(&dir).env("HOME", &dir);
    command.stdin(Stdio::null()).stdout(stdout).stderr(log);
    Ended(command.spawn().expect("the patroni program"))
}

/// `PATRONI`, the one in PATH, or where the command below installs it.
fn program() -> Option<PathBuf> {
    let installed = PathBuf::from("/opt/patroni/bin/patroni");
    let named = std::env::var_os("PATRONI").map(PathBuf::from);
    let named = named.or_else(|| which("patroni"));
    named.or_else(|| Some(installed).filter(|path| path.exists()))
}

/// Such as `patroni 4.1.5`.
fn version(program: &Path) -> Option<String> {
    run(Command::new(program).arg("--version")).ok()
}

impl Times {
    /// The least that Patroni takes.
    const FAST: Self = Self([20, 1, 3]);
    const DEFAULT: Self = Self([30, 10, 10]);
}

/// `fast`, `default`, or three numbers with `/` between.
impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fast" => return Ok(Self::FAST),
            "default" => return Ok(Self::DEFAULT),
            _ => {}
        }
        let times: Option<Vec<u32>> = text.split('/').map(|text| text.parse().ok()).collect();
        let times = times.and_then(|times| times.try_into().ok());
        times
            .map(Self)
            .ok_or_else(|| format!("{text}: not three times"))
    }
}

/// In this order: the hosts that do nothing else before those of servers, whose disks the servers use. So
/// one etcd has a host of its own, and of three the loss of any one host leaves two.
const ETCD_ON: [&str; 5] = ["o", "o2", "s2", "s1", "p"];
/// Where Patroni answers.
const REST: u16 = 8008;
const NO_ETCD: &str = "there is no etcd (or ETCD=path): apt-get install etcd-server";
const NO_PATRONI: &str = "there is no Patroni (or PATRONI=path): /usr/bin/python3 -m venv /opt/patroni && \
    /opt/patroni/bin/pip install 'patroni[etcd3]' 'psycopg[binary]'";
