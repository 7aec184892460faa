//! The HTTP listener. An address that cannot be had is tried again and again: a daemon without HTTP
//! still watches its node. When a reload changes the address, the new listener is bound before the
//! old one is closed; if that fails, the old one stays in use.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::Token;
use mio::net::TcpStream;

use super::io::Io;
use super::names::Remote;
use super::registry::{Owner, READ_WRITE};
use crate::config::Config;
use crate::dns::Address;
use crate::lookout::Trouble;
use crate::net::{Accepting, Listener};
use crate::sys::resolve;
use crate::time::Monotonic;

#[derive(Default)]
pub(super) struct Listening {
    listener: Option<(Listener, Token)>,
    /// An address on which nothing listens yet.
    wanted: Option<Wanted>,
    /// After no descriptor was left.
    retry_accept_at: Option<Monotonic>,
}

struct Wanted {
    address: Option<String>,
    port: u16,
    /// The address, where it is a name.
    name: Option<Remote>,
    retry_at: Option<Monotonic>,
    /// Why it could not be had the last time.
    failure: Option<String>,
}

impl Listening {
    /// At the start. A name is looked up first, which this does not wait for.
    pub(super) fn start(&mut self, config: &Config, io: &mut Io) {
        self.wanted = Some(Wanted::new(config, io.now.mono));
        self.tick(io);
    }

    /// Moves to the address in `new`, in which the old one is put back if that fails. A name is
    /// looked up first, and the old address stays in use meanwhile.
    pub(super) fn adopt(&mut self, old: &Config, new: &mut Config, io: &mut Io) {
        if (&old.http_address, old.http_port) == (&new.http_address, new.http_port) {
            return;
        }
        let mut wanted = Wanted::new(new, io.now.mono);
        if let Some(name) = wanted.name.as_ref().and(new.http_address.as_deref()) {
            log::info!("resolving {name}, keeping the current listen address until then");
        } else if self.listen_on(&mut wanted, io) {
            self.wanted = None;
            return;
        } else if self.listener.is_some() {
            (new.http_address, new.http_port) = (old.http_address.clone(), old.http_port);
            return;
        }
        self.wanted = Some(wanted);
    }

    /// Why nobody can ask this daemon anything, if so.
    pub(super) fn failure(&self) -> Option<&str> {
        let wanted = self.wanted.as_ref()?;
        let failure = wanted.failure.as_deref();
        failure.filter(|_| self.listener.is_none())
    }

    /// Hands each client that waits to `add`.
    pub(super) fn accept(&mut self, io: &mut Io, mut add: impl FnMut(TcpStream, &mut Io)) {
        let Some((listener, token)) = &mut self.listener else {
            return;
        };
        self.retry_accept_at = None;
        match listener.accept(|stream| add(stream, io)) {
            Accepting::Wait => {}
            Accepting::Again => io.registry.again(*token),
            Accepting::OutOfDescriptors(rejected) => {
                log::warn!("no file descriptor left: {rejected} HTTP clients were rejected");
                self.retry_accept_at = Some(io.now.mono + RETRY_ACCEPT);
            }
        }
    }

    /// Listens on the wanted address once its name is found, and tries again until that succeeds.
    /// Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let now = io.now.mono;
        if let Some(mut wanted) = self.wanted.take()
            && !(wanted.is_due(io) && self.listen_on(&mut wanted, io))
        {
            self.wanted = Some(wanted);
        }
        if self.retry_accept_at.take_if(|at| *at <= now).is_some()
            && let Some((_, token)) = &self.listener
        {
            io.registry.again(*token);
        }
        let wanted = self.wanted.as_ref().and_then(Wanted::next_deadline);
        wanted.into_iter().chain(self.retry_accept_at).min()
    }

    /// Logs each failure once.
    fn listen_on(&mut self, wanted: &mut Wanted, io: &mut Io) -> bool {
        let found = wanted.name.as_ref().and_then(|name| name.address);
        let found = found.map(|address| Address::from(address).to_string());
        let address = found.as_deref().or(wanted.address.as_deref());
        let bound = self.bind(address, wanted.port, io);
        let failure = match bound.and_then(|listener| self.listen(listener, io)) {
            Ok(()) => {
                log_address(address, wanted.port);
                return true;
            }
            Err(error) => error.to_string(),
        };
        if wanted.failure.as_ref() != Some(&failure) {
            match self.listener {
                Some(_) => log::error!("{failure}; keeping the current listen address"),
                None => log::error!(
                    "{failure}; watching the cluster without HTTP, trying again every {} s",
                    RETRY_LISTEN.as_secs()
                ),
            }
            io.trouble(Trouble::Listen, "http_port");
        }
        wanted.failure = Some(failure);
        wanted.retry_at = Some(io.now.mono + RETRY_LISTEN);
        false
    }

    /// The old listener may be in the way: every interface and one of them are two addresses.
    fn bind(&mut self, address: Option<&str>, port: u16, io: &mut Io) -> io::Result<Listener> {
        let bound = Listener::bind(address, port);
        let ours = self.listener.as_ref();
        let ours = ours.and_then(|(listener, _)| listener.local_addr().ok());
        match (bound, ours) {
            (Err(error), Some(ours))
                if error.kind() == ErrorKind::AddrInUse && ours.port() == port =>
            {
                self.stop(io);
                Listener::bind(address, port).or_else(|_| {
                    let back = Listener::bind(Some(&Address::from(ours).to_string()), ours.port());
                    back.and_then(|listener| self.listen(listener, io))?;
                    Err(error)
                })
            }
            (bound, _) => bound,
        }
    }

    fn listen(&mut self, listener: Listener, io: &mut Io) -> io::Result<()> {
        let token = io
            .registry
            .register(&listener, Owner::HttpListener, READ_WRITE)?;
        self.stop(io);
        self.listener = Some((listener, token));
        io.registry.again(token);
        Ok(())
    }

    fn stop(&mut self, io: &mut Io) {
        if let Some((listener, token)) = self.listener.take() {
            io.registry.forget(&listener, token);
        }
    }
}

impl Wanted {
    fn new(config: &Config, now: Monotonic) -> Self {
        let (address, port) = (config.http_address.as_deref(), config.http_port);
        let name = address.filter(|address| Listener::wants_look_up(address));
        Self {
            address: address.map(str::to_owned),
            port,
            name: name.map(|name| Remote::new(resolve::without_brackets(name), port, now)),
            retry_at: name.is_none().then_some(now),
            failure: None,
        }
    }

    fn is_due(&mut self, io: &mut Io) -> bool {
        let is_found = self.name.as_mut().is_some_and(|name| name.tick(io));
        is_found || self.retry_at.take_if(|at| *at <= io.now.mono).is_some()
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        let look_up = self.name.as_ref().and_then(|name| name.look_up_at);
        look_up.into_iter().chain(self.retry_at).min()
    }
}

/// Warns of what it means to listen on every interface, the default.
fn log_address(address: Option<&str>, port: u16) {
    match address {
        Some(address) => log::info!("listening for HTTP on {address}, port {port}"),
        None => log::info!(
            "listening for HTTP on every interface, port {port}: anyone who reaches this host may read /state.json and \
             /decisions.json and request a check; set http_address to restrict it"
        ),
    }
}

const RETRY_ACCEPT: Duration = Duration::from_millis(100);
/// After an address could not be had.
const RETRY_LISTEN: Duration = Duration::from_secs(3);
