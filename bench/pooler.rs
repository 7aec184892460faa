//! Real PostgreSQL instead of the stubs: a primary and a standby behind one pgbouncer, which looks
//! like any number of nodes.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use crate::harness::cluster::PRIMARY;
use crate::harness::host::{Account, give_to_server};
use crate::harness::postgres::{PASSWORD, USER, which};
use crate::harness::run_dir::Ended;
use crate::harness::{Cluster, or_skip};

/// It listens at every address of loopback, and knows the databases that `Daemon::start` names.
pub struct Pooler {
    pub port: u16,
    _process: Ended,
    _cluster: Cluster,
}

impl Pooler {
    /// `None`: it cannot run here, which was printed.
    pub fn start() -> Option<Self> {
        let program = which("pgbouncer").ok_or_else(|| "there is no pgbouncer here".to_owned());
        let program = or_skip(program)?;
        let cluster = Cluster::start(&["s1"])?;
        let free = TcpListener::bind(("0.0.0.0", 0)).expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let database = |name: &str, server: &str| {
            let host = cluster[server].host.address;
            format!("{name} = host={host} dbname=postgres user={USER} password={PASSWORD}\n")
        };
        let text = format!(
            "[databases]\n{}{}[pgbouncer]\nlisten_addr = 0.0.0.0\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             max_client_conn = 10000\ndefault_pool_size = 10\n",
            database("primary", PRIMARY),
            database("standby", "s1"),
        );
        let ini = cluster.dir().join("pgbouncer.ini");
        fs::write(&ini, text).expect("its configuration");
        give_to_server(cluster.dir());
        let mut pgbouncer = cluster.observer.command(program, Account::Server);
        pgbouncer.arg("-q").arg(&ini).current_dir(cluster.dir());
        pgbouncer.stdin(Stdio::null()).stderr(Stdio::null());
        let process = Ended(pgbouncer.spawn().expect("pgbouncer"));
        Some(Self {
            port,
            _process: process,
            _cluster: cluster,
        })
    }
}
