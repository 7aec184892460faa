//! The referee of leases: at most one server takes commits at any time, and there is one where there can
//! be. It judges by what is true, and names the assumption where one was broken.

use std::collections::BTreeMap;

use pglookout::lookout::Effect;
use pglookout::simulation::{
    Condition, Database, Fact, Fault, HostId, LeaseFault, MOST_GAIN, Micros, NodeId, Promotion,
    Setup, Sleep, World,
};
use pglookout::votes::Record;

use crate::assumptions::{A3, A3_PAUSE, A4, A4_LIE, A4_SLEPT, A5, A5_HAND, Assumptions, UNCLAIMED};
use crate::elections::Elections;
use crate::majority::nobody_promoted;
use crate::truth::Truth;
use crate::violation::Violation;

/// What became of leases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Schedules that have them.
    pub(crate) schedules: u64,
    /// Terms that were written down as held.
    pub(crate) held: u64,
    /// Fence commands that were begun.
    pub(crate) fences: u64,
    /// Servers that they have stopped.
    pub(crate) stopped: u64,
    /// Promotions by what a failed command had left.
    pub(crate) late_promotions: u64,
    /// Clusters that had a writer again once everything worked.
    pub(crate) recovered: u64,
    /// Clusters to which an operator had to give one.
    pub(crate) by_hand: u64,
    /// Hosts that stood still for a while, and those whose lease was over when they went on.
    pub(crate) slept: u64,
    pub(crate) overslept: u64,
}

/// What truly happened.
pub(crate) struct Leases {
    is_on: bool,
    servers: Vec<Server>,
    /// Pairs that took commits at the same time, and still do, and why they may.
    pairs: BTreeMap<(NodeId, NodeId), Option<&'static str>>,
    /// Two took commits at the same time, and why: what each has written is part of no other.
    forked: Option<&'static str>,
    pub(crate) counts: Counts,
}

#[derive(Clone, Default)]
struct Server {
    /// A fence command began then, and it was not down since.
    fenced_since: Option<Micros>,
    /// Why it may take commits beside another one.
    broken: Option<&'static str>,
    /// Its host stood still, and until then it may take commits beside another one for that reason.
    slept: Option<(&'static str, Micros)>,
    /// When its guard is to fence.
    fence_at: Option<Micros>,
    /// The last term that its daemon has written down as held.
    held: u64,
    /// What stood here and in `broken` before that, until its guard learns of that term: nothing is done
    /// for a term whose lease is over before it is written.
    before: Option<(u64, Option<&'static str>)>,
}

impl Leases {
    pub(crate) fn new(setup: &Setup) -> Self {
        let is_on = setup.leases().is_some();
        Self {
            is_on,
            servers: vec![Server::default(); setup.hosts()],
            pairs: BTreeMap::new(),
            forked: None,
            counts: Counts {
                schedules: u64::from(is_on),
                ..Counts::default()
            },
        }
    }

    pub(crate) fn fault(&mut self, fault: &Fault, assumptions: &mut Assumptions) {
        if let Fault::Leases(LeaseFault::Rate(_, gain)) = fault
            && gain.abs() > MOST_GAIN
        {
            assumptions.end(A3);
        }
    }

    /// What every fact shows: who takes commits now.
    pub(crate) fn look(
        &mut self,
        world: &World<'_>,
        assumptions: &mut Assumptions,
    ) -> Option<Violation> {
        if !self.is_on {
            return None;
        }
        for (server, database) in self.servers.iter_mut().zip(world.databases()) {
            if matches!(database.condition, Condition::Crashed | Condition::HostDown) {
                (server.fenced_since, server.broken) = (None, None);
            }
        }
        let writers = writers(world);
        self.pairs
            .retain(|(one, other), _| writers.contains(one) && writers.contains(other));
        let pairs = writers
            .iter()
            .flat_map(|one| writers.iter().map(move |other| (*one, *other)));
        for (one, other) in pairs.filter(|(one, other)| one < other) {
            let reason = self
                .reason(world, one)
                .or_else(|| self.reason(world, other));
            let known = self.pairs.get(&(one, other));
            // What a host that stood still may do it may for a while only.
            let is_over = |known: &Option<_>| {
                reason.is_none() && [Some(A3_PAUSE), Some(A4_SLEPT)].contains(known)
            };
            if known.is_none_or(is_over) {
                self.pairs.insert((one, other), reason);
                self.forked = self.forked.or(reason);
                let found = unless(reason, Violation::TwoWriters(one, other), assumptions);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Why this server may take commits beside another one: which assumption was broken.
    fn reason(&self, world: &World<'_>, node: NodeId) -> Option<&'static str> {
        let server = &self.servers[node];
        let timeout = world.setup().leases()?.timeout;
        let is_overdue = |since: Micros| world.now() >= since + world.span(node, timeout);
        let is_first = world.databases()[node].term == Some(0);
        let slept = server.slept.filter(|(_, until)| world.now() <= *until);
        // A claim is over once its guard knows of it.
        let held = server.before.map_or(server.held, |(held, _)| held);
        server
            .broken
            .or(slept.map(|(name, _)| name))
            .or_else(|| server.fenced_since.filter(|at| is_overdue(*at)).map(|_| A4))
            .or_else(|| (is_first && held == 0).then_some(UNCLAIMED))
    }

    /// What was found, unless it follows from what is known of a server: by its fence command a daemon
    /// knew it to be down.
    pub(crate) fn unless_broken(
        &self,
        world: &World<'_>,
        found: Violation,
        assumptions: &mut Assumptions,
    ) -> Option<Violation> {
        let host = match found {
            Violation::ReleasesWon(host, _)
            | Violation::HoldsNothing(host)
            | Violation::HandsOverEarly(host, _) => host,
            // By a clock that stood still its votes last longer.
            Violation::ElectedLate(host, _) if self.servers[host].slept.is_some() => host,
            _ => return Some(found),
        };
        unless(self.reason(world, host), found, assumptions)
    }

    /// What was found of a switchover, unless two servers have taken commits at the same time before.
    pub(crate) fn unless_forked(
        &self,
        found: Violation,
        assumptions: &mut Assumptions,
    ) -> Option<Violation> {
        unless(self.forked, found, assumptions)
    }

    /// Its guard learns when to fence.
    pub(crate) fn effects(&mut self, world: &World<'_>, host: HostId, effects: &[Effect]) {
        for effect in effects {
            if let Effect::ArmGuard(until) = effect {
                let now = world.clocks(host).mono;
                let at = until.map(|until| world.now() + world.span(host, until.since(now)));
                let server = &mut self.servers[host];
                server.fence_at = at;
                server.before.take_if(|_| at.is_some());
            }
        }
    }

    /// A host goes on. By clocks that stood still its lease lasts as long as it may have lasted before;
    /// by one that did not its guard fences at once, which takes its time.
    fn wakes(&mut self, world: &World<'_>, host: HostId, sleep: Sleep) -> Option<()> {
        self.counts.slept += 1;
        let voting = world.setup().voting()?;
        let timeout = world.setup().leases()?.timeout;
        let server = &mut self.servers[host];
        let is_over = server.fence_at.is_some_and(|at| at <= world.now());
        self.counts.overslept += u64::from(is_over);
        let (name, time) = match sleep {
            Sleep::Paused => (A3_PAUSE, voting.lease + timeout),
            Sleep::Suspended if is_over => (A4_SLEPT, timeout),
            Sleep::Suspended => return None,
        };
        let until = world.now() + world.span(host, time);
        // One after the other: by its clock it may take as long as after the first.
        let is_later = |(_, before): &(_, Micros)| *before > until;
        server.slept = server.slept.filter(is_later).or(Some((name, until)));
        Some(())
    }

    /// A vote file has reached the disk.
    pub(crate) fn file_written(&mut self, host: HostId, record: &Record) {
        let server = &mut self.servers[host];
        if self.is_on && record.held_term > 0 && record.held_term != server.held {
            self.counts.held += 1;
            server.before = Some((server.held, server.broken));
            server.held = record.held_term;
            // What was wrong with its server before is no excuse in this term.
            (server.fenced_since, server.broken) = (None, None);
        } else if record.held_term == 0
            && let Some(before) = server.before.take()
        {
            (server.held, server.broken) = before;
        }
    }

    /// Whoever is elected is alone before its promotion begins.
    pub(crate) fn promotion(
        &mut self,
        world: &World<'_>,
        promotion: &Promotion,
        assumptions: &mut Assumptions,
    ) -> Option<Violation> {
        if !self.is_on {
            return None;
        }
        let mut others = writers(world).into_iter();
        let other = others.find(|node| *node != promotion.host)?;
        let found = Violation::TwoWriters(other, promotion.host);
        // By a clock that stood still it is the one that promotes whose lease is over.
        let slept = self.servers[promotion.host].slept;
        let slept = slept.filter(|(_, until)| world.now() <= *until);
        let reason = self.reason(world, other).or(slept.map(|(name, _)| name));
        unless(reason, found, assumptions)
    }

    /// What happens to servers. `is_calm`: nothing is wrong.
    pub(crate) fn fact(
        &mut self,
        world: &World<'_>,
        fact: Fact<'_>,
        is_calm: bool,
        assumptions: &mut Assumptions,
    ) -> Option<Violation> {
        match fact {
            Fact::FenceBegins(host) => {
                self.counts.fences += 1;
                if !is_down(&world.databases()[host]) {
                    self.servers[host].fenced_since.get_or_insert(world.now());
                }
                let found = is_calm.then_some(Violation::FencesInCalm(host));
                return found
                    .and_then(|found| unless(self.reason(world, host), found, assumptions));
            }
            Fact::FenceStops(host) if !is_down(&world.databases()[host]) => {
                self.counts.stopped += 1;
            }
            Fact::FenceEnds { host, is_done } if is_done && !is_down(&world.databases()[host]) => {
                self.break_for(host, A4_LIE, assumptions);
            }
            Fact::Wakes(host, sleep) => _ = self.wakes(world, host, sleep),
            Fact::StartsWithoutGate(node) => self.break_for(node, A5, assumptions),
            Fact::PromotesByHand(node) => {
                self.counts.by_hand += 1;
                self.break_for(node, A5_HAND, assumptions);
            }
            Fact::PromotesLate(_) => self.counts.late_promotions += 1,
            _ => {}
        }
        None
    }

    fn break_for(&mut self, node: NodeId, name: &'static str, assumptions: &mut Assumptions) {
        *assumptions.broken.entry(name).or_default() += 1;
        self.servers[node].broken = Some(name);
    }

    /// Everything has worked for so long that there must be a writer: a standby that was promoted, or the
    /// old primary, which a majority has renewed and which came back through the gate.
    pub(crate) fn recovered(
        &mut self,
        world: &World<'_>,
        truth: &Truth,
        elections: &Elections,
    ) -> Option<Violation> {
        if world.sole_writer().is_some() {
            self.counts.recovered += 1;
            return None;
        }
        if !writers(world).is_empty() {
            return None;
        }
        let mut nodes = 0..world.setup().nodes.len();
        let holder = nodes.find(|node| {
            world.databases()[*node].is_primary && elections.holds_last_term(world, *node)
        });
        holder
            .map(Violation::NotStarted)
            .or_else(|| nobody_promoted(world, truth, elections))
    }
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.held += other.held;
        self.fences += other.fences;
        self.stopped += other.stopped;
        self.late_promotions += other.late_promotions;
        self.recovered += other.recovered;
        self.by_hand += other.by_hand;
        self.slept += other.slept;
        self.overslept += other.overslept;
    }
}

/// What was found, unless there is a reason for it, of one server or of the whole schedule.
fn unless(
    reason: Option<&'static str>,
    found: Violation,
    assumptions: &mut Assumptions,
) -> Option<Violation> {
    match reason {
        None => assumptions.unless_broken(Some(found)),
        Some(reason) => {
            if reason == A4 {
                *assumptions.broken.entry(A4).or_default() += 1;
            }
            assumptions.excuse(reason, &found);
            None
        }
    }
}

fn writers(world: &World<'_>) -> Vec<NodeId> {
    let databases = world.databases();
    let nodes = 0..databases.len();
    nodes.filter(|node| databases[*node].is_writer()).collect()
}

fn is_down(database: &Database) -> bool {
    matches!(database.condition, Condition::Crashed | Condition::HostDown)
}
