//! The referee of switchovers. It judges by what was sent, by the databases as they are, and by true time;
//! of a daemon it asks only what it tells whoever has asked for one.

use std::collections::BTreeMap;

use pglookout::lookout::{CommandPurpose, Effect, Event, SwitchoverState};
use pglookout::simulation::{Condition, Database, HostId, Micros, NodeId, SECOND, Setup, World};
use pglookout::votes::{Kind, Nonce, Request};

use crate::truth::Truth;
use crate::violation::Violation;

/// What became of switchovers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Schedules in which they may be asked for.
    pub(crate) schedules: u64,
    /// Requests that reached a daemon.
    pub(crate) asked: u64,
    /// Those that it took up, by what they came to.
    pub(crate) by_end: BTreeMap<&'static str, u64>,
    /// Terms that were released for a successor.
    pub(crate) handed_over: u64,
    /// Promotions of a successor.
    pub(crate) succeeded: u64,
}

/// What truly happened.
pub(crate) struct Switchovers {
    is_on: bool,
    /// The last one of each host.
    runs: Vec<Option<Run>>,
    /// What was released, by whom for whom, by the attempt that had won it.
    handed: BTreeMap<Nonce, Handed>,
    /// No switchover of a daemon that runs takes longer.
    bound: Micros,
    pub(crate) counts: Counts,
}

#[derive(Clone)]
struct Run {
    id: Nonce,
    since: Micros,
    /// The server was to be stopped for it.
    has_demoted: bool,
    /// The server is down since then, as seen when its daemon wanted something.
    down_since: Option<Micros>,
    state: SwitchoverState,
}

/// A term was released for a successor.
struct Handed {
    from: NodeId,
    to: NodeId,
    term: u64,
    /// The server as it was shut down.
    server: Database,
}

impl Switchovers {
    pub(crate) fn new(setup: &Setup) -> Self {
        let config = setup.any_config();
        let demotion = config.demotion();
        let timeout = demotion.map_or(0, |it| pglookout::simulation::micros(it.timeout));
        let limit = setup.longest(|config| config.failover_lag);
        Self {
            is_on: demotion.is_some(),
            runs: vec![None; setup.hosts()],
            handed: BTreeMap::new(),
            bound: timeout + 3 * limit + LONGEST,
            counts: Counts {
                schedules: u64::from(demotion.is_some()),
                ..Counts::default()
            },
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::SwitchoverRequested(_) = event {
            self.counts.asked += 1;
        }
    }

    /// The process that had them is gone.
    pub(crate) fn started(&mut self, host: HostId) {
        if let Some(run) = self.runs[host].take() {
            self.count(run.state);
        }
    }

    /// It gets no turn before then.
    pub(crate) fn waits_from(&mut self, host: HostId, now: Micros) {
        if let Some(run) = &mut self.runs[host] {
            run.since = run.since.max(now);
        }
    }

    fn count(&mut self, state: SwitchoverState) {
        let name = match state {
            SwitchoverState::Running => "lost with its daemon, or by the end",
            state => state.name(),
        };
        *self.counts.by_end.entry(name).or_default() += 1;
    }

    /// What a daemon wants done, and what it says of its switchover then.
    pub(crate) fn effects(
        &mut self,
        world: &World<'_>,
        truth: &Truth,
        host: HostId,
        effects: &[Effect],
    ) -> Option<Violation> {
        if !self.is_on {
            return None;
        }
        self.begins(world, host);
        if let Some(run) = &mut self.runs[host] {
            let since = run.down_since.unwrap_or(world.now());
            let database = world.databases().get(host);
            run.down_since = database.is_some_and(is_down).then_some(since);
        }
        let mut found = None;
        for effect in effects {
            let next = match effect {
                Effect::RunCommand {
                    purpose: CommandPurpose::Demote,
                    ..
                } => self.demotes(world, truth, host),
                Effect::SendVote(request) if request.kind == Kind::Release => {
                    self.releases(world, truth, host, request)
                }
                _ => None,
            };
            found = found.or(next);
        }
        found.or_else(|| self.goes_on(world, truth, host))
    }

    fn begins(&mut self, world: &World<'_>, host: HostId) {
        let Some(switchover) = world.core(host).switchover() else {
            return;
        };
        let id = switchover.request().id;
        if self.runs[host].as_ref().is_some_and(|run| run.id == id) {
            return;
        }
        let before = self.runs[host].replace(Run {
            id,
            since: world.now(),
            has_demoted: false,
            down_since: None,
            state: SwitchoverState::Running,
        });
        before.into_iter().for_each(|run| self.count(run.state));
    }

    /// Rule S1: no server is stopped for a dry run, nor for a node that cannot take its place.
    fn demotes(&mut self, world: &World<'_>, truth: &Truth, host: HostId) -> Option<Violation> {
        let switchover = world.core(host).switchover()?;
        if let Some(run) = &mut self.runs[host] {
            run.has_demoted = true;
        }
        let request = switchover.request();
        let to = world.setup().node_id(&request.to).filter(|to| *to != host);
        let can_follow = to.is_some_and(|to| {
            let (ours, theirs) = (&world.databases()[host], &world.databases()[to]);
            // What it streams from may have been made a standby of it since.
            let mut nodes = 0..world.setup().nodes.len();
            let lately = nodes.any(|node| is_touched(world, truth, node, CHECKED));
            let streams = theirs.condition == Condition::Up
                && !theirs.is_primary
                && theirs.is_part_of(ours)
                && world.is_alive(to);
            streams || lately
        });
        let is_wrong = request.dry_run || !can_follow;
        is_wrong.then_some(Violation::DemotesInVain(host))
    }

    /// Rule S3: whoever the term is released for has all that its server has written, which is shut down.
    fn releases(
        &mut self,
        world: &World<'_>,
        truth: &Truth,
        host: HostId,
        request: &Request,
    ) -> Option<Violation> {
        // Whoever has lost an attempt as a successor names itself again.
        let successor = request.successor.as_ref().filter(|it| **it != request.from);
        let to = world.setup().voter_host(successor?)?;
        if self.handed.contains_key(&request.nonce) {
            return None;
        }
        self.counts.handed_over += 1;
        let (ours, theirs) = (&world.databases()[host], &world.databases()[to]);
        let has_all = ours.is_part_of(theirs) && theirs.replayed >= ours.position;
        self.handed.insert(
            request.nonce,
            Handed {
                from: host,
                to,
                term: request.term,
                server: ours.clone(),
            },
        );
        // An operator has made something else of one of them since it was looked at. That the server was
        // stopped is none of this.
        let lately = world.now().saturating_sub(2 * SECOND);
        let stopped = self.runs[host].as_ref().and_then(|run| run.down_since);
        let since_stop = stopped.map_or(lately, |at| lately.max(at + 1));
        let is_changed = [(host, since_stop), (to, lately)];
        let is_changed = is_changed.map(|(node, since)| is_touched_since(truth, node, since));
        let may_write = ours.is_primary && !is_down(ours);
        // One that is promoted already was elected without it, while the release could not be written.
        let is_late = theirs.is_primary || is_changed.contains(&true);
        let is_wrong = may_write || (!has_all && !is_late);
        is_wrong.then_some(Violation::HandsOverEarly(host, to))
    }

    /// A switchover that has ended has done what it says; one that goes on ends some time.
    fn goes_on(&mut self, world: &World<'_>, truth: &Truth, host: HostId) -> Option<Violation> {
        let switchover = world.core(host).switchover()?;
        let run = self.runs[host].as_mut()?;
        let before = std::mem::replace(&mut run.state, switchover.state());
        let has_demoted = run.has_demoted;
        let is_over_due = world.now() > run.since + self.bound;
        match run.state {
            SwitchoverState::Running => is_over_due.then_some(Violation::SwitchesForEver(host)),
            state if state == before => None,
            SwitchoverState::Possible | SwitchoverState::Refused => {
                has_demoted.then_some(Violation::DemotesInVain(host))
            }
            SwitchoverState::Aborted => {
                let is_changed = is_touched(world, truth, host, SECOND);
                let writes = world.databases()[host].is_writer();
                (!writes && !is_changed).then_some(Violation::AbortsWithoutWriter(host))
            }
            SwitchoverState::Done => self.is_done(world, truth, host),
            SwitchoverState::Failed => None,
        }
    }

    /// The successor is the primary, in a later term, and nothing of what was written is lost.
    fn is_done(&self, world: &World<'_>, truth: &Truth, host: HostId) -> Option<Violation> {
        let handed = self.handed.values().filter(|it| it.from == host);
        let last = handed.max_by_key(|it| it.term);
        let Some(Handed { to, server, .. }) = last else {
            return Some(Violation::DoneWithoutRelease(host));
        };
        let successor = &world.databases()[*to];
        let is_changed = is_touched(world, truth, *to, 3 * SECOND);
        let has_all = successor.is_primary && server.is_part_of(successor);
        (!has_all && !is_changed).then_some(Violation::LosesRows(host, *to))
    }

    /// Rule S4: whoever is promoted as a successor was named in a release.
    pub(crate) fn succeeds(&mut self, host: HostId, term: Option<u64>) -> Option<Violation> {
        self.counts.succeeded += 1;
        let is_named = |it: &&Handed| it.to == host && term.is_some_and(|term| it.term < term);
        let named = self.handed.values().find(is_named);
        named.is_none().then_some(Violation::SucceedsUnnamed(host))
    }

    /// The run is over.
    pub(crate) fn into_counts(mut self) -> Counts {
        for run in std::mem::take(&mut self.runs).into_iter().flatten() {
            self.count(run.state);
        }
        self.counts
    }
}

/// Has anything happened to this server or its host for so long.
fn is_touched(world: &World<'_>, truth: &Truth, node: NodeId, time: Micros) -> bool {
    is_touched_since(truth, node, world.now().saturating_sub(time))
}

fn is_touched_since(truth: &Truth, node: NodeId, since: Micros) -> bool {
    let at = [truth.nodes[node].disturbed, truth.hosts[node].disturbed];
    at.into_iter().flatten().any(|at| at >= since)
}

fn is_down(database: &Database) -> bool {
    matches!(database.condition, Condition::Crashed | Condition::HostDown)
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.asked += other.asked;
        self.handed_over += other.handed_over;
        self.succeeded += other.succeeded;
        for (name, count) in &other.by_end {
            *self.by_end.entry(name).or_default() += count;
        }
    }
}

/// The facts of the checks are no older: two polls, an answer of a voter, and the patience with them.
const CHECKED: Micros = 15 * SECOND;
/// Checks, catching up, and a successor that is awaited.
const LONGEST: Micros = 65 * SECOND;
