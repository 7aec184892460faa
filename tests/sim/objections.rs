//! What stands against a promotion by the truth of the world.

use pglookout::simulation::{
    Condition, Database, HostId, Micros, NodeId, Path, Promotion, SECOND, World, micros,
};

use crate::truth::{Contact, Polled, Truth};
use crate::violation::{Kind, Violation};

/// A promotion that is about to begin, against what is true.
pub(crate) struct Case<'a, 'w> {
    pub(crate) truth: &'a Truth,
    pub(crate) world: &'a World<'w>,
    pub(crate) host: HostId,
}

impl Case<'_, '_> {
    /// The first objection.
    pub(crate) fn objection(&self) -> Option<Violation> {
        let primaries = (0..self.world.setup().nodes.len()).filter(|node| self.counts(*node));
        let alive = primaries
            .filter_map(|node| self.evidence(node))
            .max_by_key(|(_, age)| std::cmp::Reverse(*age));
        alive
            .map(|(kind, age)| Violation::PrimaryLived(self.host, kind, age))
            .or_else(|| self.reachable_now())
            .or_else(|| self.not_asked_anew())
            .or_else(|| self.older_history())
            .or_else(|| self.further_ahead())
    }

    fn database(&self, node: NodeId) -> &Database {
        &self.world.databases()[node]
    }

    fn limit(&self) -> Micros {
        let limit = self.world.config(self.host).failover_lag;
        self.world.span(self.host, limit)
    }

    /// Under a wrong name it is waited for as long as under the right one, because nobody has told a role
    /// of it there. An observer that lies may have: then the right name was simply taken out, and is
    /// given the time of a primary that vanishes from the configuration.
    fn limit_for(&self, node: NodeId) -> Micros {
        let config = self.world.config(self.host);
        let is_misspelt = !config.nodes.contains_key(&self.world.setup().nodes[node]);
        let observers = self.world.setup().observers.iter();
        let mut liars = observers.filter(|(_, at)| self.truth.hosts[*at].has_lied);
        if is_misspelt && liars.next().is_some() {
            self.limit().min(micros(config.missing_primary_timeout))
        } else {
            self.limit()
        }
    }

    /// Is it a primary by the operator's word, and none that another one has replaced for all that
    /// this daemon has learnt itself.
    fn counts(&self, node: NodeId) -> bool {
        let config = self.world.config(self.host);
        let name = &self.world.setup().nodes[node];
        let term = self.database(node).term.unwrap_or_default();
        let knowledge = &self.truth.hosts[self.host].knowledge;
        let is_superseded = knowledge.highest_term().is_some_and(|known| known > term);
        node != self.host
            && self.world.name_on(self.host, node).is_some()
            && !config.known_gone.contains(name)
            && !is_superseded
            && !self.is_replaced(node)
    }

    /// Has another node answered this daemon as a primary later.
    fn is_replaced(&self, node: NodeId) -> bool {
        let answered = &self.truth.hosts[self.host].knowledge.answered;
        let last = answered[node].map(|contact| contact.at);
        let mut others = answered.iter().enumerate();
        others.any(|(other, contact)| {
            other != node && contact.is_some_and(|contact| last.is_none_or(|at| contact.at > at))
        })
    }

    /// How this node, a primary, was reached less than the limit ago.
    fn evidence(&self, node: NodeId) -> Option<(Kind, Micros)> {
        let (now, limit) = (self.world.now(), self.limit_for(node));
        let known = &self.truth.hosts[self.host];
        let term = self.database(node).term?;
        let age = |kind, contact: Option<Contact>, slack: Micros| {
            let contact = contact.filter(|contact| contact.term == term)?;
            let age = now.saturating_sub(contact.at);
            (age + slack < limit).then_some((kind, age))
        };
        let knowledge = &known.knowledge;
        // Who turns a daemon away is known to be a primary if it was reached as one before.
        // An observer that lies may have reported another role since.
        let mut observers = self.world.setup().observers.iter();
        let are_honest = observers.all(|(_, at)| self.truth.hosts[*at].unreliable.is_none());
        let refused =
            knowledge.refused[node].filter(|_| are_honest && knowledge.answered[node].is_some());
        let remembered = self.world.remembered(self.host);
        let gone = &self.world.config(self.host).known_gone;
        let is_void = remembered.is_some_and(|node| gone.contains(&self.world.setup().nodes[node]));
        let received = knowledge.received.iter().enumerate();
        let received = received.filter(|(standby, _)| !is_void && *standby != node);
        let received = received.filter_map(|(_, contact)| *contact).max();
        age(Kind::Answered, knowledge.answered[node], 0)
            .or_else(|| age(Kind::Refused, refused, 0))
            .or_else(|| age(Kind::Sighted, knowledge.sighted[node], DATE))
            .or_else(|| age(Kind::Received, received, 0))
    }

    /// A primary that has answered for so long that fresh questions must have found it.
    fn reachable_now(&self) -> Option<Violation> {
        let config = self.world.config(self.host);
        let patience = micros(config.missing_primary_timeout + config.poll_timeout * 2) + SECOND;
        let since = self.world.now().checked_sub(patience)?;
        let mut nodes = 0..self.world.setup().nodes.len();
        let found = nodes.find(|node| {
            let database = self.database(*node);
            let is_up = database.condition == Condition::Up
                && !database.is_asleep
                && self.truth.nodes[*node]
                    .primary_since
                    .is_some_and(|at| at < since);
            is_up && self.counts(*node) && self.reaches(self.host, *node, since)
        })?;
        Some(Violation::Reachable(self.host, found))
    }

    /// Has this host reached this node without anything odd since then.
    fn reaches(&self, host: HostId, node: NodeId, since: Micros) -> bool {
        let quiet = |time: Option<Micros>| time.is_none_or(|time| time < since);
        let network = self.world.network();
        network.path(host, node) == Path::default()
            && self.world.is_addressed(host, node)
            && quiet(network.changed_at(host, node))
            && quiet(self.truth.nodes[node].disturbed)
            && quiet(self.truth.hosts[host].disturbed)
            && self.database(node).condition == Condition::Up
            && !self.database(node).refuses(host)
    }

    /// Since when there is cause; by the decision that led to the election, where voters elect.
    fn cause(&self) -> Option<Micros> {
        let known = &self.truth.hosts[self.host];
        match self.world.setup().elects() {
            true => known.decided_on.map(|(cause, _)| cause),
            false => known.asked_anew,
        }
    }

    /// Everybody has answered, or failed, since there was cause.
    fn not_asked_anew(&self) -> Option<Violation> {
        let known = &self.truth.hosts[self.host];
        // By a clock that stood still, whoever was asked in vain before that is lost sooner after it.
        let recently = self.world.now().saturating_sub(self.limit() + 2 * SECOND);
        if known.woke.is_some_and(|at| at >= recently) {
            return None;
        }
        let Some(cause) = self.cause() else {
            return Some(Violation::StaleFacts(self.host));
        };
        let config = self.world.config(self.host);
        let setup = self.world.setup();
        // Whoever was asked in vain for as long as the limit is lost.
        let earliest = self.world.now().saturating_sub(self.limit()) + ROUNDING;
        let is_stale = |(polled, in_vain): (&Option<Polled>, &Option<Micros>)| {
            let is_old = polled.is_none_or(|polled| polled.ended < cause);
            is_old && in_vain.is_none_or(|since| since > earliest)
        };
        let mut nodes = known.polled.iter().zip(&known.in_vain).enumerate();
        let is_stale_node = nodes
            .any(|(node, asked)| self.world.name_on(self.host, node).is_some() && is_stale(asked));
        let asked = known.observer_polled.iter().zip(&known.observer_in_vain);
        let mut observers = setup.observers.iter().zip(asked);
        let is_stale_observer = observers
            .any(|((name, _), asked)| config.observers.contains_key(name) && is_stale(asked));
        (is_stale_node || is_stale_observer).then_some(Violation::StaleFacts(self.host))
    }

    /// The last primary that this daemon knew for long was of a history that its node lacks.
    fn older_history(&self) -> Option<Violation> {
        if !self.world.setup().presence.identity {
            return None;
        }
        let known = &self.truth.hosts[self.host];
        let reigns = known.knowledge.reigns.iter();
        let ((primary, term), (first, last)) = reigns.max_by_key(|((_, term), _)| *term)?;
        let own = self.database(self.host);
        let has_it = own.history.iter().any(|fork| fork.term == *term);
        let was_long = last.saturating_sub(*first) >= self.limit() + SECOND;
        // By a clock that stood still it was shorter.
        let was_long = was_long && known.woke.is_none_or(|at| at < *first);
        // Nobody can tell from which primary that WAL came if one of them was never polled.
        let grew = known.knowledge.grew[self.host].is_some_and(|at| at >= *first);
        // What it has written itself is gone only where an operator has rewound it. So is what that
        // primary has written, where it was made a standby of another one.
        let last = self.database(*primary);
        let is_kept = last.history.iter().any(|fork| fork.term == *term);
        // Of two timelines of one number nobody can tell which is which.
        let is_kept = is_kept && own.timeline() < last.timeline();
        let is_configured = *primary != self.host && self.counts_as_configured(*primary);
        (!has_it && is_kept && was_long && !grew && is_configured)
            .then_some(Violation::OlderHistory(self.host, *primary))
    }

    fn counts_as_configured(&self, node: NodeId) -> bool {
        let config = self.world.config(self.host);
        let name = &self.world.setup().nodes[node];
        let is_known = self.world.name_on(self.host, node).is_some();
        is_known && !config.known_gone.contains(name)
    }

    /// A standby of the same history that is further ahead, reached and willing.
    fn further_ahead(&self) -> Option<Violation> {
        let (setup, config) = (self.world.setup(), self.world.config(self.host));
        let window = micros(config.poll_interval * 3 + config.poll_timeout * 2) + 2 * SECOND;
        let since = self.world.now().checked_sub(window)?;
        let known = &self.truth.hosts[self.host];
        let cause = self.cause()?;
        let position = |node: NodeId| {
            let polled = known.polled[node]?;
            polled
                .position
                .filter(|_| polled.answered && polled.ended >= cause)
        };
        let own = position(self.host)?;
        // What is learnt during an election does not end it: the voters know who is further.
        let decided = known.decided_on.filter(|_| setup.elects());
        let is_known = |node: &NodeId| {
            let polled = known.polled[*node];
            let is_later = |(_, at)| polled.is_some_and(|polled| polled.ended > at);
            !decided.is_some_and(is_later)
        };
        let others = (0..setup.nodes.len()).filter(|node| *node != self.host);
        let mut others = others.filter(is_known);
        let found = others.find(|node| {
            let database = self.database(*node);
            !database.is_primary
                && position(*node).is_some_and(|it| it > own)
                && self.database(self.host).is_part_of(database)
                && self.counts_as_configured(*node)
                && !config.never_promote.contains(&setup.nodes[*node])
                && self.reaches(self.host, *node, since)
                && self.is_willing(*node, since)
        })?;
        Some(Violation::FurtherAhead(self.host, found))
    }

    /// Is this node no primary to follow: replaced by another one, or not reached by the daemon
    /// itself, whatever observers report.
    pub(crate) fn follows(&self, primary: NodeId) -> Option<Violation> {
        // Of a server that is no standby nothing but that is found out.
        if self.database(self.host).is_primary {
            return None;
        }
        let config = self.world.config(self.host);
        let knowledge = &self.truth.hosts[self.host].knowledge;
        let last = knowledge.answered[primary]?;
        let patience = micros(config.poll_interval * 4 + config.poll_timeout * 4) + 2 * SECOND;
        // It ends when that one is made a standby, or the operator takes it out.
        let mut reigns = knowledge.reigns.keys();
        let is_replaced = reigns.any(|(node, term)| {
            let (later, earlier) = (self.database(*node), self.database(primary));
            // Without timelines, or with two of one number, nobody can tell which one is newer.
            *term > last.term
                && later.term == Some(*term)
                && later.timeline() > earlier.timeline()
                && self.world.setup().presence.identity
                && self.counts_as_configured(*node)
        });
        let since = self.world.now().saturating_sub(patience);
        let disturbed = self.truth.hosts[self.host].disturbed;
        let is_lost = last.at < since && disturbed.is_none_or(|at| at < last.at);
        // What it has followed before, and nobody has replaced, is followed on while it is lost.
        let mut nodes = 0..self.world.setup().nodes.len();
        let is_outdated = nodes.any(|node| {
            let other = self.database(node);
            other.is_primary && other.timeline() > self.database(primary).timeline()
        });
        // An observer's lie makes the one that replaced it a standby.
        let mut observers = self.world.setup().observers.iter();
        let is_lied_to = observers.any(|(_, at)| {
            let unreliable = self.truth.hosts[*at].unreliable;
            self.world.lie(*at).is_some() || unreliable.is_some_and(|at| at >= since)
        });
        let is_wrong = (is_replaced && !is_lied_to) || (is_lost && is_outdated);
        is_wrong.then_some(Violation::Follows(self.host, primary))
    }

    /// Would its daemon promote it.
    pub(crate) fn is_willing(&self, node: NodeId, since: Micros) -> bool {
        let known = &self.truth.hosts[node];
        let config = self.world.config(node);
        let quiet = |time: Option<Micros>| time.is_none_or(|time| time < since);
        self.world.is_alive(node)
            && quiet(known.disturbed)
            && !self.database(node).refuses(node)
            && self.world.network().path(node, node) == Path::default()
            && quiet(self.world.network().changed_at(node, node))
            && !self.world.maintenance(node)
            && !self.truth.knows_pause(node)
            && !known.command_fails
            && !known.shows.steps_aside()
            && quiet(known.stepped_aside)
            && config.own_db.is_some()
            && !config
                .never_promote
                .contains(&self.world.setup().nodes[node])
    }

    /// A server that shows sessions, and that this daemon and that of an earlier promotion, which
    /// still runs, have reached from the announcement of either until now.
    pub(crate) fn common_server(&self, earlier: &Promotion) -> Option<NodeId> {
        let hosts = [earlier.host, self.host];
        let announced = hosts.map(|host| self.truth.hosts[host].wants_since);
        let calm = 3 * self.world.setup().longest(|config| config.poll_interval)
            + 3 * self.world.setup().longest(|config| config.poll_timeout)
            + SECOND;
        let [first, second] = announced.map(|at| at.unwrap_or(earlier.began));
        let since = first.min(second).min(earlier.began).checked_sub(calm)?;
        let presence = self.world.setup().presence;
        if earlier.outcome.is_some() || !self.truth.hosts[earlier.host].shows.is_promoting() {
            return None;
        }
        let mut servers = 0..self.world.setup().nodes.len();
        servers.find(|server| {
            hosts.iter().all(|host| {
                let ended = self.truth.hosts[*host].session_ended[*server];
                presence.is_shown(*server, *host)
                    && self.world.is_alive(*host)
                    && ended.is_none_or(|at| at < since)
                    && self.reaches(*host, *server, since)
            })
        })
    }
}

/// Times by a clock that has a rate of its own.
const ROUNDING: Micros = 2;
/// The `Date` of an observer's answer is in whole seconds.
const DATE: Micros = SECOND;
