//! What became of the promotions of many schedules, held against the databases as they were.

use std::collections::BTreeMap;

use pglookout::simulation::{Condition, Promotion, SECOND, World};

use crate::truth::Truth;

/// Counts of promotions.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) promotions: u64,
    /// A primary lived from which a standby that the daemon reached was streaming.
    pub(crate) beside_a_streaming_primary: u64,
    /// The promoted server lacks the history of the last primary.
    pub(crate) older_history: u64,
    /// A primary lived that the daemon could reach, and which the operator has taken out of its
    /// configuration or declared gone.
    pub(crate) by_the_operators_word: u64,
    /// Clean deaths that were not judged: a standby that tells no timeline was rewound, and a daemon
    /// still takes it for one of another history.
    pub(crate) rewound_unnoticed: u64,
    /// A second promotion in one outage, by what was wrong meanwhile.
    pub(crate) second_by_cause: BTreeMap<&'static str, u64>,
}

impl Table {
    pub(crate) fn add(&mut self, other: &Self) {
        self.promotions += other.promotions;
        self.beside_a_streaming_primary += other.beside_a_streaming_primary;
        self.older_history += other.older_history;
        self.rewound_unnoticed += other.rewound_unnoticed;
        self.by_the_operators_word += other.by_the_operators_word;
        for (cause, count) in &other.second_by_cause {
            *self.second_by_cause.entry(cause).or_default() += count;
        }
    }

    /// A promotion is about to begin.
    pub(crate) fn promotion(&mut self, world: &World<'_>, truth: &Truth, promotion: &Promotion) {
        self.promotions += 1;
        let databases = world.databases();
        let known = &truth.hosts[promotion.host];
        let reaches = |node: usize| {
            let answered = known.polled[node].is_some_and(|polled| polled.answered);
            answered && !world.network().path(promotion.host, node).cut
        };
        let nodes = 0..databases.len();
        let highest = databases.iter().filter_map(|it| it.term).max();
        let config = world.config(promotion.host);
        let names = &world.setup().nodes;
        let by_word = nodes.clone().any(|node| {
            let is_out = !world.is_addressed(promotion.host, node)
                || config.known_gone.contains(&names[node]);
            let database = &databases[node];
            let lives = database.is_primary && database.condition == Condition::Up;
            node != promotion.host
                && is_out
                && lives
                && !world.network().path(promotion.host, node).cut
        });
        let beside = nodes.clone().any(|node| {
            // Not one that was reached again in this very moment.
            let before = world.now().saturating_sub(2 * SECOND);
            let source = truth.nodes[node]
                .streams
                .filter(|(_, since)| *since <= before);
            let source = source.map(|(source, _)| source);
            reaches(node) && source.is_some_and(|source| databases[source].term == highest)
        });
        if by_word {
            self.by_the_operators_word += 1;
        } else if beside {
            self.beside_a_streaming_primary += 1;
        }
        let own = &databases[promotion.host].history;
        let lacks = highest.is_some_and(|term| own.iter().all(|fork| fork.term != term));
        self.older_history += u64::from(lacks);
        let earlier = world.promotions().0.iter();
        let earlier = earlier.rev().find(|earlier| earlier.is_rival_of(promotion));
        if let Some(earlier) = earlier {
            let cause = cause(world, truth, earlier, promotion);
            *self.second_by_cause.entry(cause).or_default() += 1;
        }
    }
}

/// What was wrong from the first promotion to the second.
fn cause(
    world: &World<'_>,
    truth: &Truth,
    earlier: &Promotion,
    second: &Promotion,
) -> &'static str {
    let since = earlier.began;
    let since = truth.hosts[earlier.host]
        .wants_since
        .unwrap_or(since)
        .min(since);
    let later = |time: Option<u64>| time.is_some_and(|time| time >= since);
    let hosts = [earlier.host, second.host];
    let network = world.network();
    let is_whole = |a: usize, b: usize| {
        network.path(a, b) == pglookout::simulation::Path::default()
            && !later(network.changed_at(a, b))
    };
    let setup = world.setup();
    let differs = |host: &usize| *world.config(*host) != world.proper_config(*host);
    let agree = setup.agree(earlier.host, second.host);
    if !agree || hosts.iter().any(differs) {
        "the settings differ"
    } else if !is_whole(second.host, earlier.host) || !is_whole(earlier.host, second.host) {
        "the network between the two"
    } else if later(truth.nodes[earlier.host].disturbed) {
        "the first one's server died, restarted or refused"
    } else if hosts.iter().any(|host| later(truth.hosts[*host].disturbed)) {
        "a daemon was restarted, stopped or reloaded"
    } else if !hosts
        .iter()
        .all(|host| setup.presence.shows_presence(*host))
        || hosts.iter().any(|server| {
            let shown = hosts
                .iter()
                .all(|host| setup.presence.is_shown(*server, *host));
            !shown
        })
    {
        "no presence"
    } else if earlier.outcome.is_some() {
        "the first one's command had ended"
    } else {
        "nothing"
    }
}
