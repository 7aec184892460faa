//! Whole conversations, the server's side built by hand: fed whole, split at every offset, byte by
//! byte, and mutated.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::*;
use crate::cluster::{Lsn, ReplicationSlot, RoleReport};
use crate::config::Secret;
use crate::pg::poll::{Ask, Topic};
use crate::pg::wire;
use crate::time::WallTime;

mod later;
mod login;
mod poll;
mod presence;
mod scram;

const PRIMARY: &[Option<&str>] = &[
    Some("1714486462789012"),
    Some("f"),
    None,
    None,
    None,
    Some("0/5000060"),
];
const STANDBY: &[Option<&str>] = &[
    Some("1714486462789012"),
    Some("t"),
    None,
    Some("0/2"),
    Some("0/1"),
    None,
];
/// An identity of which nothing may be read.
const UNKNOWN: &[Option<&str>] = &[None; 9];
const SESSION: &str = "pglookout:s1:ok:00ab12cd";
const SLOT: &[Option<&str>] = &[
    Some("s"),
    Some("test_decoding"),
    Some("logical"),
    Some("d"),
    Some("725"),
    Some("0/601358"),
    Some("0/601390"),
    Some("oRwFAQ=="),
];

fn login(password: Option<&str>) -> ConnInfo {
    let mut info = wire::info("user=md5_user dbname=d");
    info.hosts[0].password = password.map(Secret::new);
    info
}

/// One end of a wire: the session, what it shall read and what it has written.
struct Bench {
    session: Session,
    input: BytesMut,
    out: BytesMut,
}

impl Bench {
    fn start(password: Option<&str>) -> Self {
        Self::start_as(&login(password), Transport::Local)
    }

    fn start_as(info: &ConnInfo, transport: Transport) -> Self {
        let mut out = BytesMut::new();
        let session = Session::start(info, 0, transport, &mut out);
        out.clear();
        Self {
            session,
            input: BytesMut::new(),
            out,
        }
    }

    /// Logged in by trust.
    fn idle() -> Self {
        let mut bench = Self::start(None);
        assert_eq!(bench.feed(&greeting()), Ok(vec![Progress::LoggedIn]));
        bench
    }

    /// Known to be a primary, and asked again.
    fn asked() -> Self {
        let mut bench = Self::idle();
        bench.ask();
        assert_eq!(
            bench
                .feed(&joined(&primary()))
                .map(|progress| progress.len()),
            Ok(1)
        );
        bench.out.clear();
        bench.ask();
        bench
    }

    fn ask(&mut self) {
        self.ask_below(None);
    }

    fn ask_below(&mut self, below: Option<Topic>) {
        let ask = Ask {
            session: Arc::from(SESSION),
            timeout: Duration::from_secs(6),
            spacing: Duration::from_secs(5),
            below,
        };
        self.session.ask(ask, &mut self.out);
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Progress>, ProbeFailure> {
        self.input.put_slice(bytes);
        let mut progress = Vec::new();
        loop {
            while let Some(next) = self.session.receive(&mut self.input, &mut self.out)? {
                progress.push(next);
            }
            if !self.session.is_computing() {
                return Ok(progress);
            }
            self.session.compute(&mut self.out)?;
        }
    }

    /// What the session has written since the last call, each message shown by type and the first
    /// words.
    fn sent(&mut self) -> Vec<BytesMut> {
        let mut messages = Vec::new();
        while self.out.len() >= 5 {
            let length = u32::from_be_bytes([self.out[1], self.out[2], self.out[3], self.out[4]]);
            messages.push(self.out.split_to(length as usize + 1));
        }
        assert!(self.out.is_empty(), "half a message");
        messages
    }

    /// Short names of the queries sent since the last call.
    fn queries(&mut self) -> Vec<&'static str> {
        let name = |message: &BytesMut| {
            let text = String::from_utf8_lossy(message).into_owned();
            assert!(text.starts_with('Q') && text.ends_with('\0'), "{text:?}");
            match () {
                () if text.contains("pg_last_wal_receive_lsn") => "status",
                () if text.contains("application_name', E") => "name",
                () if text.contains("pg_stat_get_activity") => "sessions",
                () if text.contains("pg_control_system") => "identity",
                () if text.contains("pg_postmaster_start_time") => "identity, bare",
                () if text.contains("txid_current") => "heartbeat",
                () if text.contains("65536, true") => "slots",
                () if text.contains("pg_read_binary_file") => "slots, plain",
                () => "slots, unread",
            }
        };
        self.sent().iter().map(name).collect()
    }
}

fn joined(parts: &[BytesMut]) -> BytesMut {
    parts.iter().flat_map(|part| part.iter().copied()).collect()
}

fn greeting() -> BytesMut {
    joined(&[
        wire::authentication(0, b""),
        wire::message(b'S', b"server_version\x0018.0\0"),
        wire::ready(),
    ])
}

/// The same of a server process that introduces itself.
fn introduction() -> BytesMut {
    joined(&[
        wire::authentication(0, b""),
        wire::message(b'K', b"\0\0\0\x07key!"),
        wire::ready(),
    ])
}

/// ErrorResponse that ends a query but not the session.
fn failed(sqlstate: &str, text: &str) -> BytesMut {
    joined(&[wire::error("ERROR", sqlstate, text), wire::ready()])
}

/// A primary's good answers to the questions of a poll over a session that has no name of its own.
fn primary() -> [BytesMut; 4] {
    [
        wire::answer(&[PRIMARY]),
        wire::answer(&[UNKNOWN]),
        wire::answer(&[&[Some("off"), Some("725")]]),
        wire::answer(&[SLOT]),
    ]
}

fn report(role: RoleReport) -> Progress {
    Progress::Answered(NodeReport {
        db_time: WallTime::from_unix_micros(1_714_486_462_789_012),
        role,
        identity: crate::cluster::Identity::default(),
        daemons: None,
    })
}

fn primary_with(slots: Vec<ReplicationSlot>) -> Progress {
    report(RoleReport::Primary {
        lsn: Some(Lsn::from_bytes(83_886_176)),
        slots,
    })
}

fn slot(state_data: Option<&str>) -> ReplicationSlot {
    ReplicationSlot {
        name: "s".to_owned(),
        plugin: "test_decoding".to_owned(),
        slot_type: "logical".to_owned(),
        database: Some("d".to_owned()),
        catalog_xmin: Some("725".to_owned()),
        restart_lsn: Some("0/601358".to_owned()),
        confirmed_flush_lsn: Some("0/601390".to_owned()),
        state_data: state_data.map(str::to_owned),
    }
}

fn standby() -> Progress {
    report(RoleReport::Standby {
        receive: Some(Lsn::from_bytes(2)),
        replay: Some(Lsn::from_bytes(1)),
        last_replay: None,
    })
}

#[test]
fn every_split_and_every_single_byte_come_to_the_same() {
    let stream = joined(&[wire::message(b'N', b"SNOTICE\0\0"), joined(&primary())]);
    let expected = Ok(vec![primary_with(vec![slot(Some("oRwFAQ=="))])]);
    for offset in 0..stream.len() {
        let mut bench = Bench::asked();
        let (head, tail) = stream.split_at(offset);
        assert_eq!(bench.feed(head), Ok(vec![]), "{offset}");
        assert_eq!(bench.feed(tail), expected, "{offset}");
    }
    let mut bench = Bench::asked();
    let progress: Vec<Progress> = stream
        .iter()
        .flat_map(|byte| bench.feed(&[*byte]).unwrap())
        .collect();
    assert_eq!(Ok(progress), expected);
    let mut bench = Bench::start(None);
    let progress: Vec<Progress> = greeting()
        .iter()
        .flat_map(|byte| bench.feed(&[*byte]).unwrap())
        .collect();
    assert_eq!(progress, [Progress::LoggedIn]);
}

#[test]
fn mutated_streams_never_panic() {
    let logins = [
        joined(&[wire::authentication(3, b""), greeting()]),
        joined(&[wire::authentication(5, b"salt"), greeting()]),
        joined(&[
            wire::authentication(10, b"SCRAM-SHA-256\0\0"),
            wire::authentication(11, b"r=x,s=c2FsdA==,i=1"),
            wire::authentication(12, b"v=x"),
        ]),
        wire::error("FATAL", "28P01", "no"),
    ];
    let polls = [
        joined(&primary()),
        joined(&[
            wire::answer(&[STANDBY]),
            failed("42501", "no"),
            wire::answer(&[UNKNOWN]),
        ]),
    ];
    for seed in 1..20_000_u64 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let asked = random.usize(..2) == 0;
        let streams: &[BytesMut] = if asked { &polls } else { &logins };
        let mut stream = streams[random.usize(..streams.len())].clone();
        for _ in 0..=random.usize(..4) {
            let at = random.usize(..stream.len());
            match random.usize(..3) {
                0 => stream[at] = random.u8(..),
                1 => stream.truncate(at.max(1)),
                _ => stream[at] ^= 1 << random.usize(..8),
            }
        }
        let mut bench = if asked {
            Bench::asked()
        } else {
            Bench::start(Some("pencil"))
        };
        let split = random.usize(..stream.len());
        let first = bench.feed(&stream[..split]).map(|_| ());
        let second = bench.feed(&stream[split..]).map(|_| ());
        assert!(first.is_ok() || first == second, "a failure lasts");
        assert!(bench.session.connection_closed().to_string().len() < 2_000);
    }
}

#[test]
fn an_error_while_idle_reports_why_the_connection_ends() {
    let mut bench = Bench::idle();
    let stopping = "terminating connection due to administrator command";
    let failure = bench
        .feed(&wire::error("FATAL", "57P01", stopping))
        .unwrap_err();
    assert_eq!(
        failure,
        ProbeFailure::NotReady {
            message: format!("FATAL 57P01: {stopping}")
        }
    );
    assert_eq!(bench.session.connection_closed(), failure);
    bench.ask();
    assert!(bench.out.is_empty() && !bench.session.is_idle());

    let mut bench = Bench::idle();
    assert!(matches!(
        bench.feed(&wire::ready()),
        Err(ProbeFailure::ProtocolError { .. })
    ));
    let mut bench = Bench::idle();
    assert_eq!(bench.feed(&wire::message(b'S', b"a\0b\0")), Ok(vec![]));
}

#[test]
fn a_closed_connection_is_nobody_there() {
    let closed = |bench: &Bench| bench.session.connection_closed().to_string();
    let text = "unreachable: the server closed the connection";
    assert_eq!(
        closed(&Bench::start(None)),
        format!("{text} while logging in")
    );
    assert_eq!(closed(&Bench::idle()), format!("{text} between two polls"));
    assert_eq!(
        closed(&Bench::asked()),
        format!("{text} before it answered")
    );
    assert_eq!(Bench::start(None).session.step(), ProbeStep::LoggingIn);
    assert_eq!(Bench::asked().session.step(), ProbeStep::Answering);
}

#[test]
fn the_good_bye_is_one_message() {
    let mut bench = Bench::idle();
    bench.session.terminate(&mut bench.out);
    assert_eq!(&bench.out[..], b"X\0\0\0\x04");
}
