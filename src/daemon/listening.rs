//! Another listen address while we run: the new listener is bound before the old one is closed, and
//! an address that cannot be had leaves the old one in force. Clients stay.

use std::io;

use super::Daemon;
use super::remote::Remote;
use crate::config::Config;
use crate::lookout::Trouble;
use crate::net::Listener;
use crate::time::Monotonic;

impl Daemon {
    /// Moves to where `new` says, and corrects it if that is not to be had. A name is looked up
    /// first, beside all else.
    pub(super) fn listen_elsewhere(&mut self, old: &Config, new: &mut Config, now: Monotonic) {
        if (&old.http_address, old.http_port) == (&new.http_address, new.http_port) {
            return;
        }
        self.moving_to = None;
        if let Some(name) = new
            .http_address
            .as_deref()
            .filter(|address| Listener::wants_look_up(address))
        {
            log::info!("looking up {name}, listening on as before until it is found");
            self.moving_to = Some(Remote::new(name, new.http_port, now));
            return;
        }
        if let Err(error) = self.listen_on(new.http_address.as_deref(), new.http_port) {
            self.say_not_listening(&error);
            (new.http_address, new.http_port) = (old.http_address.clone(), old.http_port);
        }
    }

    /// Moves if the name of the new address has been found; again and again until that succeeds.
    pub(super) fn move_on(&mut self) {
        let Some(remote) = &mut self.moving_to else {
            return;
        };
        if !remote.tend(&mut self.io) {
            return;
        }
        let Some(address) = remote.address() else {
            return;
        };
        match self.listen_on(Some(&address.ip().to_string()), address.port()) {
            Ok(()) => self.moving_to = None,
            Err(error) => self.say_not_listening(&error),
        }
    }

    fn listen_on(&mut self, address: Option<&str>, port: u16) -> io::Result<()> {
        let listener = match Listener::bind(address, port) {
            // It may be our own listener that is in the way: every interface and one of them are
            // two addresses.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && self.web.port() == Some(port) =>
            {
                let former = self.web.stop_listening(&mut self.io);
                Listener::bind(address, port).or_else(|_| {
                    if let Some(former) = former {
                        let back = Listener::bind(Some(&former.ip().to_string()), former.port());
                        back.and_then(|listener| self.web.listen(listener, &mut self.io))?;
                    }
                    Err(error)
                })
            }
            bound => bound,
        };
        self.web.listen(listener?, &mut self.io)?;
        say_where(address, port);
        Ok(())
    }

    fn say_not_listening(&mut self, error: &io::Error) {
        log::error!("{error}; listening on as before");
        self.io.trouble(Trouble::Listen, "http_port");
    }
}

/// Says where we listen; and what it means to listen everywhere, which is the default.
pub(super) fn say_where(address: Option<&str>, port: u16) {
    match address {
        Some(address) => log::info!("listening for HTTP on {address}, port {port}"),
        None => log::info!(
            "listening for HTTP on every interface, port {port}: whoever reaches this host may read /state.json and \
             /decisions.json and ask for a check; http_address names one interface"
        ),
    }
}
