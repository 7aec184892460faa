//! The referee of elections, continued: lists of voters that change. By what the disk of a candidate has
//! held since its attempt began it has the votes of a majority, of two lists until the later one is sealed;
//! and in the end all have the last one.

use std::collections::{BTreeMap, BTreeSet};

use pglookout::config::VoterName;
use pglookout::simulation::{HostId, Micros, Setup, World};
use pglookout::votes::{ListStage, Nonce, Record, VoterList};

use crate::elections::{Elections, Voter};
use crate::violation::Violation;

/// What became of lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Schedules in which they change.
    pub(crate) schedules: u64,
    /// Lists after the first that a voter has taken, known to be accepted, and known to be sealed: how
    /// often.
    pub(crate) taken: u64,
    pub(crate) accepted: u64,
    pub(crate) sealed: u64,
    /// Lists after the first that any voter knew to be sealed.
    pub(crate) completed: u64,
    /// Schedules that have ended with one list, which all voters know to be sealed.
    pub(crate) agreed: u64,
    /// An operator has begun a change before the last one was over.
    pub(crate) is_careless: bool,
    pub(crate) careless: u64,
    last: u64,
}

/// The lists that have to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) list: VoterList,
    stage: ListStage,
    former: Option<BTreeSet<VoterName>>,
}

impl Lists {
    fn of(record: &Record) -> Self {
        let former = record.roll.former.as_ref();
        Self {
            list: record.list.clone(),
            stage: record.roll.stage,
            former: former.map(|former| former.keys().cloned().collect()),
        }
    }

    fn is_enough(&self, granted: &BTreeSet<VoterName>) -> bool {
        let of_former = |names: &BTreeSet<VoterName>| {
            let granted = names.intersection(granted).count();
            2 * granted > names.len()
        };
        let is_known = self.stage == ListStage::Sealed || self.former.is_some();
        let former = self.former.as_ref().is_none_or(of_former);
        is_known && former && of_former(&self.list.names)
    }
}

impl Voter {
    pub(crate) fn lists_written(&mut self, record: &Record, now: Micros) {
        let lists = Lists::of(record);
        if self.lists.last().is_none_or(|(_, last)| *last != lists) {
            self.lists.push((now, lists));
        }
    }
}

impl Elections {
    /// Are these enough for an attempt of this host, by any list that its disk has held since that began.
    pub(crate) fn is_enough(
        &self,
        world: &World<'_>,
        host: HostId,
        (nonce, granted): (Nonce, &BTreeSet<VoterName>),
    ) -> bool {
        if world.setup().lists.is_empty() {
            return 2 * granted.len() > world.setup().hosts();
        }
        let began = self.begun.get(&nonce).copied().unwrap_or_default();
        let lists = &self.voters[host].lists;
        let first = lists.partition_point(|(since, _)| *since <= began);
        let mut lists = lists[first.saturating_sub(1)..].iter();
        lists.any(|(_, lists)| lists.is_enough(granted))
    }

    /// Could these hosts elect: by every list that one of them has, and the last one that any host was to
    /// have, which they all have to know by now.
    pub(crate) fn can_elect(&self, world: &World<'_>, hosts: impl Iterator<Item = HostId>) -> bool {
        let able: Vec<_> = hosts.filter(|host| self.is_able(world, *host)).collect();
        if world.setup().lists.is_empty() {
            return 2 * able.len() > world.setup().hosts();
        }
        let record = |host: &HostId| self.voters[*host].record.as_ref();
        let votes = |host: &HostId| {
            record(host).is_some_and(|record| record.roll.stage != ListStage::Joining)
        };
        let names = able.iter().filter(|host| votes(host));
        let names: BTreeSet<_> = names
            .filter_map(|host| world.voter(*host))
            .cloned()
            .collect();
        let mut lists = able.iter().filter_map(record).map(Lists::of);
        let last = world.setup().list(world.last_list());
        let last = last.map(|list| list.keys().cloned().collect::<BTreeSet<_>>());
        let of_last = last.is_none_or(|last| 2 * last.intersection(&names).count() > last.len());
        of_last && !self.counts.lists.is_careless && lists.all(|lists| lists.is_enough(&names))
    }

    /// Another voter has its file on this host now: nothing is known of it yet.
    pub(crate) fn becomes(&mut self, world: &World<'_>, host: HostId) {
        let voter = &mut self.voters[host];
        let name = world.voter(host);
        if voter.becomes(name) {
            (voter.record, voter.lists) = (None, Vec::new());
        }
    }

    /// Every file has the last list for so long: whoever votes in it has it, and knows it to be sealed.
    pub(crate) fn lists_differ(&mut self, world: &World<'_>) -> Option<Violation> {
        if world.setup().lists.is_empty() {
            return None;
        }
        let counts = &mut self.counts.lists;
        counts.careless = u64::from(counts.is_careless);
        let last = world.setup().list(world.last_list())?;
        let knows = |host: HostId| {
            let record = self.voters[host].record.as_ref();
            record.is_some_and(|record| {
                let is_last = record.list.generation == world.last_list();
                let are_same = record.list.names.iter().eq(last.keys());
                is_last && are_same && record.roll.stage == ListStage::Sealed
            })
        };
        let mut voters = last.values().copied();
        let behind = voters.find(|host| self.is_able(world, *host) && !knows(*host));
        let Some(behind) = behind else {
            self.counts.lists.agreed = 1;
            return None;
        };
        // Who has lost its file is none of them any more: an operator has to remove it.
        let able = last.values().filter(|host| self.is_able(world, **host));
        let is_ruled_out =
            self.counts.lists.is_careless || able.count() < last.len() || self.few_vote(world);
        let found = (!is_ruled_out).then_some(Violation::ListsDiffer(behind));
        self.assumptions.unless_broken(found)
    }

    /// A list that so few of its voters could vote in that it could elect nobody is not taken, until an
    /// operator has brought the one before to more of them.
    fn few_vote(&self, world: &World<'_>) -> bool {
        let last = world.last_list();
        let records = self.voters.iter().filter_map(|voter| voter.record.as_ref());
        let votes = |record: &&Record| {
            record.list.generation + 1 >= last && record.roll.stage != ListStage::Joining
        };
        let taken = records.clone().filter(votes);
        let is_taken = taken.clone().any(|record| record.list.generation == last);
        let list = world.setup().list(last).map_or(0, BTreeMap::len);
        !is_taken && 2 * taken.count() <= list + 1
    }

    /// A vote file says how far its list has come.
    pub(crate) fn list_moves(&mut self, before: Option<&Record>, record: &Record) {
        let stage = |record: &Record| (record.list.generation, record.roll.stage);
        if record.list.generation < 2 || before.map(stage) == Some(stage(record)) {
            return;
        }
        let counts = &mut self.counts.lists;
        match record.roll.stage {
            ListStage::Joining => {}
            ListStage::Taken => counts.taken += 1,
            ListStage::Accepted => counts.accepted += 1,
            ListStage::Sealed => {
                counts.sealed += 1;
                let is_first = record.list.generation > counts.last;
                counts.completed += u64::from(is_first);
                counts.last = counts.last.max(record.list.generation);
            }
        }
    }
}

impl Counts {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            schedules: u64::from(!setup.lists.is_empty()),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.taken += other.taken;
        self.accepted += other.accepted;
        self.sealed += other.sealed;
        self.completed += other.completed;
        self.agreed += other.agreed;
        self.careless += other.careless;
    }
}
