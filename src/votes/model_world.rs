//! The room against an adversary. The network keeps every message for ever, and delivers each when it
//! likes, as often as it likes, or never; daemons crash between a write and its answer, and start
//! again from what is on the disk; promises end when it suits. What has to hold all the same: one
//! winner in each term, no grant before its write, no winner behind a voter that is willing and
//! granted. With leases, while the rates of the clocks are wrong by up to 1.5 % each: never two leases
//! at one moment, and never two servers that take commits, although each of them does so until the last
//! moment that fencing it may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scene::{FENCE, LEASES, Server, TIMERS, list, name, standby, started};
use super::*;
use crate::config::VoterName;
use crate::time::Monotonic;

pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];
/// How far each node is. All are willing; b is behind.
const POSITIONS: [u64; 3] = [200, 100, 200];
/// Parts in ten thousand by which the rate of a clock may be wrong.
pub(super) const DRIFT: i64 = 150;
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) member: Member,
    /// What is on the disk.
    disk: Record,
    pub(super) writing: Option<(SaveId, Record)>,
    starts: u8,
    server: Server,
    /// When the guard begins to fence, by the clock of the host. It outlives the daemon.
    guard: Option<Monotonic>,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) nodes: [Node; 3],
    has_leases: bool,
    /// By how much each clock is wrong.
    rates: [i64; 3],
    /// True time.
    elapsed: Duration,
    pub(super) requests: Vec<Request>,
    pub(super) answers: Vec<Answer>,
    /// Request behind each exchange.
    exchanges: BTreeMap<u64, Request>,
    pub(super) won: BTreeMap<u64, usize>,
    /// How often a lease was renewed, and a server started again by one.
    pub(super) renewed: usize,
    pub(super) started: usize,
    /// How often a node has found itself named as the successor of another.
    pub(super) reserved: usize,
    granted: BTreeSet<(u64, usize, usize)>,
    crashes: u8,
    waits: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A node begins an attempt; everybody answers its first question at once.
    Stand(usize),
    Request(usize),
    Answer(usize),
    Written(usize),
    /// The write is reported to have failed: it happened, or not.
    Failed(usize, bool),
    /// The same of a write that was under way.
    Crash(usize, bool),
    /// So many seconds pass. After a thousand every promise has ended; after three, attempts have.
    Wait(u64),
    /// What is due is done: attempts whose time is over end, rounds begin, leases are lost.
    Tick(usize),
    /// The fence command has ended well.
    Fenced(usize),
    /// A command has failed, or a server is given up.
    GiveUp(usize),
    /// A server is stopped as planned, and its term released for this successor.
    HandOver(usize, usize),
    /// Somebody starts a server that is down, through the gate.
    Start(usize),
    /// Somebody makes a standby of a server that is down.
    Rewind(usize),
    /// The host crashes and boots: its server is down, and its guard gone.
    Reboot(usize),
}

pub(super) struct Limits {
    pub(super) candidates: Vec<usize>,
    pub(super) terms: u64,
    pub(super) crashes: u8,
    pub(super) waits: u8,
    pub(super) seconds: &'static [u64],
    /// Do commands fail, and servers hang.
    pub(super) gives_up: bool,
    pub(super) fails: bool,
}

pub(super) fn index(name: &VoterName) -> usize {
    NAMES.iter().position(|it| *it == name.as_str()).unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        let names = NAMES.map(|name| (name, TIMERS));
        Self::with(names, false, [0; 3])
    }

    pub(super) fn with_leases(rates: [i64; 3]) -> Self {
        Self::with(NAMES.map(|name| (name, LEASES)), true, rates)
    }

    fn with(names: [(&str, Timers); 3], has_leases: bool, rates: [i64; 3]) -> Self {
        let node = |own: usize| Node {
            member: started(names[own], Record::new(list()), seed(own, 0), clock(0, 0)),
            disk: Record::new(list()),
            writing: None,
            starts: 0,
            server: Server::Standby,
            guard: None,
        };
        Self {
            nodes: [node(0), node(1), node(2)],
            has_leases,
            rates,
            elapsed: Duration::ZERO,
            requests: Vec::new(),
            answers: Vec::new(),
            exchanges: BTreeMap::new(),
            won: BTreeMap::new(),
            renewed: 0,
            started: 0,
            reserved: 0,
            granted: BTreeSet::new(),
            crashes: 0,
            waits: 0,
        }
    }

    /// Elects this node, by messages that all arrive at once.
    pub(super) fn elect(&mut self, at: usize) {
        let (mut asked, mut answered) = (self.requests.len(), self.answers.len());
        self.act(Act::Stand(at));
        loop {
            let writes = |node: &Node| node.writing.is_some();
            if let Some(at) = self.nodes.iter().position(writes) {
                self.act(Act::Written(at));
            } else if answered < self.answers.len() {
                self.act(Act::Answer(answered));
                answered += 1;
            } else if asked < self.requests.len() {
                self.act(Act::Request(asked));
                asked += 1;
            } else {
                return;
            }
        }
    }

    /// What the clock of this host shows.
    fn now(&self, at: usize) -> Monotonic {
        clock(self.elapsed.as_micros() as i64, self.rates[at])
    }

    /// What came of exchanges that nobody waits for any more.
    pub(super) fn forget_exchanges(&mut self) {
        self.exchanges.clear();
    }

    pub(super) fn acts(&self, limits: &Limits) -> Vec<Act> {
        let mut acts = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let may_stand = limits.candidates.contains(&at) && node.disk.term < limits.terms;
            if may_stand && node.server == Server::Standby {
                acts.push(Act::Stand(at));
            }
            if node.writing.is_some() {
                acts.push(Act::Written(at));
            }
            if node.writing.is_some() && limits.fails {
                acts.extend([Act::Failed(at, true), Act::Failed(at, false)]);
            }
            if self.crashes < limits.crashes {
                acts.push(Act::Crash(at, false));
                if node.writing.is_some() {
                    acts.push(Act::Crash(at, true));
                }
                if self.has_leases {
                    acts.push(Act::Reboot(at));
                }
            }
            let now = self.now(at);
            let is_due = match node.member.holder() {
                Some(_) => node.member.next_deadline() <= now,
                None => node.member.standing(now) != Standing::Free,
            };
            if is_due {
                acts.push(Act::Tick(at));
            }
            if self.has_leases {
                self.acts_of_server(at, limits, &mut acts);
            }
        }
        acts.extend((0..self.requests.len()).map(Act::Request));
        acts.extend((0..self.answers.len()).map(Act::Answer));
        if self.waits < limits.waits {
            acts.extend(limits.seconds.iter().copied().map(Act::Wait));
        }
        acts
    }

    fn acts_of_server(&self, at: usize, limits: &Limits, acts: &mut Vec<Act>) {
        let node = &self.nodes[at];
        match node.member.holder().map(Holder::stage) {
            Some(Stage::Fencing { .. }) => acts.push(Act::Fenced(at)),
            Some(Stage::Holding) if limits.gives_up => {
                acts.push(Act::GiveUp(at));
                if node.server == Server::Primary {
                    // Rule S3: none of them is further.
                    let has_all = |to: &usize| *to != at && POSITIONS[*to] == POSITIONS[0];
                    let others = (0..NAMES.len()).filter(has_all);
                    acts.extend(others.map(|to| Act::HandOver(at, to)));
                }
            }
            _ => {}
        }
        if node.server == Server::Down {
            acts.push(Act::Rewind(at));
            if self.is_gate_open(at) {
                acts.push(Act::Start(at));
            }
        }
    }

    fn is_gate_open(&self, at: usize) -> bool {
        let (node, now) = (&self.nodes[at], self.now(at));
        let holds = |it: &&Holder| it.stage() == Stage::Holding;
        let holder = node.member.holder().filter(holds);
        let until = holder.and_then(|it| it.lease(now));
        until.is_some_and(|until| until >= now + FENCE * 2)
    }

    pub(super) fn act(&mut self, act: Act) {
        let mut out = Vec::new();
        let at = match act {
            Act::Stand(at) => {
                let (now, server) = (self.now(at), standby(POSITIONS[at]));
                self.nodes[at].member.stand(&server, now, &mut out);
                at
            }
            Act::Request(nth) => {
                let request = self.requests[nth].clone();
                let (to, id) = (index(&request.to), self.exchanges.len() as u64);
                self.exchanges.insert(id, request.clone());
                let (now, server) = (self.now(to), standby(POSITIONS[to]));
                let voter = &mut self.nodes[to].member;
                voter.requested(ExchangeId(id), &request, &server, now, &mut out);
                to
            }
            Act::Answer(nth) => {
                let answer = self.answers[nth].clone();
                let to = index(&answer.to);
                let (of, from) = ((answer.nonce, answer.kind), answer.from.clone());
                let (now, server) = (self.now(to), standby(POSITIONS[to]));
                let member = &mut self.nodes[to].member;
                member.answered(&from, of, Ok(answer), &server, now, &mut out);
                to
            }
            Act::Written(at) => {
                let (id, record) = self.nodes[at].writing.take().unwrap();
                let (now, server) = (self.now(at), standby(POSITIONS[at]));
                self.nodes[at].disk = record;
                let member = &mut self.nodes[at].member;
                member.saved(id, true, &server, now, &mut out);
                at
            }
            Act::Failed(at, happened) => {
                // It is repeated, so it stays to be written.
                let (id, record) = self.nodes[at].writing.clone().unwrap();
                if happened {
                    self.nodes[at].disk = record;
                }
                let (now, server) = (self.now(at), standby(POSITIONS[at]));
                let member = &mut self.nodes[at].member;
                member.saved(id, false, &server, now, &mut out);
                at
            }
            Act::Crash(at, happened) => {
                self.restart(at, happened);
                at
            }
            Act::Reboot(at) => {
                let node = &mut self.nodes[at];
                node.guard = None;
                if node.server == Server::Primary {
                    node.server = Server::Down;
                }
                self.restart(at, false);
                at
            }
            Act::Fenced(at) => {
                let now = self.now(at);
                let node = &mut self.nodes[at];
                if node.server == Server::Primary {
                    node.server = Server::Down;
                }
                node.member.fenced(now, &mut out);
                at
            }
            Act::GiveUp(at) => {
                self.nodes[at].member.give_up();
                at
            }
            Act::HandOver(at, to) => {
                let now = self.now(at);
                let node = &mut self.nodes[at];
                node.server = Server::Down;
                let to = name(NAMES[to]);
                node.member.hand_over(&to, now, &mut out);
                at
            }
            Act::Start(at) => {
                self.started += 1;
                self.nodes[at].server = Server::Primary;
                assert!(self.nodes[at].guard.is_some());
                at
            }
            Act::Rewind(at) => {
                let node = &mut self.nodes[at];
                node.server = Server::Standby;
                match node.member.holder().map(Holder::stage) {
                    // Rule C7.
                    Some(Stage::Waiting { is_fenced: false }) => node.member.give_up(),
                    _ => node.member.standby_runs(&mut out),
                }
                at
            }
            Act::Wait(seconds) => {
                self.waits += 1;
                self.elapsed += Duration::from_secs(seconds);
                self.check();
                return;
            }
            Act::Tick(at) => {
                let (now, server) = (self.now(at), standby(POSITIONS[at]));
                self.nodes[at].member.tick(&server, now, &mut out);
                // Questions whether anybody answers are of no attempt.
                out.retain(
                    |output| !matches!(output, Output::Send(it) if it.kind == Kind::AskVote),
                );
                at
            }
        };
        self.take(at, out);
        self.check();
    }

    /// The daemon crashes, and starts again from its disk. Its server and its guard go on.
    fn restart(&mut self, at: usize, happened: bool) {
        self.crashes += 1;
        let now = self.now(at);
        let timers = if self.has_leases { LEASES } else { TIMERS };
        let node = &mut self.nodes[at];
        if let Some((_, record)) = node.writing.take().filter(|_| happened) {
            node.disk = record;
        }
        node.starts += 1;
        let seed = seed(at, node.starts);
        node.member = started((NAMES[at], timers), node.disk.clone(), seed, now);
        match node.server {
            Server::Primary => node.member.primary_runs(now),
            Server::Standby => node.member.give_up(),
            Server::Down => {}
        }
    }

    /// Guards that have waited for as long as they may have fenced.
    fn check(&mut self) {
        for at in 0..NAMES.len() {
            let now = self.now(at);
            let node = &mut self.nodes[at];
            let is_over = node.guard.is_some_and(|deadline| deadline + FENCE <= now);
            if self.has_leases && node.server == Server::Primary && is_over {
                node.server = Server::Down;
            }
        }
        let all = 0..NAMES.len();
        let holder = |at: &usize| self.nodes[*at].member.holder();
        let has_lease = |at: &usize| holder(at).and_then(|it| it.lease(self.now(*at))).is_some();
        let leases: Vec<_> = all.clone().filter(has_lease).map(|at| NAMES[at]).collect();
        assert!(leases.len() < 2, "leases of {leases:?}");
        let takes_commits = |at: &usize| self.nodes[*at].server == Server::Primary;
        let writers: Vec<_> = all.filter(takes_commits).map(|at| NAMES[at]).collect();
        assert!(writers.len() < 2, "commits are taken by {writers:?}");
    }

    /// What a node wants done. First questions are answered at once: they change nothing.
    fn take(&mut self, at: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(request) if matches!(request.kind, Kind::AskVote | Kind::AskRenew) => {
                    self.ask(at, &request);
                }
                Output::Send(request) => {
                    if !self.requests.contains(&request) {
                        self.requests.push(request);
                    }
                }
                Output::Answer(_, answer) => self.answer(at, answer),
                Output::Save(id, record) => self.nodes[at].writing = Some((id, record)),
                Output::Elected(term) => self.elected(at, term),
                Output::Guard(until) => self.guard(at, until),
                Output::Left(term) => {
                    let node = &self.nodes[at];
                    assert_eq!(
                        node.disk.held_term, 0,
                        "term {term} is left before that is written"
                    );
                    assert_ne!(
                        node.server,
                        Server::Primary,
                        "term {term} is left by a primary"
                    );
                }
                Output::Claimed(_) => panic!("a standby has claimed a term"),
                Output::Reserved(_) => self.reserved += 1,
                Output::Lost | Output::LeaseLost(_) | Output::ListMoved => {}
            }
        }
    }

    fn ask(&mut self, at: usize, request: &Request) {
        let to = index(&request.to);
        let before = self.nodes[to].member.voter().record().clone();
        let mut out = Vec::new();
        let (now, server) = (self.now(to), standby(POSITIONS[to]));
        self.nodes[to]
            .member
            .requested(ExchangeId(u64::MAX), request, &server, now, &mut out);
        assert_eq!(
            *self.nodes[to].member.voter().record(),
            before,
            "asking changed something"
        );
        let [Output::Answer(_, answer)] = out.as_slice() else {
            panic!("no answer: {out:?}");
        };
        let (of, mut next) = ((answer.nonce, answer.kind), Vec::new());
        let (now, server) = (self.now(at), standby(POSITIONS[at]));
        let asker = &mut self.nodes[at].member;
        asker.answered(&request.to, of, Ok(answer.clone()), &server, now, &mut next);
        self.take(at, next);
    }

    fn answer(&mut self, at: usize, answer: Answer) {
        if answer.kind == Kind::Vote && answer.refusal.is_none() {
            let disk = &self.nodes[at].disk;
            let is_written = disk.is_for(answer.term, &answer.to, answer.nonce);
            assert!(
                is_written,
                "{} granted before its write: {answer:?}",
                NAMES[at]
            );
            self.granted.insert((answer.term, at, index(&answer.to)));
        }
        if answer.kind != Kind::Release && !self.answers.contains(&answer) {
            self.answers.push(answer);
        }
    }

    fn guard(&mut self, at: usize, until: Option<Monotonic>) {
        let node = &mut self.nodes[at];
        let is_primary = node.server == Server::Primary;
        assert!(until.is_some() || !is_primary, "{} is unguarded", NAMES[at]);
        self.renewed += usize::from(until > node.guard && node.guard.is_some());
        node.guard = until;
    }

    fn elected(&mut self, at: usize, term: u64) {
        let own = &self.nodes[at].disk;
        assert!(
            own.term >= term,
            "{} won before its own vote was written",
            NAMES[at]
        );
        let before = self.won.insert(term, at);
        assert_eq!(
            before, None,
            "term {term} was won twice, now by {}",
            NAMES[at]
        );
        if self.has_leases {
            let node = &mut self.nodes[at];
            assert_eq!(
                node.disk.held_term, term,
                "{} runs before it is written",
                NAMES[at]
            );
            assert!(node.guard.is_some(), "{} runs without a guard", NAMES[at]);
            node.server = Server::Primary;
        }
        for (of, voter, candidate) in &self.granted {
            if *of == term && *candidate == at {
                let (ours, theirs) = (POSITIONS[at], POSITIONS[*voter]);
                assert!(theirs <= ours, "{} won behind {}", NAMES[at], NAMES[*voter]);
            }
        }
    }
}

fn seed(at: usize, starts: u8) -> u128 {
    ((at as u128 + 1) << 64) | (u128::from(starts) << 32)
}

fn clock(micros: i64, rate: i64) -> Monotonic {
    let shown = micros / 10_000 * (10_000 + rate);
    Monotonic::from_duration(Duration::from_micros(1_000_000_000 + shown as u64))
}
