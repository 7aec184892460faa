//! A decision as JSON, the same wherever it is shown: in the state file, on `/decisions.json`, on a
//! line of replay.

use std::time::Duration;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::node_json::indented;
use crate::cluster::Witness;
use crate::failover::{Contender, LagFigure, LastContact, PrimaryFigure, PrimaryStanding, Votes};
use crate::lookout::Round;
use crate::time::timestamp;

/// What a round came to, with the figures behind it.
pub fn decision(round: &Round) -> Value {
    let verdict = &round.decision.verdict;
    let remembered = round
        .figures
        .primaries
        .iter()
        .find(|primary| primary.remembered);
    json!({
        "at": timestamp::format(round.at.wall),
        "verdict": verdict.name(),
        "reason": verdict.reason(),
        "sentence": verdict.to_string(),
        "primary": remembered.map(|primary| primary.node.as_str()),
        "figures": figures(round),
    })
}

/// The figures behind a decision. Ages and limits are seconds.
pub fn figures(round: &Round) -> Value {
    let figures = &round.figures;
    json!({
        "primaries": figures.primaries.iter().map(primary).collect::<Vec<_>>(),
        "standbys": figures.standbys.iter().map(standby).collect::<Vec<_>>(),
        "votes": votes(&figures.votes),
        "last_contact": figures.last_contact.as_ref().map(last_contact),
        "lag": figures.lag.map(lag),
        "look_again_in": figures.look_again_in.map(seconds),
        "would_change": figures.changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The body of `/decisions.json`: these rounds in this order, each turned into JSON only when its
/// turn comes.
pub fn page<'a>(rounds: impl Iterator<Item = &'a Round> + Clone) -> Vec<u8> {
    indented(&Page(rounds))
}

struct Page<I>(I);

impl<'a, I: Iterator<Item = &'a Round> + Clone> Serialize for Page<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for round in self.0.clone() {
            list.serialize_element(&decision(round))?;
        }
        list.end()
    }
}

fn primary(primary: &PrimaryFigure) -> Value {
    let mut entry = named(primary.node.as_str());
    entry.insert("remembered".to_owned(), json!(primary.remembered));
    entry.insert("standing".to_owned(), json!(primary.standing.name()));
    match &primary.standing {
        PrimaryStanding::Reached { witness } => entry.insert("source".to_owned(), source(witness)),
        PrimaryStanding::Lost {
            failure: Some(failure),
        } => entry.insert("failure".to_owned(), json!(failure.to_string())),
        _ => None,
    };
    Value::Object(entry)
}

fn standby(standby: &Contender) -> Value {
    json!({
        "name": standby.node.as_str(),
        "source": source(&standby.witness),
        "age": seconds(standby.age),
        "position": standby.position.to_string(),
        "priority": standby.priority,
        "place": standby.place.name(),
        "why": standby.to_string(),
    })
}

fn votes(votes: &Votes) -> Value {
    let quorum = votes.quorum();
    let missing = votes.missing.iter().map(|(voter, why)| {
        let mut entry = named(&voter.to_string());
        entry.insert("reason".to_owned(), json!(why.name()));
        entry.insert("why".to_owned(), json!(why.to_string()));
        Value::Object(entry)
    });
    json!({
        "known": quorum.known,
        "required": quorum.needed(),
        "total": quorum.total,
        "rule": votes.rule.name(),
        "voters": votes.known.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
    })
}

fn last_contact(contact: &LastContact) -> Value {
    json!({
        "node": contact.node.as_str(),
        "source": source(&contact.witness),
        "age": seconds(contact.age),
        "limit": seconds(contact.limit),
    })
}

fn lag(lag: LagFigure) -> Value {
    json!({
        "lag": lag.lag.map(seconds),
        "catching_up": lag.catching_up,
        "warning_limit": seconds(lag.warning_limit),
        "failover_limit": seconds(lag.failover_limit),
    })
}

fn named(name: &str) -> Map<String, Value> {
    Map::from_iter([("name".to_owned(), json!(name))])
}

fn source(witness: &Witness) -> Value {
    json!(witness.to_string())
}

/// To the microsecond, which is as exact as facts are.
fn seconds(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixtures::{lsn, wall};
    use super::*;
    use crate::cluster::{NodeReport, ProbeFailure, RoleReport};
    use crate::config::{self, Environment};
    use crate::lookout::{Event, GivenTurn, Look, Lookout, Memory};
    use crate::time::{Monotonic, Now};

    fn now(seconds: u64) -> Now {
        let passed = Duration::from_secs(seconds);
        Now {
            mono: Monotonic::from_duration(passed),
            wall: wall("2024-01-01T00:00:00Z") + passed,
        }
    }

    /// A round of the last of `count` standbys, one second after it has lost the primary p.
    fn round(count: usize) -> Round {
        let standbys: Vec<String> = (1..=count).map(|number| format!("s{number}")).collect();
        let nodes: Map<String, Value> = standbys
            .iter()
            .chain([&"p".to_owned()])
            .map(|name| (name.clone(), json!("host=h")))
            .collect();
        let config = json!({"remote_conns": nodes, "own_db": standbys.last()}).to_string();
        let config = config::parse(&config, &Environment::default())
            .unwrap()
            .config;
        let mut lookout = Lookout::with_given_turns(Arc::new(config), &Memory::default(), now(0));
        let mut turn = |event, at| {
            lookout.turn([event], false, now(at), &mut Vec::new());
        };
        let decide = |look| Event::Turn(GivenTurn::Decision(look));
        let reported = |node: &str, outcome| Event::NodeProbed {
            node: node.into(),
            probe: None,
            outcome,
        };
        let report = |role, at| {
            let db_time = now(at).wall;
            Ok(NodeReport { db_time, role })
        };
        let primary = RoleReport::Primary {
            lsn: lsn("0/50"),
            slots: Vec::new(),
        };
        turn(reported("p", report(primary, 99)), 99);
        for name in &standbys {
            let role = RoleReport::Standby {
                receive: lsn("0/50"),
                replay: lsn("0/4F"),
                last_replay: Some(now(100).wall),
            };
            turn(reported(name, report(role, 100)), 100);
        }
        turn(decide(Look::Regular), 100);
        let lost = ProbeFailure::Unreachable {
            reason: "refused".to_owned(),
        };
        turn(reported("p", Err(lost)), 100);
        turn(decide(Look::Regular), 100);
        turn(decide(Look::Fresh), 101);
        lookout.last_round().unwrap().clone()
    }

    #[test]
    fn a_decision_tells_its_figures() {
        let shown = json!({
            "at": "2024-01-01T00:01:41Z", "verdict": "hold", "reason": "contact_too_recent", "primary": "p",
            "sentence": "no failover: p was last reached as a primary 2.000 s ago (own poll), the limit is 120.000 s",
            "figures": {
                "primaries": [{"name": "p", "remembered": true, "standing": "lost", "failure": "unreachable: refused"}],
                "standbys": [{"name": "s1", "source": "own poll", "age": 1.0, "position": "0/50", "priority": 0,
                    "place": "first", "why": "preferred candidate"}],
                "votes": {"known": 1, "required": 1, "total": 2, "rule": "half", "voters": ["s1"], "missing": [
                    {"name": "p", "reason": "never_cast", "why": "the primary has no vote in a failover"}]},
                "last_contact": {"node": "p", "source": "own poll", "age": 2.0, "limit": 120.0},
                "lag": {"lag": 0.0, "catching_up": false, "warning_limit": 30.0, "failover_limit": 120.0},
                "look_again_in": 118.0,
                "would_change": ["118.000 s must pass",
                    "if p is gone for good: add it to known_gone_nodes and reload"],
            },
        });
        assert_eq!(decision(&round(1)), shown);
        let page: Value = serde_json::from_slice(&page([round(1), round(1)].iter())).unwrap();
        assert_eq!(page, json!([shown, shown]));
    }
}
