//! The elections in which this daemon takes part: what happens to a voter or a candidate, and what
//! comes of it. Whether to ask for votes is the decision's; who gets one is the room `votes`'s.

mod lists;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::turn::Turn;
use super::{Alert, Effect};
use crate::config::{ClusterName, Config, FenceSettings, VoterName, Voting};
use crate::failover::{Blocker, Verdict};
use crate::time::Monotonic;
use crate::votes::{
    Answer, ExchangeId, Kind, LeaseTimers, Member, Output, OwnServer, Record, Refusal, Request,
    Resumed, SaveId, Standing, Timers,
};

/// Every cluster in which this daemon votes.
#[derive(Debug, Default)]
pub(super) struct Votes {
    clusters: BTreeMap<ClusterName, Part>,
    /// Where the vote files are.
    directory: PathBuf,
    /// What was voted on while they were elsewhere. A file that is older is a copy that was made before.
    elsewhere: BTreeMap<ClusterName, Record>,
    /// The texts of the alerts that this process has raised.
    pub(super) raised: BTreeMap<Alert, String>,
    /// When the guard was last ordered to fence.
    pub(super) is_guarded: bool,
    /// What was reported last of the watchdog device, while there is a guard.
    pub(super) watchdog: Option<Result<String, String>>,
}

/// The part that this daemon has in one cluster.
#[derive(Debug)]
enum Part {
    /// Its vote file cannot be used: why. It votes for nobody.
    NoRecord(String),
    Member(Box<Member>),
}

/// What an event came to besides its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing.
    Open,
    /// This daemon is elected in this term.
    Elected(u64),
    /// Its attempt was lost.
    Lost,
    /// A holder has released its term for this daemon.
    Reserved,
}

impl Votes {
    pub(super) fn new(config: &Config, now: Monotonic) -> Self {
        let mut votes = Self::default();
        votes.adopt(config, now);
        votes
    }

    /// Clusters that stay keep what they know, as long as we are the same voter and the files are where
    /// they were: nothing is written where no vote file was made.
    pub(super) fn adopt(&mut self, config: &Config, now: Monotonic) {
        let voting = config.voting.as_ref();
        let mut before = std::mem::take(&mut self.clusters);
        let directory = voting.map(|it| it.directory.clone()).unwrap_or_default();
        if directory != self.directory {
            self.directory = directory;
            for (name, part) in std::mem::take(&mut before) {
                if let Part::Member(member) = part {
                    self.elsewhere.insert(name, member.voter().record().clone());
                }
            }
        }
        for (name, cluster) in voting.into_iter().flat_map(|voting| &voting.clusters) {
            let is_same =
                |part: &Part| matches!(part, Part::Member(it) if *it.voter().name() == cluster.own);
            let kept = before.remove(name).filter(is_same);
            let mut part = kept.unwrap_or_else(|| Part::NoRecord(UNREAD.to_owned()));
            if let (Part::Member(member), Some(voting)) = (&mut part, voting) {
                member.adopt(timers(voting, config), now);
            }
            self.clusters.insert(name.clone(), part);
        }
    }

    /// The alerts of clusters that are not configured any more end.
    pub(super) fn reloaded(&mut self, config: &Config, turn: &mut Turn<'_>) {
        self.disarm_guard(config, turn);
        self.configure_lists(config, turn);
        if !self.raised.is_empty() {
            self.watch_files(turn);
            self.watch_agreement(turn);
        }
    }

    /// Each cluster with its member, or with the reason why it has none.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ClusterName, Result<&Member, &str>)> {
        self.clusters.iter().map(|(name, part)| match part {
            Part::NoRecord(reason) => (name, Err(reason.as_str())),
            Part::Member(member) => (name, Ok(&**member)),
        })
    }

    /// Is there no attempt, and nothing that ends by itself.
    pub(super) fn are_at_rest(&self, now: Monotonic) -> bool {
        self.members().all(|member| member.is_at_rest(now))
    }

    /// May our node be promoted by election; `None`: nobody is asked.
    pub(super) fn standing(&self, config: &Config, now: Monotonic) -> Option<Standing<'_>> {
        let (name, _) = config.deciding_cluster()?;
        Some(match self.clusters.get(name)? {
            Part::NoRecord(reason) => Standing::NoRecord(reason),
            Part::Member(member) => member.standing(now),
        })
    }

    /// Has this daemon stepped aside.
    pub(super) fn has_stepped_aside(&self, now: Monotonic) -> bool {
        let mut members = self.members();
        members.any(|member| member.candidate().stepped_aside(now).is_some())
    }

    /// A vote file was read, or could not be. `seed`: random bits. `resumed`: where another daemon stood.
    pub(super) fn file_read(
        &mut self,
        name: &ClusterName,
        found: Result<Record, String>,
        (seed, resumed): (u128, Option<Box<Resumed>>),
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let voting = config.voting.as_ref();
        let voting = voting.and_then(|it| Some((it, it.clusters.get(name)?)));
        // One that votes knows better than its file.
        let votes = matches!(self.clusters.get(name), Some(Part::Member(_)));
        let Some((voting, cluster)) = voting.filter(|_| !votes) else {
            return Outcome::Open;
        };
        let found = found.and_then(|record| self.is_newest(name, &record).map(|()| record));
        let part = match found {
            Ok(record) => {
                self.elsewhere.remove(name);
                let term = record.term;
                let (count, generation) = (record.list.names.len(), record.list.generation);
                turn.info(format!(
                    "votes in cluster {name}: one of {count} voters, term {term}, list {generation}"
                ));
                let names = (name.clone(), cluster.own.clone());
                let now = turn.now.mono;
                let mut member = Member::new(names, record, timers(voting, config), seed, now);
                if let Some(resumed) = resumed {
                    member.resume(&resumed, now);
                }
                Part::Member(Box::new(member))
            }
            Err(reason) => {
                // It is looked at again and again.
                let known = self.clusters.get(name);
                if !matches!(known, Some(Part::NoRecord(before)) if *before == reason) {
                    turn.error(format!(
                        "votes in cluster {name}: {reason}; voting for nobody"
                    ));
                }
                Part::NoRecord(reason)
            }
        };
        self.clusters.insert(name.clone(), part);
        self.configure_list(name, cluster, turn);
        self.watch_files(turn);
        Outcome::Open
    }

    fn is_newest(&self, name: &ClusterName, found: &Record) -> Result<(), String> {
        let (term, vote) = (found.term, &found.voted_for);
        match self.elsewhere.get(name) {
            Some(known) if known.list.generation > found.list.generation => {
                let (ours, newer) = (found.list.generation, known.list.generation);
                Err(format!(
                    "the vote file is of list {ours}, and this daemon has taken list {newer}: an older copy"
                ))
            }
            Some(known) if known.term > term || known.term == term && known.voted_for != *vote => {
                let newer = known.term;
                Err(format!(
                    "the vote file is of term {term}, and this daemon has voted in term {newer}: an older copy"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn requested(
        &mut self,
        id: ExchangeId,
        request: &Request,
        server: &OwnServer,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let mut out = Vec::new();
        match self.clusters.get_mut(&request.cluster) {
            Some(Part::Member(member)) => {
                member.requested(id, request, server, turn.now.mono, &mut out);
            }
            // Rule V1.
            Some(Part::NoRecord(_)) | None => {
                out.push(Output::Answer(id, no_record(request, server)));
            }
        }
        self.carry_out(&request.cluster, out, turn)
    }

    pub(super) fn answered(
        &mut self,
        (name, voter): (&ClusterName, &VoterName),
        of: (crate::votes::Nonce, Kind),
        outcome: Result<Answer, String>,
        server: &OwnServer,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let now = turn.now.mono;
        let outcome = self.with(name, turn, |member, out| {
            member.answered(voter, of, outcome, server, now, out);
        });
        self.watch_agreement(turn);
        outcome
    }

    pub(super) fn saved(
        &mut self,
        name: &ClusterName,
        (id, is_done): (SaveId, bool),
        server: &OwnServer,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let now = turn.now.mono;
        let outcome = self.with(name, turn, |member, out| {
            member.saved(id, is_done, server, now, out);
        });
        self.watch_files(turn);
        outcome
    }

    /// Our decision is to promote our node: asks for votes.
    pub(super) fn stand(&mut self, config: &Config, server: &OwnServer, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let voting = config.voting.as_ref();
        let Some((name, _)) = voting.and_then(Voting::own_cluster) else {
            return;
        };
        self.with(name, turn, |member, out| member.stand(server, now, out));
        let tally = self.member(name).and_then(|it| it.candidate().tally());
        if let Some(tally) = tally {
            let (term, needed) = (tally.term, tally.needed);
            turn.info(format!(
                "asking for votes in term {term}, {needed} are needed"
            ));
        }
    }

    /// It is not any more.
    pub(super) fn abandon(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let voting = config.voting.as_ref();
        if let Some((name, _)) = voting.and_then(Voting::own_cluster) {
            self.with(name, turn, |member, out| member.abandon(now, out));
        }
    }

    /// Our node was elected, and is not promoted all the same.
    pub(super) fn give_back(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        if let Some((name, _)) = config.deciding_cluster() {
            self.with(name, turn, |member, out| member.give_back(now, out));
        }
    }

    /// The failover command has failed.
    pub(super) fn command_failed(&mut self, config: &Config, now: Monotonic) {
        if config.deciding_cluster().is_some() {
            self.members_mut().for_each(|it| it.command_failed(now));
        }
    }

    pub(super) fn outage_over(&mut self) {
        self.members_mut().for_each(Member::outage_over);
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, server: &OwnServer, turn: &mut Turn<'_>) -> Outcome {
        let now = turn.now.mono;
        let due = self.clusters.iter().filter_map(|(name, part)| match part {
            Part::Member(member) if member.next_deadline() <= now => Some(name.clone()),
            Part::Member(_) | Part::NoRecord(_) => None,
        });
        let due: Vec<_> = due.collect();
        let mut last = Outcome::Open;
        for name in due {
            let outcome = self.with(&name, turn, |member, out| member.tick(server, now, out));
            if outcome != Outcome::Open {
                last = outcome;
            }
        }
        last
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.members().map(Member::next_deadline).min()
    }

    pub(super) fn member(&self, name: &ClusterName) -> Option<&Member> {
        match self.clusters.get(name)? {
            Part::Member(member) => Some(member),
            Part::NoRecord(_) => None,
        }
    }

    pub(super) fn member_mut(&mut self, name: &ClusterName) -> Option<&mut Member> {
        match self.clusters.get_mut(name)? {
            Part::Member(member) => Some(member),
            Part::NoRecord(_) => None,
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.all().filter_map(|(_, member)| member.ok())
    }

    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.clusters.values_mut().filter_map(|part| match part {
            Part::Member(member) => Some(&mut **member),
            Part::NoRecord(_) => None,
        })
    }

    pub(super) fn with(
        &mut self,
        name: &ClusterName,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Member, &mut Vec<Output>),
    ) -> Outcome {
        let mut out = Vec::new();
        if let Some(Part::Member(member)) = self.clusters.get_mut(name) {
            act(member, &mut out);
        }
        self.carry_out(name, out, turn)
    }

    fn carry_out(&mut self, name: &ClusterName, out: Vec<Output>, turn: &mut Turn<'_>) -> Outcome {
        let mut outcome = Outcome::Open;
        for output in out {
            match output {
                Output::Send(request) => turn.push(Effect::SendVote(request)),
                Output::Answer(id, answer) => turn.push(Effect::AnswerVote { id, answer }),
                Output::Save(id, record) => {
                    let member = self.member(name);
                    let is_vote = member.is_some_and(|it| it.voter().is_granting());
                    if let Some(mandate) = record.voted_for.as_ref().filter(|_| is_vote) {
                        let (to, term) = (&mandate.candidate, record.term);
                        turn.info(format!("voting for {to} in term {term} of cluster {name}"));
                    }
                    let cluster = name.clone();
                    turn.push(Effect::SaveVote {
                        cluster,
                        id,
                        record,
                    });
                }
                Output::ListMoved => self.list_moved(name, turn),
                Output::Elected(term) => outcome = Outcome::Elected(term),
                Output::Claimed(term) => {
                    turn.info(format!("this primary holds term {term} from now on"));
                }
                Output::Guard(until) => self.guard(until, turn),
                Output::Reserved(holder) => {
                    turn.warning(format!(
                        "switchover: {holder} has stopped its server and released its term for this node"
                    ));
                    outcome = Outcome::Reserved;
                }
                Output::LeaseLost(term) => self.lease_lost(name, term, turn),
                Output::Left(term) => {
                    turn.info(format!("term {term} is released"));
                    self.alert(Alert::LeaseLost, String::new(), turn);
                }
                Output::Lost => {
                    let tally = self.member(name).and_then(|it| it.candidate().tally());
                    if let Some(tally) = tally {
                        turn.warning(format!("not elected: {tally}"));
                    }
                    outcome = Outcome::Lost;
                }
            }
        }
        outcome
    }
}

/// Is a promotion not wanted any more, whatever the votes are. What merely asks for fresh facts, or
/// finds another standby further, does not end an attempt: the voters know who is further.
pub(super) fn ends_attempt(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Observing { .. }
        | Verdict::PrimaryItself { .. }
        | Verdict::NoStandby { .. }
        | Verdict::PrimaryReachable { .. }
        | Verdict::SeveralPrimaries { .. }
        | Verdict::OutdatedPrimary { .. }
        | Verdict::DisconnectIgnored { .. }
        | Verdict::LagWarning { .. }
        | Verdict::Hold(
            Blocker::NodesJustChanged { .. }
            | Blocker::PrimaryConnected { .. }
            | Blocker::RecentEvidence { .. }
            | Blocker::Paused { .. }
            | Blocker::Maintenance { .. }
            | Blocker::OtherPromotes { .. },
        ) => true,
        Verdict::Wait(_)
        | Verdict::WantsFreshFacts { .. }
        | Verdict::Hold(_)
        | Verdict::OtherCandidate { .. }
        | Verdict::Announce { .. }
        | Verdict::Promote { .. } => false,
    }
}

/// Are votes cast only to see what would come of them.
pub(super) fn is_dry(config: &Config) -> bool {
    config.voting.is_some() && config.deciding_cluster().is_none()
}

/// What fences our own server, where votes decide and something does.
pub(super) fn fencing(config: &Config) -> Option<&FenceSettings> {
    config.deciding_cluster()?;
    config.fence()
}

fn timers(voting: &Voting, config: &Config) -> Timers {
    Timers {
        lease: voting.lease,
        vote_timeout: voting.vote_timeout,
        stagger: voting.stagger,
        step_aside: voting.step_aside,
        hold: fencing(config).map(|fence| LeaseTimers {
            fence: fence.timeout,
            renew: fence.renew,
        }),
    }
}

/// The answer of a daemon that does not vote.
fn no_record(request: &Request, server: &OwnServer) -> Answer {
    Answer {
        position: server.position,
        willing: server.willing,
        fences: server.fences,
        ..Answer::without_record(request, Refusal::List, request.list.clone())
    }
}

/// Why there is no member at first.
pub(super) const UNREAD: &str = "the vote file is being read";
