//! The HTTP listener. When a reload changes its address, the new listener is bound before the old one
//! is closed; if that fails, the old one stays in use.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::Token;
use mio::net::TcpStream;

use super::io::{Io, Owner, READ_WRITE};
use super::names::Remote;
use crate::config::Config;
use crate::lookout::Trouble;
use crate::net::{Accepting, Listener};
use crate::time::Monotonic;

pub(super) struct Listening {
    listener: Option<Listener>,
    token: Token,
    /// A new address, whose name is being looked up.
    moving_to: Option<Remote>,
    /// After no descriptor was left.
    retry_at: Option<Monotonic>,
}

impl Listening {
    pub(super) fn new(listener: Listener, io: &mut Io) -> io::Result<Self> {
        let token = io
            .registry
            .register(&listener, Owner::HttpListener, READ_WRITE)?;
        Ok(Self {
            listener: Some(listener),
            token,
            moving_to: None,
            retry_at: None,
        })
    }

    /// Moves to the address in `new`, in which the old one is put back if that fails. A name is
    /// looked up first, and the old address stays in use meanwhile.
    pub(super) fn adopt(&mut self, old: &Config, new: &mut Config, io: &mut Io) {
        if (&old.http_address, old.http_port) == (&new.http_address, new.http_port) {
            return;
        }
        let address = new.http_address.as_deref();
        let name = address.filter(|address| Listener::wants_look_up(address));
        self.moving_to = name.map(|name| Remote::new(name, new.http_port, io.now.mono));
        if let Some(name) = name {
            log::info!("resolving {name}, keeping the current listen address until then");
        } else if !self.listen_on(address, new.http_port, io) {
            (new.http_address, new.http_port) = (old.http_address.clone(), old.http_port);
        }
    }

    /// Hands each client that waits to `add`.
    pub(super) fn accept(&mut self, io: &mut Io, mut add: impl FnMut(TcpStream, &mut Io)) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        self.retry_at = None;
        match listener.accept(|stream| add(stream, io)) {
            Accepting::Wait => {}
            Accepting::Again => io.registry.again(self.token),
            Accepting::OutOfDescriptors(rejected) => {
                log::warn!("no file descriptor left: {rejected} HTTP clients were rejected");
                self.retry_at = Some(io.now.mono + RETRY_ACCEPT);
            }
        }
    }

    /// Moves once the name of the new address is found, and tries again until that succeeds.
    /// Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        if let Some(remote) = &mut self.moving_to
            && remote.tick(io)
            && let Some(address) = remote.address
            && self.listen_on(Some(&address.ip().to_string()), address.port(), io)
        {
            self.moving_to = None;
        }
        if self.retry_at.take_if(|at| *at <= io.now.mono).is_some() {
            io.registry.again(self.token);
        }
        let moving = self.moving_to.as_ref().and_then(|remote| remote.look_up_at);
        moving.into_iter().chain(self.retry_at).min()
    }

    fn listen_on(&mut self, address: Option<&str>, port: u16, io: &mut Io) -> bool {
        let moved = self.bind(address, port, io);
        let moved = moved.and_then(|listener| self.listen(listener, io));
        match &moved {
            Ok(()) => log_address(address, port),
            Err(error) => {
                log::error!("{error}; keeping the current listen address");
                io.trouble(Trouble::Listen, "http_port");
            }
        }
        moved.is_ok()
    }

    /// The old listener may be in the way: every interface and one of them are two addresses.
    fn bind(&mut self, address: Option<&str>, port: u16, io: &mut Io) -> io::Result<Listener> {
        let bound = Listener::bind(address, port);
        let ours = self.listener.as_ref();
        let ours = ours.and_then(|listener| listener.local_addr().ok());
        match (bound, ours) {
            (Err(error), Some(ours))
                if error.kind() == ErrorKind::AddrInUse && ours.port() == port =>
            {
                self.stop(io);
                Listener::bind(address, port).or_else(|_| {
                    let back = Listener::bind(Some(&ours.ip().to_string()), ours.port());
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
        (self.listener, self.token) = (Some(listener), token);
        io.registry.again(token);
        Ok(())
    }

    fn stop(&mut self, io: &mut Io) {
        if let Some(listener) = self.listener.take() {
            io.registry.forget(&listener, self.token);
        }
    }
}

/// Warns of what it means to listen on every interface, the default.
pub(super) fn log_address(address: Option<&str>, port: u16) {
    match address {
        Some(address) => log::info!("listening for HTTP on {address}, port {port}"),
        None => log::info!(
            "listening for HTTP on every interface, port {port}: anyone who reaches this host may read /state.json and \
             /decisions.json and request a check; set http_address to restrict it"
        ),
    }
}

const RETRY_ACCEPT: Duration = Duration::from_millis(100);
