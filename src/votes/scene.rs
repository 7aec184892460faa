//! Three daemons that vote, for the tests of this room.

use std::time::Duration;

use super::{Kind, Member, Nonce, OwnServer, Position, Record, Request, Timers, Voter, VoterList};
use crate::cluster::Lsn;
use crate::config::{ClusterName, VoterName};
use crate::time::Monotonic;

pub(super) const TIMERS: Timers = Timers {
    lease: Duration::from_secs(16),
    vote_timeout: Duration::from_secs(2),
    stagger: Duration::from_secs(2),
    step_aside: Duration::from_secs(30),
};

pub(super) fn at(seconds: f64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs_f64(1000.0 + seconds))
}

pub(super) fn name(name: &str) -> VoterName {
    VoterName::from(name)
}

pub(super) fn list() -> VoterList {
    VoterList {
        generation: 1,
        names: ["a", "b", "c"].map(VoterName::from).into(),
    }
}

pub(super) fn cluster() -> ClusterName {
    ClusterName::from("main")
}

pub(super) fn voter(own: &str, record: Record) -> Voter {
    Voter::new(cluster(), name(own), record, at(0.0))
}

pub(super) fn member(own: &str, record: Record, seed: u128) -> Member {
    let names = (cluster(), name(own));
    Member::new(names, record, TIMERS, seed, at(0.0))
}

pub(super) fn request(kind: Kind, term: u64, from: &str, nonce: u128) -> Request {
    Request {
        cluster: cluster(),
        from: name(from),
        to: name("c"),
        kind,
        term,
        nonce: Nonce(nonce),
        lease: TIMERS.lease,
        position: Some(position(100)),
        system: Some("7".to_owned()),
        list: list().id(),
    }
}

pub(super) fn position(bytes: u64) -> Position {
    Position {
        timeline: Some(1),
        lsn: Lsn::from_bytes(bytes),
    }
}

/// A standby that its daemon would promote.
pub(super) fn standby(bytes: u64) -> OwnServer {
    OwnServer {
        position: Some(position(bytes)),
        willing: true,
        system: Some("7".to_owned()),
        sighted: Vec::new(),
    }
}
