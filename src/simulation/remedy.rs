//! What to change: other configurations are simulated as well, and those without a problem are
//! named.

use super::setup::Setup;
use crate::config::{
    CommandLine, Config, NodeName, ObserverName, ObserverUrl, QuorumRule, VoterName,
};

/// Changes after which no single fault shows a problem, in words: single ones, or the first pair
/// where none is enough. `is_good`: no single fault shows a problem.
pub(super) fn remedies(config: &Config, is_good: impl Fn(&Config) -> bool) -> Vec<String> {
    let single: Vec<_> = CHANGES
        .iter()
        .filter(|change| changed(config, &[change]).is_some_and(|changed| is_good(&changed)))
        .map(|(words, _)| (*words).to_owned())
        .take(MOST_REMEDIES)
        .collect();
    if !single.is_empty() {
        return single;
    }
    let mut pairs = CHANGES.iter().enumerate().flat_map(|(at, first)| {
        CHANGES
            .iter()
            .skip(at + 1)
            .map(move |second| [first, second])
    });
    let pair = pairs.find(|pair| changed(config, pair).is_some_and(|changed| is_good(&changed)));
    pair.map(|[(first, _), (second, _)]| format!("{first}, and {second}"))
        .into_iter()
        .collect()
}

/// The configuration after these changes; none if one of them changes nothing.
fn changed(config: &Config, changes: &[&(&str, Change)]) -> Option<Config> {
    changes
        .iter()
        .try_fold(config.clone(), |config, (_, change)| {
            let mut changed = config.clone();
            change(&mut changed);
            (changed != config).then_some(changed)
        })
}

type Change = fn(&mut Config);

const CHANGES: [(&str, Change); 8] = [
    ("a \"failover_command\"", |config| {
        config.failover_command.get_or_insert_with(|| CommandLine {
            argv: vec!["promote".to_owned()],
        });
    }),
    ("\"poll_observers_on_warning_only\": false", |config| {
        config.poll_observers_on_warning_only = false
    }),
    ("no \"never_promote_these_nodes\"", |config| {
        config.never_promote.clear()
    }),
    ("no \"known_gone_nodes\"", |config| {
        config.known_gone.clear()
    }),
    ("every observer on a host of its own", |config| {
        for (name, _) in Setup::new(config, 0).sharing_observers() {
            if let Some(url) = config.observers.get_mut(&name) {
                url.host = format!("{name}.invalid");
            }
        }
    }),
    (
        "\"failover_quorum\": \"majority\" on every host",
        |config| config.quorum = QuorumRule::Majority,
    ),
    ("one more observer, at a site of its own", |config| {
        let url = ObserverUrl {
            host: "another.invalid".to_owned(),
            port: 15_000,
            path: String::new(),
            encrypted: false,
        };
        config
            .observers
            .insert(ObserverName::from("one more observer"), url);
        vote_too(config, "one more observer");
    }),
    ("one more standby, at a site of its own", |config| {
        if let Some(another) = config.nodes.values().next().cloned() {
            config
                .nodes
                .insert(NodeName::from("one more standby"), another);
            vote_too(config, "one more standby");
        }
    }),
];

/// Where there are elections, whoever is new votes.
fn vote_too(config: &mut Config, name: &str) {
    let clusters = config
        .voting
        .iter_mut()
        .flat_map(|it| it.clusters.values_mut());
    for cluster in clusters {
        if let Some(url) = cluster.voters.values().next().cloned() {
            cluster.voters.insert(VoterName::from(name), url);
        }
    }
}

/// More would only confuse.
const MOST_REMEDIES: usize = 3;
