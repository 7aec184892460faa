//! What a peer's connection needs of that which is said on it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dial::Dial;
use super::outbound::{Connection, Outbound};
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::Config;
use crate::daemon::io::Io;
use crate::lookout::{Event, ProbeId};
use crate::time::Monotonic;

/// What is said on the connection to one peer. It owns no connection.
pub(in crate::daemon) trait Conversation: Sized {
    /// Whom it is held with.
    type Name: Clone + Ord;
    /// How that one is reached.
    type Settings: PartialEq;
    /// What a probe brings home.
    type Report;

    fn configured(config: &Config) -> &BTreeMap<Self::Name, Self::Settings>;
    fn new(name: &Self::Name, settings: &Self::Settings) -> (Self, Outbound);
    fn settings(&self) -> &Self::Settings;
    /// What comes of a probe, or of a connection without one.
    fn event(
        name: Self::Name,
        probe: Option<ProbeId>,
        outcome: Result<Self::Report, ProbeFailure>,
    ) -> Option<Event>;

    /// Where to connect, until `deadline`.
    fn dial(&self, deadline: Monotonic) -> Dial;
    /// A probe begins. False: over a new connection.
    fn begin(&mut self, open: Option<&mut Connection>) -> bool;
    /// Moves bytes and acts on what they say, until there is nothing to do without waiting.
    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> Step<Self::Report>;
    /// What is being waited for on an open connection.
    fn step(&self) -> ProbeStep;
    /// When the time of this connection is up, whatever becomes of the probe.
    fn deadline(&self, _open: &Connection) -> Option<Monotonic> {
        None
    }
    /// What becomes of a connection that has failed, or has taken too long.
    fn fail(&mut self, failure: ProbeFailure) -> Step<Self::Report> {
        Step::Failed(failure)
    }
    /// The probe has failed, unless something else is better than nothing.
    fn give_up(&mut self, failure: ProbeFailure) -> Result<Self::Report, ProbeFailure> {
        Err(failure)
    }
    /// The connection is gone: the next one begins from the start.
    fn reset(&mut self);
    /// Queues what is said at the end.
    fn hang_up(&self, _open: &mut Connection) {}
}

/// What a conversation has come to.
pub(in crate::daemon) enum Step<Report> {
    Wait,
    Answer {
        outcome: Result<Report, ProbeFailure>,
        keep_connection: bool,
    },
    Failed(ProbeFailure),
    Redial(Redial),
}

/// Where to connect instead.
pub(in crate::daemon) enum Redial {
    /// To the same server once more.
    SameServer,
    /// This host has failed.
    NextHost(ProbeFailure),
    FirstHost,
}

/// A probe that is under way.
pub(in crate::daemon) struct Probe {
    pub(super) id: ProbeId,
    /// When it has failed.
    pub(super) deadline: Monotonic,
    /// The time for each of its two parts: to be let in, and to be answered.
    pub(super) timeout: Duration,
}
