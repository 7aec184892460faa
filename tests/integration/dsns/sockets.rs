//! `keepalives*` and `tcp_user_timeout`, read back from the sockets of the daemon and of psql
//! themselves.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Stdio;

use nix::sys::socket::{SockaddrIn, getpeername, getsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::host::{Account, Host};
use crate::harness::{Cluster, Daemon, SOON, wait_until};

/// `SO_KEEPALIVE`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`, `TCP_USER_TIMEOUT`.
type Options = (bool, u32, u32, u32, u32);

const CASES: [&str; 6] = [
    "",
    "keepalives=0",
    "keepalives=0 keepalives_idle=9",
    "keepalives_idle=77 keepalives_interval=7 keepalives_count=3 tcp_user_timeout=12345",
    "keepalives=1 tcp_user_timeout=0",
    "keepalives_count=5 connect_timeout=3",
];

#[test]
fn keepalives_reach_the_sockets_as_with_libpq() {
    let Some(cluster) = Cluster::start(&[]) else {
        return;
    };
    let address = cluster["p"].host.address;
    let mut seen = Vec::new();
    for (number, keywords) in CASES.iter().enumerate() {
        let dsn = format!(
            "{} {keywords}",
            crate::harness::fleet::conninfo(&cluster["p"])
        );
        let mut daemon = Daemon::prepare(
            Host::on_loopback(&format!("keep{number}")),
            cluster.dir(),
            json!({"remote_conns": {"p": dsn}}),
        );
        daemon.start();
        let mut psql = Host::on_loopback("psql").command(&cluster.postgres.psql, Account::Own);
        psql.args(["-X", "-d", &dsn, "-c", "SELECT pg_sleep(60)"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut psql = psql.spawn().unwrap();
        let libpq = Pid::from_raw(psql.id() as i32);
        let (mut ours, mut theirs) = (None, None);
        // Options are set when the connection is begun: who has a peer has them.
        wait_until("both are connected", SOON, || {
            ours = options(daemon.pid(), address);
            theirs = options(libpq, address);
            ours.is_some() && theirs.is_some()
        });
        psql.kill().and_then(|()| psql.wait()).unwrap();
        assert_eq!(ours, theirs, "{keywords}");
        seen.push(ours.unwrap());
    }
    assert_eq!(seen[3], (true, 77, 7, 3, 12345));
    assert!(!seen[1].0 && seen[0].0 && seen[5].3 == 5, "{seen:?}");
}

/// Those of the process's connection to this address.
fn options(process: Pid, address: Ipv4Addr) -> Option<Options> {
    let held = open_process(process)?;
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let sockets = descriptors.filter(|entry| {
        fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    });
    let mut copies =
        sockets.filter_map(|entry| copy(&held, entry.file_name().to_str()?.parse().ok()?));
    let socket = copies.find(|socket| {
        getpeername::<SockaddrIn>(socket.as_raw_fd())
            .is_ok_and(|peer| peer.ip() == address && peer.port() == 5432)
    })?;
    Some((
        getsockopt(&socket, sockopt::KeepAlive).ok()?,
        getsockopt(&socket, sockopt::TcpKeepIdle).ok()?,
        getsockopt(&socket, sockopt::TcpKeepInterval).ok()?,
        getsockopt(&socket, sockopt::TcpKeepCount).ok()?,
        getsockopt(&socket, sockopt::TcpUserTimeout).ok()?,
    ))
}

fn open_process(process: Pid) -> Option<OwnedFd> {
    // SAFETY: plain numbers; the descriptor is new and owned from here on.
    unsafe { owned(libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0)) }
}

/// A copy of another process's descriptor.
fn copy(process: &OwnedFd, descriptor: i32) -> Option<OwnedFd> {
    // SAFETY: an open descriptor and plain numbers; the copy is new and owned from here on.
    unsafe {
        owned(libc::syscall(
            libc::SYS_pidfd_getfd,
            process.as_raw_fd(),
            descriptor,
            0,
        ))
    }
}

/// # Safety
/// `result` is what a system call gave that makes a descriptor.
unsafe fn owned(result: libc::c_long) -> Option<OwnedFd> {
    let descriptor = i32::try_from(result)
        .ok()
        .filter(|descriptor| *descriptor >= 0)?;
    // SAFETY: as promised, new and nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
