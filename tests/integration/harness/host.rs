//! A host: an address, and perhaps a network namespace of its own. Starts programs there and opens
//! connections there.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::{Gid, Uid, User, chown};

use super::run_dir::run_dir;

/// Where a node, a daemon or both live.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    /// The name of its network namespace; without one it is an address of the loopback interface.
    pub(crate) namespace: Option<String>,
}

/// Whose rights a program has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// Those of who runs the tests.
    Own,
    /// Those of `server_account`: PostgreSQL refuses to run as root.
    Server,
}

impl Host {
    /// An address of the loopback network that no other test, also of another run at the same time,
    /// uses.
    pub(crate) fn on_loopback(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (run, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let octets = [
            1 + run % 250,
            (run / 250) % 50 * 5 + count / 250,
            1 + count % 250,
        ]
        .map(|octet| octet as u8);
        Self {
            name: name.to_owned(),
            address: Ipv4Addr::new(127, octets[0], octets[1], octets[2]),
            namespace: None,
        }
    }

    /// A program that will run on this host and die with the thread that starts it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, account: Account) -> Command {
        let namespace = self
            .namespace
            .as_deref()
            .map(|name| open_namespace(name).expect("the namespace of this host"));
        let drop_to = server_account().filter(|_| account == Account::Server);
        let mut command = Command::new(program);
        command.current_dir(run_dir()).env_remove("NOTIFY_SOCKET");
        // SAFETY: only system calls between fork and exec; the descriptor is open as long as the
        // closure lives.
        unsafe {
            command.pre_exec(move || {
                if let Some(namespace) = &namespace {
                    enter(namespace)?;
                }
                if let Some((uid, gid)) = drop_to {
                    check(libc::setgroups(1, [gid.as_raw()].as_ptr()))?;
                    check(libc::setgid(gid.as_raw()))?;
                    check(libc::setuid(uid.as_raw()))?;
                }
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
            });
        }
        command
    }

    /// Opens a TCP connection from this host.
    pub(crate) fn connect(&self, port: u16, limit: Duration) -> io::Result<TcpStream> {
        let target = SocketAddr::from((self.address, port));
        let Some(name) = &self.namespace else {
            return TcpStream::connect_timeout(&target, limit);
        };
        // A socket keeps the namespace in which it was made.
        in_namespace(name, || TcpStream::connect_timeout(&target, limit))
    }
}

/// Who runs PostgreSQL when the tests are run by root; `None` when they are not.
pub(crate) fn server_account() -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    user.map(|user| (user.uid, user.gid))
}

/// Makes a file or directory the server's own.
pub(crate) fn give_to_server(path: &Path) {
    if let Some((uid, gid)) = server_account() {
        chown(path, Some(uid), Some(gid)).expect("a file for the server's account");
    }
}

/// Does something in a namespace, which belongs to a thread.
pub(crate) fn in_namespace<T: Send>(
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let namespace = open_namespace(name)?;
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            enter(&namespace)?;
            work()
        });
        done.join().expect("a thread")
    })
}

fn open_namespace(name: &str) -> io::Result<File> {
    File::open(format!("/run/netns/{name}"))
}

fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: an open descriptor and a flag.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
