//! What nodes and observers of the world answer.

use std::time::Duration;

use super::{World, now};
use crate::cluster::{
    Identity, Lsn, NodeReport, ObservedNode, ObserverReport, Presence, ProbeFailure, ProbeStep,
    RoleReport, SESSION_PREFIX,
};
use crate::config::NodeName;
use crate::lookout::FollowOutcome;
use crate::time::WallTime;

impl World {
    /// After how long, and what, by the node's habit. `session`: the name that our session bears.
    pub(super) fn node_answer(
        &self,
        node: &str,
        session: &str,
    ) -> Option<(Duration, Result<NodeReport, ProbeFailure>)> {
        let habit = self.habits.get(node)?;
        let (does, shows) = match habit.does.split_once(" shows") {
            Some((does, shows)) => (does, Some(shows)),
            None => (habit.does.as_str(), None),
        };
        let words: Vec<_> = does.split(' ').collect();
        let db_time = now(self.t).wall;
        let role = match words[0] {
            "silent" => return None,
            "primary" => RoleReport::Primary {
                lsn: lsn(position(&words)),
                slots: Vec::new(),
            },
            "standby" => {
                let lag = value(&words, "lag").map_or(0.1, |lag| lag.parse().unwrap());
                RoleReport::Standby {
                    receive: lsn(position(&words)),
                    replay: lsn(position(&words)),
                    last_replay: Some(db_time - Duration::from_secs_f64(lag)),
                }
            }
            name => return Some((habit.after, Err(failure(name)?))),
        };
        let report = NodeReport {
            db_time,
            role,
            identity: identity(&words),
            daemons: shows.map(|shows| daemons(shows, Some(session))),
        };
        Some((habit.after, Ok(report)))
    }

    pub(super) fn observer_answer(
        &self,
        observer: &str,
    ) -> Option<(Duration, Result<ObserverReport, ProbeFailure>)> {
        let habit = self.habits.get(observer)?;
        let mut words = habit.does.split(' ');
        match words.next()? {
            "silent" => None,
            "sees" => {
                let date = now(self.t).wall;
                let nodes = words.map(|word| observed(word, date)).collect();
                Some((habit.after, Ok(ObserverReport { date, nodes })))
            }
            name => Some((habit.after, Err(failure(name)?))),
        }
    }
}

fn position<'a>(words: &[&'a str]) -> &'a str {
    let position = words.iter().find(|word| word.contains('/'));
    position.copied().unwrap_or("0/5000000")
}

/// The word behind `key`.
fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == key)?;
    words.get(at + 1).copied()
}

fn identity(words: &[&str]) -> Identity {
    Identity {
        system: value(words, "system").map(str::to_owned),
        started: None,
        timeline: value(words, "timeline").map(|timeline| timeline.parse().unwrap()),
        ..Identity::default()
    }
}

/// Our own session, and those of `DAEMON=STATE`, perhaps `DAEMON=STATE+PAUSE~AGE` with the mark of a
/// pause and its age in seconds.
fn daemons(shows: &str, session: Option<&str>) -> Vec<Presence> {
    let own = session.and_then(|session| Presence::of_session(session, Duration::ZERO));
    let settings = own.as_ref().map_or("", |own| own.settings.as_str());
    let others = shows.split_whitespace().map(|word| {
        let (daemon, state) = word.split_once('=').unwrap();
        let (state, age) = state.split_once('~').unwrap_or((state, "0.5"));
        let session = format!("{SESSION_PREFIX}{daemon}:{state}:{settings}");
        let age = Duration::from_secs_f64(age.parse().unwrap());
        Presence::of_session(&session, age).unwrap()
    });
    let others: Vec<_> = others.collect();
    own.into_iter().chain(others).collect()
}

/// What an observer says of one node, in one word: `p`, `s1=standby`, `p=lost`, and what its server
/// shows behind commas: `s1=standby,s1=promoting`.
fn observed(word: &str, at: WallTime) -> (NodeName, ObservedNode) {
    let (word, shows) = match word.split_once(',') {
        Some((word, shows)) => (word, Some(shows.replace(',', " "))),
        None => (word, None),
    };
    let (node, role) = word.split_once('=').unwrap_or((word, "primary"));
    let is_reached = role != "lost";
    let entry = ObservedNode {
        fetch_time: at,
        connection: is_reached,
        db_time: is_reached.then_some(at),
        in_recovery: is_reached.then_some(role == "standby"),
        receive: None,
        replay: lsn("0/5000000").filter(|_| is_reached),
        last_replay: None,
        identity: Identity::default(),
        daemons: shows.map(|shows| daemons(&shows, None)),
    };
    (node.into(), entry)
}
/// `WHAT in SECONDS`.
pub(super) fn timed(what: &str, usual: Duration) -> (&str, Duration) {
    let Some((what, after)) = what.split_once(" in ") else {
        return (what, usual);
    };
    (what, Duration::from_secs_f64(after.parse().unwrap()))
}

pub(super) fn failure(name: &str) -> Option<ProbeFailure> {
    let message = || "as scripted".to_owned();
    Some(match name {
        "unreachable" => ProbeFailure::Unreachable { reason: message() },
        "timed_out" => ProbeFailure::TimedOut {
            step: ProbeStep::Answering,
        },
        "refused" => ProbeFailure::Refused { message: message() },
        "authentication" => ProbeFailure::AuthenticationRejected { message: message() },
        "nonsense" => ProbeFailure::ProtocolError { reason: message() },
        "more_nonsense" => ProbeFailure::ProtocolError {
            reason: "otherwise".to_owned(),
        },
        "not_ready" => ProbeFailure::NotReady { message: message() },
        other => panic!("no habit: {other:?}"),
    })
}

pub(super) fn follow_outcome(name: &str) -> FollowOutcome {
    match name {
        "changed" => FollowOutcome::Changed,
        "unchanged" => FollowOutcome::Unchanged,
        "failed" => FollowOutcome::Failed("as scripted".to_owned()),
        "unknown" => FollowOutcome::Unknown("as scripted".to_owned()),
        "nostandby" => FollowOutcome::NotAStandby("as scripted".to_owned()),
        other => panic!("no outcome: {other:?}"),
    }
}

pub(super) fn lsn(text: &str) -> Option<Lsn> {
    Some(text.parse().unwrap())
}
