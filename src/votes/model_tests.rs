//! The room against an adversary. The network keeps every message for ever, and delivers each when it
//! likes, as often as it likes, or never; daemons crash between a write and its answer, and start
//! again from what is on the disk; promises end when it suits. What has to hold all the same: one
//! winner in each term, no grant before its write, no winner behind a voter that is willing and
//! granted.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::scene::{at, list, member, standby};
use super::*;
use crate::config::VoterName;
use crate::testing::draws;
use crate::time::Monotonic;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// How far each node is. All are willing; b is behind.
const POSITIONS: [u64; 3] = [200, 100, 200];

#[derive(Clone, Debug)]
struct Node {
    member: Member,
    /// What is on the disk.
    disk: Record,
    writing: Option<(SaveId, Record)>,
    starts: u8,
}

#[derive(Clone, Debug)]
struct World {
    nodes: [Node; 3],
    now: Monotonic,
    requests: Vec<Request>,
    answers: Vec<Answer>,
    /// Request behind each exchange.
    exchanges: BTreeMap<u64, Request>,
    won: BTreeMap<u64, usize>,
    granted: BTreeSet<(u64, usize, usize)>,
    crashes: u8,
    waits: u8,
}

#[derive(Clone, Copy, Debug)]
enum Act {
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
    /// Attempts whose time is over end.
    Tick(usize),
}

fn index(name: &VoterName) -> usize {
    NAMES.iter().position(|it| *it == name.as_str()).unwrap()
}

impl World {
    fn new() -> Self {
        let node = |own| Node {
            member: member(NAMES[own], Record::new(list()), seed(own, 0)),
            disk: Record::new(list()),
            writing: None,
            starts: 0,
        };
        Self {
            nodes: [node(0), node(1), node(2)],
            now: at(0.0),
            requests: Vec::new(),
            answers: Vec::new(),
            exchanges: BTreeMap::new(),
            won: BTreeMap::new(),
            granted: BTreeSet::new(),
            crashes: 0,
            waits: 0,
        }
    }

    fn acts(&self, limits: &Limits) -> Vec<Act> {
        let mut acts = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if limits.candidates.contains(&at) && node.disk.term < limits.terms {
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
            }
            if node.member.standing(self.now) != Standing::Free {
                acts.push(Act::Tick(at));
            }
        }
        acts.extend((0..self.requests.len()).map(Act::Request));
        acts.extend((0..self.answers.len()).map(Act::Answer));
        if self.waits < limits.waits {
            acts.extend(limits.seconds.iter().copied().map(Act::Wait));
        }
        acts
    }

    fn act(&mut self, act: Act) {
        let mut out = Vec::new();
        let now = self.now;
        let at = match act {
            Act::Stand(at) => {
                self.nodes[at]
                    .member
                    .stand(&standby(POSITIONS[at]), now, &mut out);
                at
            }
            Act::Request(nth) => {
                let request = self.requests[nth].clone();
                let (to, id) = (index(&request.to), self.exchanges.len() as u64);
                self.exchanges.insert(id, request.clone());
                let server = standby(POSITIONS[to]);
                let voter = &mut self.nodes[to].member;
                voter.requested(ExchangeId(id), &request, &server, now, &mut out);
                to
            }
            Act::Answer(nth) => {
                let answer = self.answers[nth].clone();
                let to = index(&answer.to);
                let (of, from) = ((answer.nonce, answer.kind), answer.from.clone());
                let candidate = &mut self.nodes[to].member;
                candidate.answered(
                    &from,
                    of,
                    Ok(answer),
                    &standby(POSITIONS[to]),
                    now,
                    &mut out,
                );
                to
            }
            Act::Written(at) => {
                let (id, record) = self.nodes[at].writing.take().unwrap();
                self.nodes[at].disk = record;
                self.nodes[at]
                    .member
                    .saved(id, true, &standby(POSITIONS[at]), now, &mut out);
                at
            }
            Act::Failed(at, happened) => {
                // It is repeated, so it stays to be written.
                let (id, record) = self.nodes[at].writing.clone().unwrap();
                if happened {
                    self.nodes[at].disk = record;
                }
                self.nodes[at]
                    .member
                    .saved(id, false, &standby(POSITIONS[at]), now, &mut out);
                at
            }
            Act::Crash(at, happened) => {
                self.crashes += 1;
                let node = &mut self.nodes[at];
                if let Some((_, record)) = node.writing.take().filter(|_| happened) {
                    node.disk = record;
                }
                node.starts += 1;
                node.member = member(NAMES[at], node.disk.clone(), seed(at, node.starts));
                at
            }
            Act::Wait(seconds) => {
                self.waits += 1;
                self.now = now + Duration::from_secs(seconds);
                return;
            }
            Act::Tick(at) => {
                self.nodes[at]
                    .member
                    .tick(&standby(POSITIONS[at]), now, &mut out);
                // Questions whether anybody answers are of no attempt.
                out.retain(
                    |output| !matches!(output, Output::Send(it) if it.kind == Kind::AskVote),
                );
                at
            }
        };
        self.take(at, out);
    }

    /// What a node wants done. First questions are answered at once: they change nothing.
    fn take(&mut self, at: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(request) if request.kind == Kind::AskVote => self.ask(at, &request),
                Output::Send(request) => {
                    if !self.requests.contains(&request) {
                        self.requests.push(request);
                    }
                }
                Output::Answer(_, answer) => self.answer(at, answer),
                Output::Save(id, record) => self.nodes[at].writing = Some((id, record)),
                Output::Elected(term) => self.elected(at, term),
                Output::Lost => {}
            }
        }
    }

    fn ask(&mut self, at: usize, request: &Request) {
        let to = index(&request.to);
        let before = self.nodes[to].member.voter().record().clone();
        let mut out = Vec::new();
        let server = standby(POSITIONS[to]);
        let now = self.now;
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
        let candidate = &mut self.nodes[at].member;
        candidate.answered(
            &request.to,
            of,
            Ok(answer.clone()),
            &standby(POSITIONS[at]),
            now,
            &mut next,
        );
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

struct Limits {
    candidates: Vec<usize>,
    terms: u64,
    crashes: u8,
    waits: u8,
    seconds: &'static [u64],
    fails: bool,
}

/// Seeded schedules: `PGLOOKOUT_VOTES_WALKS` for more of them.
#[test]
fn no_schedule_elects_two() {
    let walks = std::env::var("PGLOOKOUT_VOTES_WALKS");
    let walks = walks
        .ok()
        .and_then(|walks| walks.parse().ok())
        .unwrap_or(3_000);
    let limits = Limits {
        candidates: vec![0, 1, 2],
        terms: 6,
        crashes: 4,
        waits: 12,
        seconds: &[3, 1_000],
        fails: true,
    };
    let mut draw = draws(0x5EED_07E5);
    let (mut wins, mut contested) = (0, 0);
    for _ in 0..walks {
        let mut world = World::new();
        for _ in 0..120 {
            let act = pick(&world.acts(&limits), &mut draw);
            world.act(act);
        }
        wins += world.won.len();
        let winners: BTreeSet<_> = world.won.values().collect();
        contested += usize::from(winners.len() > 1);
    }
    println!(
        "{walks} schedules, {wins} elections won, {contested} schedules with several winners in several terms"
    );
    assert!(
        wins > walks / 3 && contested > walks / 300,
        "{wins} {contested}"
    );
}

/// Mostly things go well, or hardly anybody would be elected: what was sent or begun last comes first.
fn pick(acts: &[Act], draw: &mut impl FnMut(usize) -> usize) -> Act {
    let is_fault = |act: &&Act| matches!(act, Act::Failed(..) | Act::Crash(..) | Act::Wait(_));
    let is_message = |act: &&Act| matches!(act, Act::Request(_) | Act::Answer(_));
    let faults: Vec<_> = acts.iter().filter(is_fault).collect();
    let messages: Vec<_> = acts.iter().filter(is_message).collect();
    let others = acts.iter().filter(|act| !is_fault(act) && !is_message(act));
    let others: Vec<_> = others.collect();
    let from = match draw(20) {
        0 => faults,
        1..=6 => others,
        7..=14 => {
            let newest = messages.len().saturating_sub(4);
            messages[newest..].to_vec()
        }
        _ => messages,
    };
    match from.len() {
        0 => acts[draw(acts.len())],
        count => *from[draw(count)],
    }
}

/// Everything that can happen to two candidates, a crash and the end of all promises, breadth first.
#[test]
fn nothing_within_bounds_elects_two() {
    let limits = Limits {
        candidates: vec![0, 1],
        terms: 2,
        crashes: 1,
        waits: 1,
        seconds: &[1_000],
        // A crash is as bad.
        fails: false,
    };
    let mut queue = VecDeque::from([(World::new(), 0)]);
    let (mut seen, mut won) = (HashSet::new(), 0);
    let mut deepest = 0;
    while let Some((world, depth)) = queue.pop_front() {
        if seen.len() >= MOST_STATES {
            break;
        }
        deepest = depth;
        won += usize::from(!world.won.is_empty());
        for act in world.acts(&limits) {
            let mut next = world.clone();
            next.act(act);
            next.exchanges.retain(|_, _| false);
            if seen.insert(key(&next)) {
                queue.push_back((next, depth + 1));
            }
        }
    }
    println!(
        "{} states to depth {deepest}, {won} with a winner",
        seen.len()
    );
    assert!(won > 100, "{won}");
}

/// Equal states are equal texts.
fn key(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{world:?}").hash(&mut hasher);
    hasher.finish()
}

const MOST_STATES: usize = 25_000;
