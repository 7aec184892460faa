//! What has to hold before a switchover begins (rule S1), each with its figures.

use std::fmt;

use super::{Facts, Stage, Switchover};
use crate::cluster::{ClusterState, Lsn, NodeAnswer, NodeState};
use crate::config::{Config, DemoteSettings, FenceSettings, NodeName, VoterName};
use crate::lookout::decisions::Decisions;
use crate::lookout::tenure::Seen;
use crate::lookout::votes;
use crate::time::Monotonic;
use crate::votes::{Holder, Stage as Held};

/// One of them.
#[derive(Debug)]
pub(super) struct Check {
    name: &'static str,
    /// What was found; an error speaks against the switchover.
    found: Result<String, String>,
    /// Waiting changes nothing.
    is_final: bool,
}

impl Check {
    fn new(name: &'static str, found: Result<String, String>) -> Self {
        Self {
            name,
            found,
            is_final: false,
        }
    }

    /// Of settings, which stay as they are.
    fn of_settings(name: &'static str, found: Result<String, String>) -> Self {
        let is_final = found.is_err();
        Self {
            is_final,
            ..Self::new(name, found)
        }
    }

    pub(super) fn is_met(&self) -> bool {
        self.found.is_ok()
    }

    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }

    pub(super) fn text(&self) -> &str {
        match &self.found {
            Ok(text) | Err(text) => text,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = if self.is_met() { "ok" } else { "NOT MET" };
        write!(f, "{}: {met}: {}", self.name, self.text())
    }
}

/// The two servers, and what the checks are made by.
struct Pair<'a> {
    own: &'a NodeName,
    to: &'a NodeName,
    ours: Option<&'a NodeAnswer>,
    theirs: Option<&'a NodeAnswer>,
    /// Another node that may be a primary, for all that is known since the request.
    unknown: Option<&'a NodeName>,
    demotion: &'a DemoteSettings,
    facts: &'a Facts,
    now: Monotonic,
}

impl Decisions {
    /// All of them, by the facts since the request.
    pub(super) fn checks(
        &self,
        switchover: &mut Switchover,
        config: &Config,
        now: Monotonic,
    ) -> Vec<Check> {
        let settings = match required(config) {
            Ok(required) => required,
            Err(reason) => return vec![Check::of_settings("settings", Err(reason))],
        };
        let (own, fence, demotion) = settings;
        let (to, began) = (switchover.request().to.clone(), switchover.began);
        let target = target(&to, own, config);
        let is_known = target.is_ok();
        let mut checks = vec![
            Check::of_settings("settings", Ok(settings_text(demotion))),
            Check::of_settings("target", target),
        ];
        if !is_known {
            return checks;
        }
        let recent = |node: &NodeName| {
            let node = self.facts.state.nodes.get(node)?;
            let answer = node.answer.as_ref().filter(|answer| answer.at >= began)?;
            NodeState::is_connected(node).then_some(answer)
        };
        let (ours, theirs) = (recent(own), recent(&to));
        let is_standby = |node: &NodeName| recent(node).is_some_and(|it| it.in_recovery);
        let mut others = config
            .nodes
            .keys()
            .filter(|node| *node != own && **node != to);
        let unknown = others.find(|node| !is_standby(node) && !config.known_gone.contains(*node));
        let term = switchover.term;
        let Stage::Checking(facts) = &mut switchover.stage else {
            return checks;
        };
        let written = ours.and_then(|answer| answer.replay);
        facts.written = facts.written.or(written);
        facts.received = facts.received.or(theirs.and_then(|answer| answer.receive));
        let pair = Pair {
            own,
            to: &to,
            ours,
            theirs,
            unknown,
            demotion,
            facts,
            now,
        };
        let seen = self.own_server_seen(config);
        let state = &self.facts.state;
        checks.extend([
            match self.votes.held(config) {
                Some(held) => Check::new("lease", lease(held, term, seen, &pair)),
                None => Check::of_settings("lease", Err("this daemon holds no term".to_owned())),
            },
            Check::new("majority", self.majority(fence, config, now)),
            Check::new("pause", self.not_paused()),
            Check::new("other primaries", pair.sole_primary(state)),
            Check::new("control file", pair.control_file()),
            Check::new("willing", self.willing(&pair, began, config)),
            Check::new("streaming", pair.streams()),
            Check::new("lag", pair.lag()),
            Check::new("history", pair.history(state)),
        ]);
        checks
    }

    fn majority(
        &self,
        fence: &FenceSettings,
        config: &Config,
        now: Monotonic,
    ) -> Result<String, String> {
        let lease = config.voting.as_ref().map(|voting| voting.lease);
        let until = self.votes.held(config).and_then(|held| held.lease(now));
        let Some((until, lease)) = until.zip(lease) else {
            return Err("no majority has renewed the lease".to_owned());
        };
        let age = lease.saturating_sub(until.since(now));
        let (age_text, limit) = (age.as_secs_f64(), fence.renew.as_secs_f64());
        let text = format!(
            "a majority has renewed the lease {age_text:.3} s ago, the limit is lease_renew_interval, {limit} s"
        );
        if age <= fence.renew {
            Ok(text)
        } else {
            Err(text)
        }
    }

    fn not_paused(&self) -> Result<String, String> {
        match self.pause.active() {
            None => Ok("the cluster is not paused".to_owned()),
            Some(pause) => Err(pause.sentence()),
        }
    }

    /// By the answer of its voter.
    fn willing(
        &self,
        pair: &Pair<'_>,
        began: Monotonic,
        config: &Config,
    ) -> Result<String, String> {
        let (to, voter) = (pair.to, VoterName::from(pair.to.as_str()));
        let peer = self.votes.own(config).and_then(|it| it.peers().get(&voter));
        let Some(peer) = peer.filter(|peer| peer.at >= began) else {
            return Err(format!("pglookout on {to} has not answered yet"));
        };
        match &peer.outcome {
            Err(reason) => Err(format!("pglookout on {to} does not answer: {reason}")),
            Ok(answer) if !answer.willing => Err(format!(
                "pglookout on {to} would not promote its server: maintenance, no failover_command, a failed promotion, \
                 or its server is not reached"
            )),
            Ok(answer) if answer.fences == Some(false) => {
                Err(format!("no fence_command is in force on {to}"))
            }
            Ok(_) => Ok(format!("pglookout on {to} would promote its server")),
        }
    }
}

/// Our own node, and the keys without which nothing is switched over.
fn required(config: &Config) -> Result<(&NodeName, &FenceSettings, &DemoteSettings), String> {
    let own = config.own_db.as_ref().ok_or("own_db is not set")?;
    let fence = votes::fencing(config)
        .ok_or("there are no leases here: votes do not decide, or fence_command is not set")?;
    let demotion = config.demotion().ok_or("demote_command is not set")?;
    Ok((own, fence, demotion))
}

fn settings_text(demotion: &DemoteSettings) -> String {
    let limit = demotion.timeout.as_secs_f64();
    let program = demotion.command.argv.first().map_or("", String::as_str);
    format!("demote_command runs {program}, for at most {limit} s")
}

fn target(to: &NodeName, own: &NodeName, config: &Config) -> Result<String, String> {
    let voters = config
        .deciding_cluster()
        .map(|(_, cluster)| &cluster.voters);
    let voter = VoterName::from(to.as_str());
    if to == own {
        return Err(format!("{to} is this node"));
    }
    if !config.nodes.contains_key(to) {
        return Err(format!("{to} is not in remote_conns"));
    }
    if voters.is_none_or(|voters| !voters.contains_key(&voter)) {
        return Err(format!("{to} is no voter"));
    }
    if config.never_promote.contains(to) {
        return Err(format!("{to} is in never_promote_these_nodes"));
    }
    Ok(format!("{to} is a node and a voter"))
}

fn lease(held: &Holder, term: u64, seen: Seen, pair: &Pair<'_>) -> Result<String, String> {
    let (own, now) = (pair.own, pair.now);
    let until = held.lease(now).filter(|_| held.stage() == Held::Holding);
    let until = until.ok_or_else(|| format!("there is no lease for term {}", held.term()))?;
    if held.term() != term || seen != Seen::Primary || pair.ours.is_none() {
        return Err(format!(
            "{own} has not answered as the primary of term {term} yet"
        ));
    }
    let left = until.since(now).as_secs_f64();
    Ok(format!(
        "{own} is the primary of term {term}, with a lease for {left:.1} s more"
    ))
}

impl Pair<'_> {
    fn control_file(&self) -> Result<String, String> {
        let path = self.demotion.data_directory.join("global/pg_control");
        let path = path.display();
        match &self.facts.control {
            None => Err(format!("{path} has not been read yet")),
            Some(Err(reason)) => Err(format!("{path}: {reason}")),
            Some(Ok(data)) => Ok(format!("{path} is this server's, it is {}", data.state)),
        }
    }

    fn standby(&self) -> Result<&NodeAnswer, String> {
        let to = self.to;
        let theirs = self
            .theirs
            .ok_or_else(|| format!("{to} has not answered a poll"))?;
        if theirs.in_recovery {
            Ok(theirs)
        } else {
            Err(format!("{to} is no standby"))
        }
    }

    /// What our server had written when this began has to have arrived, and more to come: one that was cut
    /// off, on another branch of history, may be further all the same.
    fn streams(&self) -> Result<String, String> {
        let (to, own) = (self.to, self.own);
        let theirs = self.standby()?;
        let known = self.facts.written.zip(self.facts.received);
        let Some((written, first)) = known else {
            return Err(format!(
                "{to} has received nothing, or {own} has not reported its position"
            ));
        };
        let received = theirs.receive.unwrap_or_default();
        let text = format!(
            "{to} has received {received}, and {first} at first; {own} had written {written} when this began"
        );
        match received >= written && received > first {
            true => Ok(text),
            false => Err(text),
        }
    }

    fn lag(&self) -> Result<String, String> {
        let (to, limit) = (self.to, self.demotion.max_lag);
        let theirs = self.standby()?;
        let written = self.ours.and_then(|ours| ours.replay).unwrap_or_default();
        let behind = |at: Option<Lsn>| {
            written
                .bytes()
                .saturating_sub(at.unwrap_or_default().bytes())
        };
        let (receive, replay) = (behind(theirs.receive), behind(theirs.replay));
        let text = format!(
            "{to} is {receive} bytes behind, {replay} in replay, the limit is switchover_max_lag, {limit}"
        );
        if receive.max(replay) < limit {
            Ok(text)
        } else {
            Err(text)
        }
    }

    /// While two servers take writes, which of them is to be kept is an operator's to decide first.
    fn sole_primary(&self, state: &ClusterState) -> Result<String, String> {
        let is_ours = |answer: &NodeAnswer| self.ours.is_some_and(|it| it.is_same_server(answer));
        let mut others = state.nodes.iter().filter(|(node, it)| {
            let is_another = !it.answer.as_ref().is_some_and(is_ours);
            *node != self.own && it.is_connected_primary() && is_another
        });
        match others.next() {
            Some((node, _)) => Err(format!("{node} answers as a primary, too")),
            None => Ok("no other node answers as a primary".to_owned()),
        }
    }

    /// What is not known decides nothing. A standby shows an older timeline until its next restartpoint, unless
    /// its walreceiver may be seen. It may as well stream from a former primary that only it reaches.
    fn history(&self, state: &ClusterState) -> Result<String, String> {
        let (to, own) = (self.to, self.own);
        let theirs = &self.standby()?.identity;
        let Some(ours) = self.ours.map(|ours| &ours.identity) else {
            return Err(format!("the timeline of {own} is not known"));
        };
        let systems = ours.system.as_ref().zip(theirs.system.as_ref());
        if systems.is_some_and(|(ours, theirs)| ours != theirs) {
            return Err(format!("{to} is a server of another system"));
        }
        if state.history.diverged.contains_key(to) {
            return Err(format!("{to} has diverged from the primary"));
        }
        let text = |timeline: Option<u32>| timeline.map_or("?".to_owned(), |it| it.to_string());
        let found = format!(
            "{to} shows timeline {}, {own} timeline {}",
            text(theirs.timeline),
            text(ours.timeline)
        );
        match (ours.timeline.zip(theirs.timeline), self.unknown) {
            (Some((ours, theirs)), Some(node)) if theirs < ours => Err(format!(
                "{found}: it may stream from {node}, which is not reached as a standby; after a CHECKPOINT of {own} \
                 and then of {to} it shows its own, and with pg_monitor for pglookout's user always"
            )),
            (Some((ours, theirs)), _) if theirs > ours => Err(found),
            _ => Ok(found),
        }
    }
}
