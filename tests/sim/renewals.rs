//! The referee of elections, continued: renewals of a lease, terms that are held, and their release.

use std::time::Duration;

use pglookout::simulation::{HostId, NodeId, World};
use pglookout::votes::{Answer, Kind, Mandate, Nonce, Record, Request};

use crate::elections::{Elections, mandate, promise, whole_millis};
use crate::violation::Violation;

impl Elections {
    /// A vote file that says that a term is held has reached the disk: nobody else holds it, and a majority
    /// has written the votes for it.
    pub(crate) fn holds(
        &mut self,
        world: &World<'_>,
        host: HostId,
        record: &Record,
    ) -> Option<Violation> {
        let term = record.held_term;
        if term == 0 || self.winners.get(&term) == Some(&host) {
            return None;
        }
        let elected = self.elected(world, host, term);
        self.won.extend(elected);
        let first = self.winners.insert(term, host);
        let second = first.map(|first| Violation::TwoWinners(first, host, term));
        let found = second.or(elected.is_none().then_some(Violation::NotElected(host)));
        self.assumptions.unless_broken(found)
    }

    /// Which attempt of this host has the votes of a majority in this term, on their disks.
    pub(crate) fn elected(&self, world: &World<'_>, host: HostId, term: u64) -> Option<Nonce> {
        let mut elected = self.written.iter().filter(|((of, candidate, _), _)| {
            *of == term && world.setup().voter_host(candidate) == Some(host)
        });
        elected
            .find(|((_, _, nonce), by)| self.is_enough(world, host, (*nonce, by)))
            .map(|((_, _, nonce), _)| *nonce)
    }

    /// Has this attempt the votes of a majority.
    pub(crate) fn is_elected(&self, world: &World<'_>, term: u64, to: &Mandate) -> bool {
        let of = (term, to.candidate.clone(), to.nonce);
        let voters = self.written.get(&of);
        let host = world.setup().voter_host(&to.candidate);
        host.zip(voters)
            .is_some_and(|(host, by)| self.is_enough(world, host, (to.nonce, by)))
    }

    /// A holder asks for renewals of what it has won. Its own voter renews with that, unless it writes.
    pub(crate) fn asks_renewal(
        &mut self,
        world: &World<'_>,
        host: HostId,
        request: &Request,
    ) -> Option<Violation> {
        let own = mandate(&request.from, request.mandate);
        if !self.won.contains(&request.mandate) {
            let found = Violation::RenewsUnwon(host, request.term);
            return self.assumptions.unless_broken(Some(found));
        }
        // What is asked of all counts once.
        let is_first = world.setup().voter_host(&request.to) == Some(usize::from(host == 0));
        let renews = !self.voters[host].writes && self.has_written(host, request.term, &own);
        match is_first && renews {
            true => self.grants(world, host, (request.term, &own), request.lease),
            false => None,
        }
    }

    /// Rules V7 and V8: a renewal that was taken.
    pub(crate) fn renews(
        &mut self,
        world: &World<'_>,
        host: HostId,
        (request, answer): (&Request, &Answer),
    ) -> Option<Violation> {
        if answer.refusal.is_some() || request.kind != Kind::Renew {
            return None;
        }
        self.counts.renewals += 1;
        let to = mandate(&request.from, request.mandate);
        if !self.has_written_for(host, request.term, (&to, request.lease)) {
            return Some(Violation::GrantUnwritten(host, request.term));
        }
        if self.voters[host].released.contains(&to.nonce) {
            let found = Violation::RenewsReleased(host, request.term);
            return self.assumptions.unless_broken(Some(found));
        }
        self.grants(world, host, (request.term, &to), request.lease)
    }

    /// Is this vote what the disk of this voter holds, with a promise for this lease.
    pub(crate) fn has_written_for(
        &self,
        host: HostId,
        term: u64,
        (to, lease): (&Mandate, Duration),
    ) -> bool {
        let record = self.voters[host].record.as_ref();
        let least = whole_millis(promise(lease));
        let is_long_enough = record.is_some_and(|record| record.promise >= least);
        is_long_enough && self.has_written(host, term, to)
    }

    /// Rule H6: what was won is released when it is written nowhere any more that it is held, and its
    /// server takes no commits. Without leases, never: its promotion may still be pending.
    pub(crate) fn releases(
        &mut self,
        world: &World<'_>,
        host: HostId,
        request: &Request,
    ) -> Option<Violation> {
        let voter = &mut self.voters[host];
        voter.release(&mandate(&request.from, request.nonce));
        // Its own next vote is reserved, too.
        voter.named.clone_from(&request.successor);
        if !self.won.contains(&request.nonce) {
            return None;
        }
        let record = self.voters[host].record.as_ref();
        let is_held = record.is_some_and(|record| record.held_term == request.term);
        let writes = world.databases()[host].is_writer();
        let has_leases = world.setup().leases().is_some();
        let is_wrong = !has_leases || is_held || writes;
        is_wrong.then_some(Violation::ReleasesWon(host, request.term))
    }

    /// The only primary, which holds no term, claims this one, whether anything is wrong or not. It may have
    /// won before the last of the votes is written.
    pub(crate) fn is_claim(&self, world: &World<'_>, term: u64, to: &Mandate) -> bool {
        let candidate = world.setup().voter_host(&to.candidate);
        let is_sole = candidate.is_some() && candidate == world.sole_writer();
        let record = candidate.and_then(|host| self.voters[host].record.as_ref());
        let holds_another =
            record.is_some_and(|record| record.held_term > 0 && record.held_term != term);
        world.setup().leases().is_some() && is_sole && !holds_another
    }

    /// Where leases are in force whoever takes commits holds a term, if its vote file is not lost.
    pub(crate) fn holds_nothing(&self, world: &World<'_>, writer: NodeId) -> Option<Violation> {
        world.setup().leases()?;
        let record = self.voters[writer].record.as_ref();
        let holds = record.is_some_and(|record| record.held_term > 0);
        let is_wrong = !holds && self.is_able(world, writer);
        is_wrong.then_some(Violation::HoldsNothing(writer))
    }

    /// Is the term that this daemon has written down as held the last one of all, and could a majority of
    /// all renew it.
    pub(crate) fn holds_last_term(&self, world: &World<'_>, node: NodeId) -> bool {
        let records = self.voters.iter().filter_map(|voter| voter.record.as_ref());
        let last = records.map(|record| record.term).max();
        let own = self.voters[node].record.as_ref();
        let held = own.filter(|record| record.held_term > 0);
        let is_last = held.is_some_and(|record| Some(record.held_term) == last);
        is_last && self.is_able(world, node) && self.can_elect(world, 0..world.setup().hosts())
    }
}
