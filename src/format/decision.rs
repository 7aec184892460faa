//! A decision as JSON, the same wherever it is shown and read back: in the state file, on
//! `/decisions.json`, on a line of replay, by `pglookout explain`.
//!
//! What is read may come from another version: what is not there is left out.

use std::time::Duration;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::layout::indented;
use crate::failover::{
    Contender, EvidenceFigure, Figures, LagFigure, NoVote, PrimaryFigure, PrimaryStanding, Voter,
    Votes,
};
use crate::lookout::Round;
use crate::time::timestamp;

/// What a round came to, with the figures behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// When, as an ISO timestamp.
    pub at: Option<String>,
    /// The verdict's name.
    pub verdict: Option<String>,
    /// The reason's name.
    pub reason: Option<String>,
    /// Both in words, with their figures.
    pub sentence: Option<String>,
    /// The remembered primary.
    pub primary: Option<String>,
    /// What led to it.
    pub figures: Option<DecisionFigures>,
}

/// The figures behind a decision. Ages and limits are seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionFigures {
    /// Every node that was held for a primary.
    pub primaries: Vec<Primary>,
    /// Every standby, the first to be promoted first.
    pub standbys: Vec<Standby>,
    /// Who was known to vote.
    pub votes: Option<Ballot>,
    /// The last evidence that a primary lived.
    pub evidence: Option<Evidence>,
    /// The lag of the daemon's own node.
    pub lag: Option<Lag>,
    /// When the next decision is due at the latest.
    pub look_again_in: Option<f64>,
    /// What would have led to another decision.
    pub would_change: Vec<String>,
    /// That the cluster is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// What an operator should know besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One primary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Primary {
    /// Its name.
    pub name: Option<String>,
    /// Is it `current_master`.
    pub remembered: bool,
    /// Is it reached or lost.
    pub standing: Option<String>,
    /// By whom it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One standby as a candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standby {
    /// Its name.
    pub name: Option<String>,
    /// Who reported its position.
    pub source: Option<String>,
    /// How old that report was.
    pub age: Option<f64>,
    /// An LSN.
    pub position: Option<String>,
    /// Of `failover_priorities`.
    pub priority: i64,
    /// The name of its place among the candidates.
    pub place: Option<String>,
    /// The same in words.
    pub why: Option<String>,
}

/// The votes of a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ballot {
    /// How many there were.
    pub known: usize,
    /// How many it takes.
    pub required: usize,
    /// How many there could be.
    pub total: usize,
    /// `half` or `majority`.
    pub rule: Option<String>,
    /// Whose they were.
    pub voters: Vec<String>,
    /// Whose were not there.
    pub missing: Vec<MissingVote>,
}

/// A vote that was not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MissingVote {
    /// Whose.
    pub name: Option<String>,
    /// The reason's name.
    pub reason: Option<String>,
    /// The same in words.
    pub why: Option<String>,
}

/// The last evidence that a primary lived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The name of its kind.
    pub kind: Option<String>,
    /// Which node it is about.
    pub node: Option<String>,
    /// Who had it.
    pub source: Option<String>,
    /// Before the decision.
    pub age: f64,
    /// How long such evidence is waited out.
    pub limit: f64,
}

/// Replication lag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lag {
    /// `None`: not known.
    pub lag: Option<f64>,
    /// Does the node replay what it has received already.
    pub catching_up: bool,
    /// `warning_replication_time_lag`.
    pub warning_limit: f64,
    /// `max_failover_replication_time_lag`.
    pub failover_limit: f64,
}

impl From<&Round> for Decision {
    fn from(round: &Round) -> Self {
        let verdict = &round.decision.verdict;
        let remembered = |primary: &&PrimaryFigure| primary.remembered;
        let primary = round.figures.primaries.iter().find(remembered);
        Self {
            at: Some(timestamp::format(round.at.wall)),
            verdict: Some(verdict.name().to_owned()),
            reason: Some(verdict.reason().to_owned()),
            sentence: Some(verdict.to_string()),
            primary: primary.map(|primary| primary.node.to_string()),
            figures: Some(DecisionFigures::from(&round.figures)),
        }
    }
}

impl From<&Figures> for DecisionFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            primaries: figures.primaries.iter().map(Primary::from).collect(),
            standbys: figures.standbys.iter().map(Standby::from).collect(),
            votes: Some(Ballot::from(&figures.votes)),
            evidence: figures.evidence.as_ref().map(Evidence::from),
            lag: figures.lag.map(Lag::from),
            look_again_in: figures.look_again_in.map(seconds),
            would_change: figures.changes.clone(),
            pause: figures.pause.clone(),
            warnings: figures.warnings.clone(),
        }
    }
}

impl From<&PrimaryFigure> for Primary {
    fn from(primary: &PrimaryFigure) -> Self {
        let (source, failure) = match &primary.standing {
            PrimaryStanding::Reached { witness } => (Some(witness.to_string()), None),
            PrimaryStanding::Lost { failure } => (None, failure.as_ref().map(ToString::to_string)),
            PrimaryStanding::Removed | PrimaryStanding::Standby | PrimaryStanding::RoleUnknown => {
                (None, None)
            }
        };
        Self {
            name: Some(primary.node.to_string()),
            remembered: primary.remembered,
            standing: Some(primary.standing.name().to_owned()),
            source,
            failure,
        }
    }
}

impl From<&Contender> for Standby {
    fn from(standby: &Contender) -> Self {
        Self {
            name: Some(standby.node.to_string()),
            source: Some(standby.witness.to_string()),
            age: Some(seconds(standby.age)),
            position: Some(standby.position.to_string()),
            priority: standby.priority,
            place: Some(standby.place.name().to_owned()),
            why: Some(standby.to_string()),
        }
    }
}

impl From<&Votes> for Ballot {
    fn from(votes: &Votes) -> Self {
        let quorum = votes.quorum();
        let missing = |(voter, why): &(Voter, NoVote)| MissingVote {
            name: Some(voter.to_string()),
            reason: Some(why.name().to_owned()),
            why: Some(why.to_string()),
        };
        Self {
            known: quorum.known,
            required: quorum.needed(),
            total: quorum.total,
            rule: Some(votes.rule.name().to_owned()),
            voters: votes.known.iter().map(ToString::to_string).collect(),
            missing: votes.missing.iter().map(missing).collect(),
        }
    }
}

impl From<&EvidenceFigure> for Evidence {
    fn from(figure: &EvidenceFigure) -> Self {
        let evidence = &figure.evidence;
        Self {
            kind: Some(evidence.kind.name().to_owned()),
            node: evidence.node.as_ref().map(ToString::to_string),
            source: Some(evidence.witness.to_string()),
            age: seconds(figure.age),
            limit: seconds(figure.limit),
        }
    }
}

impl From<LagFigure> for Lag {
    fn from(lag: LagFigure) -> Self {
        Self {
            lag: lag.lag.map(seconds),
            catching_up: lag.catching_up,
            warning_limit: seconds(lag.warning_limit),
            failover_limit: seconds(lag.failover_limit),
        }
    }
}

/// The body of `/decisions.json`: these rounds in this order, each turned into JSON only when its
/// turn comes.
pub fn decisions_json<'a>(rounds: impl Iterator<Item = &'a Round> + Clone) -> Vec<u8> {
    indented(&Page(rounds))
}

struct Page<I>(I);

impl<'a, I: Iterator<Item = &'a Round> + Clone> Serialize for Page<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for round in self.0.clone() {
            list.serialize_element(&Decision::from(round))?;
        }
        list.end()
    }
}

/// To the microsecond, which is as exact as facts are.
fn seconds(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use std::sync::Arc;

    use super::super::fixtures::{lsn, wall};
    use super::*;
    use crate::cluster::{Identity, NodeReport, ProbeFailure, RoleReport};
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
            Ok(NodeReport {
                db_time,
                role,
                identity: Identity::default(),
                daemons: None,
            })
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
    fn a_decision_reports_its_figures() {
        let shown = json!({
            "at": "2024-01-01T00:01:41Z", "verdict": "hold", "reason": "answered", "primary": "p",
            "sentence": "no failover: p last answered (own poll) 2.000 s ago, the limit is 120.000 s",
            "figures": {
                "primaries": [{"name": "p", "remembered": true, "standing": "lost", "failure": "unreachable: refused"}],
                "standbys": [{"name": "s1", "source": "own poll", "age": 1.0, "position": "0/50", "priority": 0,
                    "place": "first", "why": "preferred candidate"}],
                "votes": {"known": 1, "required": 1, "total": 2, "rule": "half", "voters": ["s1"], "missing": [
                    {"name": "p", "reason": "never_cast", "why": "the primary has no vote in a failover"}]},
                "evidence": {"kind": "answered", "node": "p", "source": "own poll", "age": 2.0, "limit": 120.0},
                "lag": {"lag": 0.0, "catching_up": false, "warning_limit": 30.0, "failover_limit": 120.0},
                "look_again_in": 118.0,
                "would_change": ["118.000 s must pass",
                    "if p is gone for good: add it to known_gone_nodes and reload"],
            },
        });
        assert_eq!(
            serde_json::to_value(Decision::from(&round(1))).unwrap(),
            shown
        );
        let page: Value =
            serde_json::from_slice(&decisions_json([round(1), round(1)].iter())).unwrap();
        assert_eq!(page, json!([shown, shown]));
    }
}
