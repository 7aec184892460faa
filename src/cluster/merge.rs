use std::time::Duration;

use super::state::{Attempt, ClusterState, NodeAnswer, NodeState, OwnDaemon};
use super::{
    LastPrimary, Lsn, NodeReport, Presence, ProbeFailure, Received, Role, RoleReport, Witness,
};
use crate::config::{Config, NodeName};
use crate::time::{Monotonic, Now, WallTime};

/// What a report is merged by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The remembered primary.
    pub remembered: Option<&'a NodeName>,
    /// When the report came.
    pub now: Now,
}

impl Context<'_> {
    /// A sighting that is older is none of a connected primary any more.
    pub(super) fn young(&self) -> Duration {
        self.config.poll_interval * 2
    }
}

impl ClusterState {
    /// Gives every configured node and observer an entry, and lets everybody else leave with all
    /// that is known of them.
    pub fn adopt(&mut self, config: &Config) {
        let left = self
            .nodes
            .keys()
            .filter(|node| !config.nodes.contains_key(*node))
            .cloned();
        self.former
            .extend(left.take(MAX_FORMER_NODES.saturating_sub(self.former.len())));
        self.former.retain(|node| !config.nodes.contains_key(node));
        self.observers
            .retain(|observer, _| config.observers.contains_key(observer));
        let mut before = std::mem::take(&mut self.nodes);
        let mut entry = |node: &NodeName| before.remove(node).unwrap_or_default();
        let nodes = config.nodes.keys();
        // Built in one piece a map takes half the memory of one that has grown.
        self.nodes = nodes.map(|node| (node.clone(), entry(node))).collect();
        for observer in config.observers.keys() {
            self.observers.entry(observer.clone()).or_default();
        }
        self.history.adopt(config);
    }

    /// Merges the outcome of a poll of our own. `asked`: when the poll began, where that is known.
    /// Says whether the news may change a decision: reachability, role or kind of failure.
    pub fn node_probed(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        asked: Option<Monotonic>,
        context: Context<'_>,
    ) -> bool {
        let Some(state) = self.nodes.get(node) else {
            return false;
        };
        let (standing_before, had) = (standing(state), state.answer.as_ref().map(receive));
        let may_be_primary = self.may_be_primary(node, context);
        let Some(state) = self.nodes.get_mut(node) else {
            return false;
        };
        match outcome {
            Ok(report) => {
                state.answered(node, report, context);
                self.learn_role(node, had, asked, context);
            }
            Err(failure) => state.failed(failure, may_be_primary, context.now),
        }
        let after = self.nodes.get(node);
        after.is_some_and(|after| standing_before != standing(after))
    }

    /// Was it a primary when it last reported its role to anybody, or is it the remembered one; or
    /// has it never reported a role while the primary is unknown or not configured: one that was
    /// renamed by mistake lives under its new name.
    fn may_be_primary(&self, node: &NodeName, context: Context<'_>) -> bool {
        let is_known = |primary: &NodeName| context.config.nodes.contains_key(primary);
        match self.history.is_primary(node) {
            Some(is_primary) => is_primary,
            None => context.remembered == Some(node) || !context.remembered.is_some_and(is_known),
        }
    }

    /// What follows from an answer of ours for the role of the node and for the others.
    fn learn_role(
        &mut self,
        node: &NodeName,
        had: Option<(Monotonic, Option<Lsn>)>,
        asked: Option<Monotonic>,
        context: Context<'_>,
    ) {
        let Some(answer) = self.nodes.get(node).and_then(|it| it.answer.as_ref()) else {
            return;
        };
        let role = Role {
            is_primary: !answer.in_recovery,
            at: answer.at,
            witness: Witness::Ourselves,
        };
        self.history.reported(node, role);
        if answer.in_recovery {
            let (timeline, has) = (answer.identity.timeline, receive(answer));
            self.history.has_position(node, answer.position(), timeline);
            self.learn_wal(node, had, has, Witness::Ourselves, context);
            return;
        }
        let answer = answer.clone();
        self.history.gone.remove(node);
        self.supersede(node, &answer, context);
        if !self.history.superseded.contains_key(node) {
            let asked = asked.unwrap_or_else(|| answer.at.before(context.config.poll_timeout));
            self.learn_primary(node, &answer, asked, context);
        }
    }

    /// A standby's receive position and when it was reported, before and now. Whoever sent the WAL
    /// lived after the poll before. Another standby that had it already may have sent it. An observer,
    /// which decides nothing and may watch thousands, leaves it alone.
    pub(super) fn learn_wal(
        &mut self,
        node: &NodeName,
        before: Option<(Monotonic, Option<Lsn>)>,
        now: (Monotonic, Option<Lsn>),
        witness: Witness,
        context: Context<'_>,
    ) {
        let (Some((before_at, Some(before))), (at, Some(receive))) = (before, now) else {
            return;
        };
        if receive <= before || context.config.own_db.is_none() {
            return;
        }
        let is_young = at.since(before_at) <= context.young();
        let sender_lived = Received {
            at: if is_young { before_at } else { at },
            witness,
        };
        // Positions first: they cost the least, and few are as high.
        let ours = self.nodes.iter().filter_map(|(other, state)| {
            let answer = state.answer.as_ref()?;
            Some((other, answer.position()))
        });
        let sightings = self.observers.values().flat_map(|it| &it.nodes);
        let theirs = sightings.filter_map(|(other, sighting)| {
            let position = sighting.receive.max(sighting.replay)?;
            Some((other, position))
        });
        let had_it = ours.chain(theirs).any(|(other, position)| {
            position >= receive && other != node && self.is_of_our_history(other, context)
        });
        self.history
            .received_more(node, at, (!had_it).then_some(sender_lived));
    }

    /// Is it a configured standby of our history, as far as anybody knows.
    fn is_of_our_history(&self, node: &NodeName, context: Context<'_>) -> bool {
        let Some(state) = self.nodes.get(node) else {
            return false;
        };
        let own = context.config.own_db.as_ref();
        let answer = state.answer.as_ref();
        let system = answer.and_then(|answer| answer.identity.system.as_deref());
        let is_foreign = differ(system, self.system(own));
        let is_standby = self.history.is_primary(node) == Some(false);
        is_standby && !is_foreign && !self.history.diverged.contains_key(node)
    }

    /// A node answers as a primary: it takes the place of every other one that is not reached, or
    /// is of a lower timeline. Nobody does who was superseded, nor who is of a lower timeline
    /// itself: an old primary that comes back.
    fn supersede(&mut self, node: &NodeName, answer: &NodeAnswer, context: Context<'_>) {
        if let Some(by) = self.history.superseded.get(node) {
            // One of a later timeline than its successor's was promoted after it.
            let timelines = answer.identity.timeline.zip(self.timeline(by));
            if timelines.is_none_or(|(ours, theirs)| ours <= theirs) {
                return;
            }
            self.history.superseded.remove(node);
        }
        let (mut superseded, mut successor) = (Vec::new(), None);
        for (other, state) in &self.nodes {
            let is_primary = self
                .history
                .is_primary(other)
                .unwrap_or(context.remembered == Some(other));
            if other == node || !is_primary || self.history.superseded.contains_key(other) {
                continue;
            }
            if state
                .answer
                .as_ref()
                .is_some_and(|it| it.is_same_server(answer))
            {
                continue;
            }
            // It may have answered a previous process only.
            let last = self.history.last_primary.as_ref();
            let last = last.filter(|last| last.node == *other);
            let others = self
                .timeline(other)
                .max(last.and_then(|last| last.timeline));
            let timeline = answer.identity.timeline;
            let is_higher = timeline.zip(others).map(|(ours, theirs)| ours.cmp(&theirs));
            let is_lost = state.attempt.is_some()
                && !self.is_within_reach(other, context.young(), context.now.mono);
            match is_higher {
                Some(std::cmp::Ordering::Greater) => superseded.push(other.clone()),
                // The other one answered us before this one was known as a primary.
                Some(std::cmp::Ordering::Less) => {
                    let answers = state.answer.as_ref().is_some_and(|it| !it.in_recovery);
                    let answered = answers || last.is_some();
                    successor = successor.or(answered.then(|| other.clone()));
                }
                Some(std::cmp::Ordering::Equal) | None if is_lost => {
                    superseded.push(other.clone());
                }
                Some(std::cmp::Ordering::Equal) | None => {}
            }
        }
        for other in superseded {
            self.history.superseded.insert(other, node.clone());
        }
        if let Some(successor) = successor {
            self.history.superseded.insert(node.clone(), successor);
        }
    }

    /// The last primary has answered a poll that began at `asked`. A standby that had reported a
    /// higher position by then is of another history.
    fn learn_primary(
        &mut self,
        node: &NodeName,
        answer: &NodeAnswer,
        asked: Monotonic,
        context: Context<'_>,
    ) {
        let timeline = answer.identity.timeline;
        let known = self.history.last_primary.take();
        let known = known.filter(|last| last.node == *node && last.timeline == timeline);
        let (since, earlier) = known.map_or((answer.at, Duration::ZERO), |last| {
            (last.since, last.earlier)
        });
        self.history.last_primary = Some(LastPrimary {
            node: node.clone(),
            lsn: answer.replay,
            timeline,
            since,
            at: answer.at,
            earlier,
        });
        let Some(lsn) = answer.replay else {
            return;
        };
        let ahead: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|(other, state)| Some((other, state.answer.as_ref()?)))
            .filter(|(_, it)| it.in_recovery && it.at <= asked && it.position() > lsn)
            .filter(|(other, _)| *other != node && self.is_of_our_history(other, context))
            .map(|(other, answer)| (other.clone(), answer.divergence()))
            .collect();
        self.history.diverged.extend(ahead);
    }
}

/// How much WAL a standby had received, and when it reported so.
fn receive(answer: &NodeAnswer) -> (Monotonic, Option<Lsn>) {
    (answer.at, answer.receive)
}

/// Both are known and differ.
pub(super) fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

impl NodeAnswer {
    /// Do both come from one server under two names.
    pub fn is_same_server(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.identity, &other.identity);
        let is_known = ours.system.is_some() && ours.started.is_some();
        is_known && ours.system == theirs.system && ours.started == theirs.started
    }
}

/// What of a node's state a decision may turn on.
fn standing(state: &NodeState) -> (Option<bool>, Option<bool>, bool) {
    (
        state.attempt.map(|attempt| attempt.connected),
        state.answer.as_ref().map(|answer| answer.in_recovery),
        state
            .failure
            .as_ref()
            .is_some_and(ProbeFailure::is_living_refusal),
    )
}

impl NodeState {
    fn answered(&mut self, node: &NodeName, report: NodeReport, context: Context<'_>) {
        let now = context.now;
        self.attempt = Some(Attempt {
            at: now.mono,
            fetch_time: now.wall,
            connected: true,
        });
        self.failure = None;
        let daemon = report.daemons.as_ref();
        // A session that was not used for three polls is nobody's.
        let is_live = |daemon: &Presence| daemon.age < context.config.poll_interval * 3;
        let daemon = daemon.map(|daemons| {
            let mut own = daemons.iter().filter(|daemon| daemon.is_of(node));
            own.find(|daemon| is_live(daemon))
        });
        match daemon {
            Some(Some(daemon)) => {
                self.own_daemon = Some(OwnDaemon {
                    state: daemon.state,
                    at: now.mono,
                    missed: 0,
                });
            }
            Some(None) => {
                let missed =
                    |daemon: &mut OwnDaemon| daemon.missed = daemon.missed.saturating_add(1);
                self.own_daemon.iter_mut().for_each(missed);
            }
            // The server shows no sessions: nothing is known of its daemon.
            None => self.own_daemon = None,
        }
        let mut answer = NodeAnswer {
            at: now.mono,
            in_recovery: true,
            db_time: report.db_time,
            receive: None,
            replay: None,
            last_replay: None,
            slots: Vec::new(),
            identity: report.identity,
            daemons: report.daemons,
        };
        match report.role {
            RoleReport::Primary { lsn, slots } => {
                answer.in_recovery = false;
                answer.replay = lsn;
                answer.slots = slots;
                self.replication_lag = None;
                self.primary_contact = Some(now.mono);
            }
            RoleReport::Standby {
                receive,
                replay,
                last_replay,
            } => {
                answer.receive = receive;
                answer.replay = replay;
                answer.last_replay = last_replay;
                self.measure_lag(report.db_time, last_replay);
                if receive.is_some() {
                    self.streaming_since.get_or_insert(now.mono);
                }
            }
        }
        self.answer = Some(answer);
    }

    /// A null last replay timestamp leaves the last known lag as it is (behaviour.md, "Polling").
    fn measure_lag(&mut self, db_time: WallTime, last_replay: Option<WallTime>) {
        let Some(last_replay) = last_replay else {
            return;
        };
        let lag = db_time.distance(last_replay);
        self.replication_lag = Some(lag);
        self.min_replication_lag = Some(
            self.min_replication_lag
                .map_or(lag, |lowest| lowest.min(lag)),
        );
    }

    fn failed(&mut self, failure: ProbeFailure, may_be_primary: bool, now: Now) {
        if failure.is_living_refusal() {
            self.refused = Some(now.mono);
            if may_be_primary {
                self.refused_as_primary = Some(now.mono);
            }
        }
        self.attempt = Some(Attempt {
            at: now.mono,
            fetch_time: now.wall,
            connected: false,
        });
        self.failure = Some(failure);
    }
}

/// So many names that have left are remembered.
const MAX_FORMER_NODES: usize = 1_000;

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
