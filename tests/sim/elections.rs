//! The referee of elections. It judges by what was written to disks, what was sent and answered, and by
//! true time; it asks no voter what it believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pglookout::config::VoterName;
use pglookout::failover::Verdict;
use pglookout::lookout::{Effect, Event};
use pglookout::simulation::{Fault, HostId, Micros, Promotion, Setup, VoteFault, World, micros};
use pglookout::votes::{Answer, ExchangeId, Kind, Mandate, Nonce, Record, Request};

use crate::assumptions::{A1, Assumptions};
use crate::counts::Counts;
use crate::lists::{Counts as ListCounts, Lists};
use crate::truth::Truth;
use crate::violation::Violation;

/// What truly happened.
pub(crate) struct Elections {
    pub(crate) voters: Vec<Voter>,
    /// Which attempts have had the vote of whom on the disk, by term.
    pub(crate) written: BTreeMap<(u64, VoterName, Nonce), BTreeSet<VoterName>>,
    /// Who has begun a failover command as elected in each term, or has written that it holds it.
    pub(crate) winners: BTreeMap<u64, HostId>,
    /// The attempts by which they were.
    pub(crate) won: BTreeSet<Nonce>,
    /// When each request was first sent, and to whom.
    sent: BTreeMap<(HostId, Nonce, Kind), Micros>,
    /// When each attempt began.
    pub(crate) begun: BTreeMap<Nonce, Micros>,
    /// Nothing is wrong with anything, and there is a primary.
    pub(crate) is_calm: bool,
    /// Requests are held up, or repeated later.
    pub(crate) is_held_up: bool,
    pub(crate) assumptions: Assumptions,
    pub(crate) counts: Counts,
}

/// A voter, by what it has written and answered.
#[derive(Default)]
pub(crate) struct Voter {
    /// What was written last.
    pub(crate) record: Option<Record>,
    promise: Option<Promise>,
    asked: BTreeMap<ExchangeId, Request>,
    /// A holder has released its term for this one.
    pub(crate) named: Option<VoterName>,
    /// A write of the running process has not come back well yet.
    pub(crate) writes: bool,
    /// What the running process knows to be released.
    pub(crate) released: BTreeSet<Nonce>,
    /// The lists that its disk has held, since when, with the former voters where these count too.
    pub(crate) lists: Vec<(Micros, Lists)>,
    /// Whose file it is.
    name: Option<VoterName>,
    /// The running process could use the vote file.
    has_file: bool,
    /// Writes are slow.
    is_slow: bool,
    /// Writes fail.
    is_full: bool,
    /// It may end in its next write, until all is healed.
    ends: bool,
}

/// A vote was given, and nobody else gets one before that time.
struct Promise {
    to: Mandate,
    until: Micros,
}

impl Elections {
    pub(crate) fn new(setup: &Setup) -> Self {
        let lists = ListCounts::new(setup);
        Self {
            voters: (0..setup.hosts()).map(|_| Voter::default()).collect(),
            written: BTreeMap::new(),
            winners: BTreeMap::new(),
            won: BTreeSet::new(),
            sent: BTreeMap::new(),
            begun: BTreeMap::new(),
            is_calm: true,
            is_held_up: false,
            assumptions: Assumptions::default(),
            counts: Counts {
                lists,
                ..Counts::default()
            },
        }
    }

    pub(crate) fn fault(&mut self, fault: &Fault) {
        self.is_calm = false;
        match *fault {
            Fault::Votes(VoteFault::HoldsUp(percent)) => self.is_held_up = percent > 0,
            Fault::Votes(VoteFault::SlowDisk(host, by)) => self.voters[host].is_slow = by > 0,
            Fault::Votes(VoteFault::DiskFull(host, is_full)) => self.voters[host].is_full = is_full,
            Fault::Votes(VoteFault::EndsInWrite(host, _)) => self.voters[host].ends = true,
            Fault::Votes(VoteFault::Edits(_, _, (_, is_careless))) => {
                self.counts.lists.is_careless |= is_careless;
            }
            _ => {}
        }
    }

    pub(crate) fn started(&mut self, host: HostId) {
        let voter = &mut self.voters[host];
        voter.has_file = false;
        voter.asked.clear();
        voter.released.clear();
        voter.writes = false;
    }

    pub(crate) fn healed(&mut self) {
        self.is_held_up = false;
        for voter in &mut self.voters {
            (voter.is_slow, voter.is_full, voter.ends) = (false, false, false);
        }
    }

    /// All have agreed on the one primary.
    pub(crate) fn all_is_well(&mut self) {
        self.is_calm = true;
    }

    /// How many voters live and could vote among these hosts.
    pub(crate) fn able(&self, world: &World<'_>, hosts: impl Iterator<Item = HostId>) -> usize {
        let is_able = |host: &HostId| {
            let voter = &self.voters[*host];
            let writes = !voter.is_slow && !voter.is_full && !voter.ends;
            world.is_alive(*host) && voter.has_file && writes
        };
        hosts
            .filter(|host| !world.is_asleep(*host))
            .filter(is_able)
            .count()
    }

    pub(crate) fn is_able(&self, world: &World<'_>, host: HostId) -> bool {
        self.able(world, std::iter::once(host)) == 1
    }

    pub(crate) fn is_standby_with_term(&self, world: &World<'_>, host: HostId) -> bool {
        let record = self.voters[host].record.as_ref();
        !world.databases()[host].is_primary && record.is_some_and(|it| it.held_term != 0)
    }

    /// A vote file has reached the disk: terms only grow, and in each there is one vote.
    pub(crate) fn file_written(
        &mut self,
        world: &World<'_>,
        host: HostId,
        record: &Record,
    ) -> Option<Violation> {
        self.becomes(world, host);
        self.voters[host].lists_written(record, world.now());
        // Rule V8: whoever has voted for a loser renews the winner's term.
        let to = record.voted_for.as_ref();
        let is_elected = world.setup().leases().is_some()
            && to.is_some_and(|to| self.is_elected(world, record.term, to));
        if let Some(mandate) = &record.voted_for {
            let of = (record.term, mandate.candidate.clone(), mandate.nonce);
            let own = world.voter(host).cloned();
            self.written.entry(of).or_default().extend(own);
        }
        let before = self.voters[host].record.replace(record.clone());
        self.list_moves(before.as_ref(), record);
        let goes_back = before.is_some_and(|before| {
            is_older(record, &before) && !(is_elected && record.term == before.term)
        });
        let found = goes_back.then_some(Violation::RecordGoesBack(host, record.term));
        self.assumptions.unless_broken(found)
    }

    pub(crate) fn event(&mut self, world: &World<'_>, host: HostId, event: &Event) {
        match event {
            Event::VoteFileRead { found, .. } => {
                self.voters[host].has_file = found.is_ok();
                match found {
                    Ok(record) => {
                        self.becomes(world, host);
                        self.file_read(host, record);
                    }
                    Err(_) => self.counts.files_lost += 1,
                }
            }
            Event::VoteSaved { done: true, .. } => self.voters[host].writes = false,
            Event::VoteRequested { id, request } => {
                let is_late = self.is_late(world, host, request.nonce, request.kind);
                self.counts.late_requests += u64::from(is_late);
                let voter = &mut self.voters[host];
                voter.asked.insert(*id, request.clone());
                if request.kind == Kind::Release {
                    let by = mandate(&request.from, request.nonce);
                    let record = voter.record.as_ref();
                    let is_written = record.is_some_and(|record| {
                        record.term == request.term && record.voted_for.as_ref() == Some(&by)
                    });
                    voter.release(&by);
                    // Whoever has asked again since, and been written down, has dropped what it asked for
                    // before: nothing of that is left to be promised.
                    if is_written {
                        voter.release_all_of(&by);
                    }
                    voter.named.clone_from(&request.successor);
                }
            }
            _ => {}
        }
    }

    /// What a new process finds must be what was written last, or what had not quite been written.
    fn file_read(&mut self, host: HostId, found: &Record) {
        let last = self.voters[host].record.as_ref();
        // Whoever releases the term that it holds has written so.
        let is_put_back = |last: &Record| is_older(found, last) || found.held_term < last.held_term;
        if last.is_some_and(is_put_back) {
            self.assumptions.end(A1);
            self.voters[host].record = Some(found.clone());
        }
    }

    /// Was this asked of this voter so long ago that nobody waits for the answer any more.
    fn is_late(&self, world: &World<'_>, host: HostId, nonce: Nonce, kind: Kind) -> bool {
        let timeout = world.setup().voting().map(|it| micros(it.vote_timeout));
        let sent = self.sent.get(&(host, nonce, kind));
        let age = sent.map_or(0, |sent| world.now() - sent);
        age > timeout.unwrap_or_default()
    }

    /// What a daemon wants done.
    pub(crate) fn effects(
        &mut self,
        world: &World<'_>,
        truth: &Truth,
        host: HostId,
        effects: &[Effect],
    ) -> Option<Violation> {
        let mut found = None;
        let decided = |effect: &Effect| {
            let verdict = effect.decided().map(|round| &round.decision.verdict);
            matches!(verdict, Some(Verdict::Promote { .. }))
        };
        let asks =
            |effect: &Effect| matches!(effect, Effect::SendVote(it) if it.kind == Kind::AskVote);
        let begins = effects.iter().any(decided) && effects.iter().any(asks);
        self.counts.begun += u64::from(begins);
        for effect in effects {
            let next = match effect {
                Effect::SendVote(request) => self.asks(world, host, request),
                Effect::AnswerVote { id, answer } => self.answers(world, host, *id, answer),
                Effect::SaveVote { record, .. } => {
                    self.voters[host].writes = true;
                    self.saves(world, truth, host, record)
                }
                _ => None,
            };
            found = found.or(next);
        }
        found
    }

    /// Rule C3: whoever asks for votes has written its own down. It is given with that.
    fn asks(&mut self, world: &World<'_>, host: HostId, request: &Request) -> Option<Violation> {
        let to = world.setup().voter_host(&request.to).unwrap();
        let of = (to, request.nonce, request.kind);
        self.sent.entry(of).or_insert(world.now());
        self.begun.entry(request.nonce).or_insert(world.now());
        let own = mandate(&request.from, request.nonce);
        match request.kind {
            Kind::AskVote | Kind::AskRenew => None,
            Kind::Renew => self.asks_renewal(world, host, request),
            Kind::Release => self.releases(world, host, request),
            // Once for all voters.
            Kind::Vote if self.voters[host].has_promised_to(&own) => None,
            Kind::Vote => {
                self.counts.held += 1;
                let unwritten = !self.has_written(host, request.term, &own);
                let found = unwritten.then_some(Violation::AsksUnwritten(host, request.term));
                found.or_else(|| self.grants(world, host, (request.term, &own), request.lease))
            }
        }
    }

    /// Rule V6: nothing is granted before it is written.
    fn answers(
        &mut self,
        world: &World<'_>,
        host: HostId,
        id: ExchangeId,
        answer: &Answer,
    ) -> Option<Violation> {
        let request = self.voters[host].asked.remove(&id)?;
        if request.kind != Kind::Vote {
            if request.kind == Kind::Release && answer.refusal.is_none() {
                self.voters[host].released.insert(request.mandate);
            }
            return self.renews(world, host, (&request, answer));
        }
        let name = answer.refusal.map_or("granted", |refusal| refusal.name());
        *self.counts.answers.entry(name).or_default() += 1;
        if answer.refusal.is_some() {
            return None;
        }
        let to = mandate(&request.from, request.nonce);
        if !self.has_written_for(host, request.term, (&to, request.lease)) {
            return Some(Violation::GrantUnwritten(host, request.term));
        }
        self.grants(world, host, (request.term, &to), request.lease)
    }

    /// Is this vote what the disk of this voter holds.
    pub(crate) fn has_written(&self, host: HostId, term: u64, to: &Mandate) -> bool {
        let record = self.voters[host].record.as_ref();
        record.is_some_and(|it| it.term == term && it.voted_for.as_ref() == Some(to))
    }

    /// A vote is given, or renewed: to nobody else before the time of the last one is over, but to whoever
    /// has been elected meanwhile.
    pub(crate) fn grants(
        &mut self,
        world: &World<'_>,
        host: HostId,
        (term, to): (u64, &Mandate),
        lease: Duration,
    ) -> Option<Violation> {
        let now = world.now();
        if !self.voters[host].has_file {
            return Some(Violation::VotesWithoutFile(host));
        }
        let before = self.voters[host].promise.take();
        let is_same = |it: &Promise| it.to.candidate == to.candidate;
        let earlier = before.as_ref().filter(|it| is_same(it)).map(|it| it.until);
        let until = now + world.span(host, promise(lease));
        self.voters[host].promise = Some(Promise {
            to: to.clone(),
            until: earlier.unwrap_or_default().max(until),
        });
        let is_elected = world.setup().leases().is_some() && self.is_elected(world, term, to);
        let broken = before.filter(|it| !is_same(it) && it.until > now && !is_elected);
        let found = broken.map(|it| {
            let candidate = world.setup().voter_host(&it.to.candidate).unwrap();
            Violation::PromiseBroken(host, candidate, it.until - now)
        });
        self.assumptions.unless_broken(found)
    }

    /// In calm nobody votes, but for a request from before that arrives only now. Rule V5: nor does
    /// whoever has just reached another primary.
    fn saves(
        &mut self,
        world: &World<'_>,
        truth: &Truth,
        host: HostId,
        record: &Record,
    ) -> Option<Violation> {
        let to = record.voted_for.as_ref()?;
        // What is held is written beside the vote; a renewal can be of what a majority has given.
        let is_said = self.has_written(host, record.term, to);
        let is_renewed = self.voters[host].is_asked_to_renew(to);
        let may_repeat = world.setup().leases().is_some() || !world.setup().lists.is_empty();
        if may_repeat && (is_said || is_renewed) {
            return None;
        }
        let is_late = self.is_late(world, host, to.nonce, Kind::Vote);
        if self.is_calm && !is_late && !self.is_claim(world, record.term, to) {
            return Some(Violation::VotesInCalm(host, record.term));
        }
        // Its predecessor was to be stopped.
        if self.voters[host].named.as_ref() == Some(&to.candidate) {
            return None;
        }
        let candidate = world.setup().voter_host(&to.candidate);
        let mut nodes = 0..world.setup().nodes.len();
        let sighted = nodes
            .find(|node| Some(*node) != candidate && has_just_reached(world, truth, host, *node))?;
        Some(Violation::VotesAgainst(host, sighted))
    }

    /// A failover command begins: by an election, where voters elect, and by nobody else's in this term.
    pub(crate) fn promotion(
        &mut self,
        world: &World<'_>,
        promotion: &Promotion,
    ) -> Option<Violation> {
        if !world.setup().elects() {
            return None;
        }
        let host = promotion.host;
        let Some(term) = world.core(host).elected_term() else {
            return Some(Violation::NotElected(host));
        };
        self.counts.won += 1;
        let elected = self.elected(world, host, term);
        self.won.extend(elected);
        // Whoever holds a term may run the command again in it.
        let first = self.winners.insert(term, host);
        let first = first.filter(|first| world.setup().leases().is_none() || *first != host);
        let second = first.map(|first| Violation::TwoWinners(first, host, term));
        let found = match elected {
            None => Some(Violation::NotElected(host)),
            Some(_) if second.is_some() => second,
            Some(nonce) => {
                let hosts = 0..world.setup().hosts();
                // A holder's own vote is its own for as long as it votes for nobody else: its rounds
                // of renewals are for the others.
                let keeps = |voter: &HostId| match *voter == host {
                    true => self.voters[host].votes_for(nonce),
                    false => self.voters[*voter].keeps_promise_to(nonce, world.now()),
                };
                let kept = hosts.filter(keeps).filter_map(|host| world.voter(host));
                let kept = kept.cloned().collect();
                let is_enough = self.is_enough(world, host, (nonce, &kept));
                (!is_enough).then_some(Violation::ElectedLate(host, term))
            }
        };
        self.assumptions.unless_broken(found)
    }
}

impl Voter {
    /// Has the file of another voter taken the place of the one before; is that so.
    pub(crate) fn becomes(&mut self, name: Option<&VoterName>) -> bool {
        let is_another = self.name.as_ref() != name;
        if is_another {
            self.name = name.cloned();
            self.promise = None;
        }
        is_another
    }

    pub(crate) fn release(&mut self, by: &Mandate) {
        self.promise.take_if(|promise| promise.to == *by);
    }

    fn release_all_of(&mut self, by: &Mandate) {
        let is_its = |promise: &mut Promise| promise.to.candidate == by.candidate;
        self.promise.take_if(is_its);
    }

    fn votes_for(&self, nonce: Nonce) -> bool {
        let promise = self.promise.as_ref();
        promise.is_some_and(|promise| promise.to.nonce == nonce)
    }

    fn keeps_promise_to(&self, nonce: Nonce, now: Micros) -> bool {
        let promise = self.promise.as_ref();
        self.votes_for(nonce) && promise.is_some_and(|promise| promise.until > now)
    }

    /// Does a request wait that renews this.
    fn is_asked_to_renew(&self, to: &Mandate) -> bool {
        let mut asked = self.asked.values();
        asked.any(|it| it.kind == Kind::Renew && it.from == to.candidate && it.mandate == to.nonce)
    }

    fn has_promised_to(&self, candidate: &Mandate) -> bool {
        let promise = self.promise.as_ref();
        promise.is_some_and(|promise| promise.to == *candidate)
    }
}

/// Has this host reached this node as a primary less than one poll interval ago, and not only in this
/// moment: voters look back for two.
fn has_just_reached(world: &World<'_>, truth: &Truth, host: HostId, node: HostId) -> bool {
    let known = &truth.hosts[host];
    let (polled, contact) = (known.polled[node], known.knowledge.answered[node]);
    let (Some(polled), Some(contact)) = (polled, contact) else {
        return false;
    };
    let now = world.now();
    let young = micros(world.core(host).config().poll_interval);
    polled.answered && contact.at == polled.ended && contact.at < now && now - contact.at < young
}

pub(crate) fn mandate(candidate: &VoterName, nonce: Nonce) -> Mandate {
    Mandate {
        candidate: candidate.clone(),
        nonce,
    }
}

/// Has it forgotten something that the other one says.
fn is_older(record: &Record, than: &Record) -> bool {
    let is_same_vote = record.term == than.term && record.voted_for == than.voted_for;
    let is_shorter = record.promise < whole_millis(than.promise);
    record.term < than.term
        || (record.term == than.term && !is_same_vote)
        || (is_same_vote && is_shorter)
}

/// By section "Timers" of the protocol: one part in 32 longer than the lease.
pub(crate) fn promise(lease: Duration) -> Duration {
    lease + lease / 32
}

/// As it stands in the file.
pub(crate) fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap())
}
