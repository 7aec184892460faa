//! Daemons whose list of voters changes, against an adversary: hosts are edited one after the other in
//! any order, and not all; the network keeps every message for ever, and delivers each when it likes, as
//! often as it likes, or never; daemons crash between a write and its answer. What has to hold all the
//! same: one winner in each term, and with leases never two of them, nor two servers that take commits.
//! Clocks are right here: `model_world` has wrong ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{FENCE, LEASES, Server, TIMERS, cluster, name, standby};
use super::*;
use crate::config::VoterName;
use crate::time::Monotonic;

pub(super) const HOSTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
#[derive(Clone, Debug)]
struct Host {
    /// `None`: there is no vote file yet.
    member: Option<Member>,
    disk: Option<Record>,
    writing: Option<(SaveId, Record)>,
    /// Of which list its configuration is; whether its names are wrong.
    configured: (usize, bool),
    starts: u8,
    server: Server,
    guard: Option<Monotonic>,
}

/// The world, and what has come of it.
#[derive(Clone, Debug)]
pub(super) struct World {
    hosts: Vec<Host>,
    /// The voters of each generation, from 1.
    lists: Vec<&'static str>,
    timers: Timers,
    elapsed: Duration,
    requests: Vec<Request>,
    answers: Vec<Answer>,
    exchanges: u64,
    /// Questions that change no vote arrive at once, and so do their answers.
    is_prompt: bool,
    /// Which hosts reach each other for now, one bit for each.
    part: usize,
    /// How often a list was taken, accepted or sealed by a voter.
    pub(super) moves: usize,
    /// Who has won each term.
    pub(super) won: BTreeMap<u64, usize>,
}

fn index(name: &VoterName) -> usize {
    let index = HOSTS.iter().position(|it| *it == name.as_str());
    index.unwrap()
}

impl World {
    /// `lists`: one after the other, a letter for each voter.
    pub(super) fn new(lists: &[&'static str], has_leases: bool) -> Self {
        let host = |_| Host {
            member: None,
            disk: None,
            writing: None,
            configured: (0, false),
            starts: 0,
            server: Server::Standby,
            guard: None,
        };
        let mut world = Self {
            hosts: HOSTS.iter().map(host).collect(),
            lists: lists.to_vec(),
            timers: if has_leases { LEASES } else { TIMERS },
            elapsed: Duration::ZERO,
            requests: Vec::new(),
            answers: Vec::new(),
            exchanges: 0,
            is_prompt: true,
            part: usize::MAX,
            moves: 0,
            won: BTreeMap::new(),
        };
        for at in 0..HOSTS.len() {
            if world.is_in(at, 0) {
                world.make_file(at, Record::new(world.list(0, false)));
            }
        }
        world
    }

    fn is_in(&self, at: usize, list: usize) -> bool {
        self.lists[list].contains(HOSTS[at])
    }

    /// With wrong names there is a voter that nobody else has.
    fn list(&self, at: usize, is_wrong: bool) -> VoterList {
        let names = self.lists[at].chars().map(|it| name(&it.to_string()));
        let wrong = is_wrong.then(|| name("x"));
        VoterList {
            generation: at as u64 + 1,
            names: names.chain(wrong).collect(),
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(1_000)) + self.elapsed
    }

    fn has_leases(&self) -> bool {
        self.timers.hold.is_some()
    }

    fn make_file(&mut self, at: usize, record: Record) {
        self.hosts[at].disk = Some(record);
        self.start(at);
    }

    /// A process begins with what is on the disk.
    fn start(&mut self, at: usize) {
        let (now, timers) = (self.now(), self.timers);
        let host = &mut self.hosts[at];
        let Some(record) = host.disk.clone() else {
            return;
        };
        host.starts += 1;
        let seed = ((at as u128 + 1) << 64) | (u128::from(host.starts) << 32);
        let names = (cluster(), name(HOSTS[at]));
        let mut member = Member::new(names, record, timers, seed, now);
        match host.server {
            Server::Primary => member.primary_runs(now),
            Server::Standby => member.give_up(),
            Server::Down => {}
        }
        host.member = Some(member);
        self.configure(at);
    }

    fn configure(&mut self, at: usize) {
        let (list, is_wrong) = self.hosts[at].configured;
        let list = self.list(list, is_wrong);
        self.act(at, |member, _, _, out| {
            member.configure(list, &BTreeMap::new(), out);
        });
    }

    fn act(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Member, &OwnServer, Monotonic, &mut Vec<Output>),
    ) {
        let (mut out, now) = (Vec::new(), self.now());
        if let Some(member) = &mut self.hosts[at].member {
            act(member, &standby(100), now, &mut out);
        }
        self.take(at, out);
        self.check();
    }

    /// Something happens. `draw`: below this number.
    pub(super) fn happen(&mut self, draw: &mut impl FnMut(usize) -> usize) {
        let at = draw(HOSTS.len());
        self.is_prompt = draw(4) > 0;
        if draw(8) == 0 {
            self.part = [usize::MAX, draw(1 << HOSTS.len())][draw(2)];
        }
        match draw(40) {
            0 => match draw(8) {
                0..=2 => self.elapsed += Duration::from_secs([1, 1, 3, 3, 17, 100][draw(6)]),
                3 | 4 => self.edit(at, draw(16) == 0),
                5 => self.crash(at, draw(2) == 0),
                _ => self.fail(at, draw(2) == 0),
            },
            1 if draw(4) == 0 => self.stand(at),
            1..=4 => self.act(at, |member, server, now, out| member.tick(server, now, out)),
            5 => self.serve(at, draw(16) == 0),
            6 => self.elect(at),
            7..=15 => {
                let writes = |it: &usize| self.hosts[*it].writing.is_some();
                if let Some(at) = (0..HOSTS.len()).find(writes) {
                    self.written(at);
                }
            }
            16..=27 => {
                if let Some(nth) = newest(self.answers.len(), draw) {
                    self.deliver_answer(nth);
                }
            }
            _ => {
                if let Some(nth) = newest(self.requests.len(), draw) {
                    self.deliver(nth);
                }
            }
        }
    }

    /// An operator edits the file of this host, or makes its vote file, and reloads.
    fn edit(&mut self, at: usize, is_wrong: bool) {
        let (list, was_wrong) = self.hosts[at].configured;
        let is_new = self.hosts[at].member.is_none();
        let newest = self.hosts.iter().map(|host| host.configured.0).max();
        let next = match (is_new, was_wrong) {
            (true, _) => newest.unwrap_or(0),
            (false, true) => list,
            (false, false) => (list + 1).min(self.lists.len() - 1),
        };
        // Two lists of one generation on many hosts are more than is borne: neither may find a majority.
        let is_first = !self.hosts.iter().any(|host| {
            let member = host.member.as_ref();
            let has = |it: &Member| it.list().names.contains(&name("x"));
            host.configured == (next, true) || member.is_some_and(has)
        });
        self.set(at, next, is_wrong && is_first && next > 0);
    }

    fn stand(&mut self, at: usize) {
        if self.hosts[at].server == Server::Standby {
            self.act(at, |member, server, now, out| {
                member.stand(server, now, out);
            });
        }
    }

    /// The same, with a network and disks that are well for that long.
    fn elect(&mut self, at: usize) {
        let (asked, answered) = (self.requests.len(), self.answers.len());
        self.stand(at);
        let (mut requests, mut answers) = (asked, answered);
        loop {
            let writes = |it: &usize| self.hosts[*it].writing.is_some();
            if let Some(at) = (0..HOSTS.len()).find(writes) {
                self.written(at);
            } else if let Some(answer) = self.answers.get(answers).cloned() {
                answers += 1;
                if self.reaches(&answer.from, &answer.to) {
                    self.answered(answer);
                }
            } else if let Some(request) = self.requests.get(requests).cloned() {
                requests += 1;
                if self.reaches(&request.from, &request.to) {
                    self.ask(&request);
                }
            } else {
                return;
            }
        }
    }

    fn crash(&mut self, at: usize, happened: bool) {
        let host = &mut self.hosts[at];
        if let Some((_, record)) = host.writing.take().filter(|_| happened) {
            host.disk = Some(record);
        }
        self.start(at);
    }

    fn written(&mut self, at: usize) {
        if let Some((id, record)) = self.hosts[at].writing.take() {
            self.hosts[at].disk = Some(record);
            self.act(at, |member, server, now, out| {
                member.saved(id, true, server, now, out);
            });
        }
    }

    /// The write is repeated, so it stays to be written.
    fn fail(&mut self, at: usize, happened: bool) {
        if let Some((id, record)) = self.hosts[at].writing.clone() {
            if happened {
                self.hosts[at].disk = Some(record);
            }
            self.act(at, |member, server, now, out| {
                member.saved(id, false, server, now, out);
            });
        }
    }

    /// What is done with the server of a host, through the gate or by a person.
    fn serve(&mut self, at: usize, gives_up: bool) {
        let now = self.now();
        let host = &mut self.hosts[at];
        let Some(member) = &mut host.member else {
            return;
        };
        let (stage, mut out) = (member.holder().map(Holder::stage), Vec::new());
        let lease = member.holder().and_then(|it| it.lease(now));
        match (stage, host.server) {
            (Some(Stage::Fencing { .. }), _) => {
                if host.server == Server::Primary {
                    host.server = Server::Down;
                }
                member.fenced(now, &mut out);
            }
            (Some(Stage::Holding), _) if gives_up => member.give_up(),
            (Some(Stage::Holding), Server::Down) if lease > Some(now + FENCE * 2) => {
                host.server = Server::Primary;
            }
            (Some(Stage::Waiting { is_fenced: false }), Server::Down) => {
                host.server = Server::Standby;
                member.give_up();
            }
            (_, Server::Down) => {
                host.server = Server::Standby;
                member.standby_runs(&mut out);
            }
            _ => {}
        }
        self.take(at, out);
        self.check();
    }

    fn reaches(&self, from: &VoterName, to: &VoterName) -> bool {
        let is_in = |name| self.part >> index(name) & 1;
        is_in(from) == is_in(to)
    }

    fn deliver(&mut self, nth: usize) {
        let request = self.requests[nth].clone();
        self.ask(&request);
    }

    fn ask(&mut self, request: &Request) {
        self.exchanges += 1;
        let id = ExchangeId(self.exchanges);
        self.act(index(&request.to), |member, server, now, out| {
            member.requested(id, request, server, now, out);
        });
    }

    fn deliver_answer(&mut self, nth: usize) {
        let answer = self.answers[nth].clone();
        self.answered(answer);
    }

    fn answered(&mut self, answer: Answer) {
        let (of, from) = ((answer.nonce, answer.kind), answer.from.clone());
        self.act(index(&answer.to), |member, server, now, out| {
            member.answered(&from, of, Ok(answer), server, now, out);
        });
    }

    fn take(&mut self, at: usize, out: Vec<Output>) {
        for output in out {
            match output {
                // Nobody is there.
                Output::Send(request) if request.to.as_str() == "x" => {}
                Output::Send(request) => {
                    let is_question = matches!(request.kind, Kind::AskVote | Kind::AskRenew);
                    if !is_question || !self.is_prompt || !self.reaches(&request.from, &request.to)
                    {
                        self.requests.push(request);
                        continue;
                    }
                    let known = self.answers.len();
                    self.ask(&request);
                    if self.answers.len() > known {
                        self.answered(self.answers[known].clone());
                    }
                }
                Output::Answer(_, answer) => self.answers.push(answer),
                Output::Save(id, record) => self.hosts[at].writing = Some((id, record)),
                Output::Guard(until) => {
                    let host = &mut self.hosts[at];
                    assert!(until.is_some() || host.server != Server::Primary);
                    host.guard = until;
                }
                Output::Elected(term) => {
                    let before = self.won.insert(term, at);
                    assert_eq!(before, None, "term {term} was won twice, now by {at}");
                    if self.has_leases() {
                        self.hosts[at].server = Server::Primary;
                    }
                }
                Output::Left(_) => assert_ne!(self.hosts[at].server, Server::Primary),
                Output::Claimed(_) => panic!("a standby has claimed a term"),
                Output::ListMoved => self.moves += 1,
                Output::Lost | Output::LeaseLost(_) | Output::Reserved(_) => {}
            }
        }
    }

    fn check(&mut self) {
        let now = self.now();
        for host in &mut self.hosts {
            let is_over = host.guard.is_some_and(|deadline| deadline + FENCE <= now);
            if host.server == Server::Primary && is_over {
                host.server = Server::Down;
            }
        }
        assert!(self.leases() < 2, "two leases");
        let takes_commits = |host: &&Host| host.server == Server::Primary;
        let writers = self.hosts.iter().filter(takes_commits).count();
        assert!(writers < 2, "two take commits");
    }

    fn leases(&self) -> usize {
        let members = self.hosts.iter().filter_map(|host| host.member.as_ref());
        let holders = members.filter_map(Member::holder);
        let leases = holders.filter(|holder| holder.lease(self.now()).is_some());
        leases.count()
    }

    /// The network heals, and the operator edits every host, one generation after the other as
    /// soon as every host says that it may. Returns how long that takes, until somebody is elected by the
    /// last list alone; `None`: it comes to nothing.
    pub(super) fn heal(&mut self, order: &[usize]) -> Option<u64> {
        (self.is_prompt, self.part) = (false, usize::MAX);
        (self.requests, self.answers) = (Vec::new(), Vec::new());
        let mut sealed_at = None;
        for second in 0..900_u64 {
            self.elapsed += Duration::from_secs(1);
            let is_sealed = self.is_sealed_everywhere();
            for at in order.iter().copied() {
                self.act(at, |member, server, now, out| member.tick(server, now, out));
                self.serve(at, false);
                if second.is_multiple_of(7) && !is_sealed {
                    self.go_on_editing(at, second);
                }
            }
            // Somebody who may be promoted asks, if nobody is elected.
            if self.leases() == 0 {
                self.stand(order[second as usize % order.len()]);
            }
            self.settle();
            if is_sealed && sealed_at.is_none() {
                sealed_at = Some(self.won.last_key_value().map_or(0, |(term, _)| *term));
            }
            let last = self.won.last_key_value().map_or(0, |(term, _)| *term);
            if sealed_at.is_some_and(|before| last > before) || is_sealed && self.leases() == 1 {
                return Some(second);
            }
        }
        None
    }

    /// Where every host stands.
    pub(super) fn described(&self) -> String {
        let host = |(at, host): (usize, &Host)| {
            let (list, is_wrong) = host.configured;
            let member = host.member.as_ref().map(|member| {
                let (list, roll) = (member.list().generation, member.roll());
                let (term, standing) = (member.voter().record().term, member.standing(self.now()));
                format!(
                    "{list} {:?} floor {}, term {term}, {standing:?}",
                    roll.stage, roll.floor
                )
            });
            format!(
                "{}: configured {}{}, {}, {:?}\n",
                HOSTS[at],
                list + 1,
                if is_wrong { "?" } else { "" },
                member.unwrap_or_default(),
                host.server
            )
        };
        let hosts = self.hosts.iter().enumerate().map(host);
        format!("{:?}\n{}", self.lists, hosts.collect::<String>())
    }

    fn is_sealed_everywhere(&self) -> bool {
        let last = self.lists.len();
        let is_done = |at: &usize| {
            let member = self.hosts[*at].member.as_ref();
            member.is_some_and(|it| {
                it.list().generation == last as u64 && it.roll().stage == ListStage::Sealed
            })
        };
        let mut all = (0..HOSTS.len()).filter(|at| self.is_in(*at, last - 1));
        all.all(|at| is_done(&at))
    }

    /// The next edit of this host. Whoever is behind is given what the others have, or what its own log
    /// asks for; the next change begins once everybody says that it may.
    fn go_on_editing(&mut self, at: usize, second: u64) {
        let taken = |host: &Host| {
            let member = host.member.as_ref()?;
            let is_taken = member.roll().stage > ListStage::Joining;
            is_taken.then_some(member.list().generation as usize - 1)
        };
        let newest = self.hosts.iter().filter_map(taken).max().unwrap_or(0);
        let own = taken(&self.hosts[at]).unwrap_or(newest);
        let all = self.hosts.iter().filter_map(|host| host.member.as_ref());
        let mut all = all.filter(|member| member.list().names.contains(member.voter().name()));
        let may_go_on = all.all(|member| {
            let is_newest = member.list().generation as usize == newest + 1;
            is_newest && member.roll().stage == ListStage::Sealed
        });
        // The names that were accepted, were they meant or not.
        let is_wrong = self.hosts.iter().any(|host| {
            let member = host.member.as_ref();
            member.is_some_and(|it| {
                let is_newest = it.list().generation as usize == newest + 1;
                it.list().names.contains(&name("x"))
                    && is_newest
                    && it.roll().stage >= ListStage::Accepted
            })
        });
        let next = match may_go_on {
            true => newest + 1,
            false if own < newest && second.is_multiple_of(2) => own + 1,
            false => newest,
        };
        let next = next.min(self.lists.len() - 1);
        let wanted = (next, is_wrong && next == newest);
        if self.hosts[at].configured != wanted {
            self.set(at, wanted.0, wanted.1);
        }
    }

    fn set(&mut self, at: usize, list: usize, is_wrong: bool) {
        let is_new = self.hosts[at].member.is_none();
        if is_new && !self.is_in(at, list) {
            return;
        }
        self.hosts[at].configured = (list, is_wrong);
        match is_new {
            true => self.make_file(at, Record::joining(self.list(list, is_wrong))),
            false => self.configure(at),
        }
    }

    /// Everything that is sent arrives, until there is nothing more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if let Some(at) = (0..HOSTS.len()).find(|at| self.hosts[*at].writing.is_some()) {
                self.written(at);
            } else if !self.answers.is_empty() {
                self.deliver_answer(0);
                self.answers.remove(0);
            } else if !self.requests.is_empty() {
                self.deliver(0);
                self.requests.remove(0);
            } else {
                return;
            }
        }
        panic!("it does not settle");
    }
}

/// Mostly what was sent last.
fn newest(count: usize, draw: &mut impl FnMut(usize) -> usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some(match draw(4) {
        0 => draw(count),
        _ => last - draw(count.min(8)),
    })
}
