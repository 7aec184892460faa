//! Three daemons that vote, for the tests of this room.

use std::time::Duration;

use super::{
    Answer, Kind, LeaseTimers, ListNews, ListStage, Member, Nonce, Output, OwnServer, Position,
    Record, Refusal, Request, SaveId, Timers, Voter, VoterList,
};
use crate::cluster::Lsn;
use crate::config::{ClusterName, VoterName};
use crate::time::Monotonic;

pub(super) const TIMERS: Timers = Timers {
    lease: Duration::from_secs(16),
    vote_timeout: Duration::from_secs(2),
    stagger: Duration::from_secs(2),
    step_aside: Duration::from_secs(30),
    hold: None,
};

/// The same with leases: fenced 2 s before their end, renewed every 3 s.
pub(super) const LEASES: Timers = Timers {
    hold: Some(LeaseTimers {
        fence: Duration::from_secs(2),
        renew: Duration::from_secs(3),
    }),
    ..TIMERS
};

/// How long fencing may take.
pub(super) const FENCE: Duration = Duration::from_secs(2);

/// What PostgreSQL is on a host. Without leases nothing is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Standby,
    /// It takes commits.
    Primary,
    /// A primary's data, and it does not run.
    Down,
}

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
    started((own, TIMERS), record, seed, at(0.0))
}

pub(super) fn started(
    (own, timers): (&str, Timers),
    record: Record,
    seed: u128,
    now: Monotonic,
) -> Member {
    Member::new((cluster(), name(own)), record, timers, seed, now)
}

pub(super) fn request(kind: Kind, term: u64, from: &str, nonce: u128) -> Request {
    Request {
        cluster: cluster(),
        from: name(from),
        to: name("c"),
        kind,
        term,
        nonce: Nonce(nonce),
        mandate: Nonce(nonce),
        lease: TIMERS.lease,
        position: Some(position(100)),
        system: Some("7".to_owned()),
        list: list().id(),
        news: Some(Box::new(sealed())),
        successor: None,
    }
}

/// A renewal of what that attempt has won.
pub(super) fn renewal(kind: Kind, term: u64, from: &str, mandate: u128) -> Request {
    Request {
        nonce: Nonce(mandate + 1_000),
        position: None,
        ..request(kind, term, from, mandate)
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
        fences: Some(false),
        system: Some("7".to_owned()),
        sighted: Vec::new(),
    }
}

pub(super) fn sent(out: &[Output]) -> Vec<(Kind, &str)> {
    let sent = out.iter().filter_map(|output| match output {
        Output::Send(request) => Some((request.kind, request.to.as_str())),
        _ => None,
    });
    sent.collect()
}

/// What b answers to a.
pub(super) fn answer(of: &Request, refusal: Option<Refusal>, term: u64) -> Answer {
    Answer {
        cluster: of.cluster.clone(),
        from: of.to.clone(),
        to: of.from.clone(),
        kind: of.kind,
        nonce: of.nonce,
        refusal,
        wait: None,
        term,
        voted_for: None,
        position: standby(100).position,
        willing: true,
        fences: Some(false),
        list: of.list.clone(),
        news: of.news.clone(),
        is_free: false,
    }
}

/// Of a list that was never changed.
pub(super) fn sealed() -> ListNews {
    ListNews {
        stage: ListStage::Sealed,
        former: None,
        floor: 0,
    }
}

/// Gives the answer of whom the `nth` request went to; returns what comes of it.
pub(super) fn answered(
    member: &mut Member,
    asked: &[Output],
    nth: usize,
    refusal: Option<Refusal>,
    term: u64,
    seconds: f64,
) -> Vec<Output> {
    let requests = asked.iter().filter_map(|output| match output {
        Output::Send(request) => Some(request),
        _ => None,
    });
    let request = requests.clone().nth(nth).unwrap();
    let mut out = Vec::new();
    let outcome = Ok(answer(request, refusal, term));
    member.answered(
        &request.to,
        (request.nonce, request.kind),
        outcome,
        &standby(100),
        at(seconds),
        &mut out,
    );
    out
}

pub(super) fn save(out: &[Output]) -> (SaveId, Record) {
    let saved = out.iter().find_map(|output| match output {
        Output::Save(id, record) => Some((*id, record.clone())),
        _ => None,
    });
    saved.unwrap_or_else(|| panic!("nothing is written: {out:?}"))
}

pub(super) fn request_of(out: &[Output], nth: usize) -> Request {
    let mut requests = out.iter().filter_map(|output| match output {
        Output::Send(request) => Some(request.clone()),
        _ => None,
    });
    requests.nth(nth).unwrap()
}
