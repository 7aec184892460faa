//! A decision as JSON, the same wherever it is shown: in the state file, on `/decisions.json`, on a line of replay.

use std::time::Duration;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::node_json::indented;
use super::timestamp;
use crate::cluster::Witness;
use crate::failover::{Contender, LagFigure, LastContact, PrimaryFigure, PrimaryStanding, Votes};
use crate::lookout::Round;

/// What a round came to, with the figures behind it.
pub fn decision(round: &Round) -> Value {
    let verdict = &round.decision.verdict;
    let remembered = round.figures.primaries.iter().find(|primary| primary.remembered);
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

/// The body of `/decisions.json`: these rounds in this order, each turned into JSON only when its turn comes.
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
        PrimaryStanding::Reached { witness } => entry.insert("word_of".to_owned(), word_of(witness)),
        PrimaryStanding::Lost { failure: Some(failure) } => {
            entry.insert("failure".to_owned(), json!(failure.to_string()))
        }
        _ => None,
    };
    Value::Object(entry)
}

fn standby(standby: &Contender) -> Value {
    json!({
        "name": standby.node.as_str(),
        "word_of": word_of(&standby.witness),
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
        "needed": quorum.needed(),
        "total": quorum.total,
        "rule": votes.rule.name(),
        "of": votes.known.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
    })
}

fn last_contact(contact: &LastContact) -> Value {
    json!({
        "node": contact.node.as_str(),
        "word_of": word_of(&contact.witness),
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

fn word_of(witness: &Witness) -> Value {
    json!(witness.to_string())
}

/// To the microsecond, which is as exact as facts are.
fn seconds(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}
