//! What happens to voters and candidates, as lines of a timeline.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::vote_file::{read_record_value, record_value};
use super::vote_message::{answer_value, read_answer_value, read_request_value, request_value};
use super::vote_resumed::{read_resumed, resumed_value};
use crate::lookout::Event;
use crate::votes::{ExchangeId, Kind, Nonce, SaveId};

/// The line of such an event; `None`: it is another.
pub(super) fn write(event: &Event) -> Option<Value> {
    Some(match event {
        Event::VoteFileRead {
            cluster,
            found,
            seed,
            resumed,
        } => match found {
            Ok(record) => {
                let mut line = json!({
                    "vote_file": cluster.as_str(),
                    "seed": Nonce(*seed).to_string(),
                    "record": record_value(cluster, record),
                });
                if let (Some(resumed), Some(line)) = (resumed, line.as_object_mut()) {
                    line.insert("resumed".to_owned(), resumed_value(resumed));
                }
                line
            }
            Err(reason) => json!({"vote_file": cluster.as_str(), "unusable": reason}),
        },
        Event::VoteRequested { id, request } => {
            json!({"vote_request": request_value(request), "id": id.0})
        }
        Event::VoteAnswered {
            cluster,
            voter,
            of: (nonce, kind),
            outcome,
        } => {
            let (key, value) = match outcome {
                Ok(answer) => ("answer", answer_value(answer)),
                Err(reason) => ("message", json!(reason)),
            };
            json!({
                "vote_answer": cluster.as_str(),
                "voter": voter.as_str(),
                "nonce": nonce.to_string(),
                "asked": kind.name(),
                key: value,
            })
        }
        Event::VoteSaved { cluster, id, done } => {
            json!({"vote_saved": cluster.as_str(), "id": id.0, "done": done})
        }
        Event::HostSlept(time) => {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            json!({"host_slept_micros": micros})
        }
        Event::WatchdogSeen(Ok(state)) => json!({"watchdog": "in_force", "message": state}),
        Event::WatchdogSeen(Err(reason)) => json!({"watchdog": "unusable", "message": reason}),
        _ => return None,
    })
}

/// What a line of one of [`KINDS`] says.
pub(super) fn read(kind: &str, line: &Map<String, Value>) -> Result<Event, String> {
    let read = match kind {
        "vote_file" => file_read,
        "vote_request" => requested,
        "vote_answer" => answered,
        "host_slept_micros" => slept,
        "watchdog" => watchdog_seen,
        _ => saved,
    };
    read(line).map_err(|cause| format!("{kind}: {cause}"))
}

fn file_read(line: &Map<String, Value>) -> Result<Event, String> {
    let cluster = text(line, "vote_file")?.into();
    let Some(record) = line.get("record") else {
        let reason = text(line, "unusable")?.to_owned();
        return Ok(Event::VoteFileRead {
            cluster,
            found: Err(reason),
            seed: 0,
            resumed: None,
        });
    };
    let resumed = line.get("resumed").map(read_resumed).transpose()?;
    let resumed = resumed.map(Box::new);
    Ok(Event::VoteFileRead {
        cluster,
        found: Ok(read_record_value(record)?),
        seed: nonce(line, "seed")?.0,
        resumed,
    })
}

fn requested(line: &Map<String, Value>) -> Result<Event, String> {
    let request = line.get("vote_request").unwrap_or(&Value::Null);
    Ok(Event::VoteRequested {
        id: ExchangeId(number(line)?),
        request: read_request_value(request)?,
    })
}

fn answered(line: &Map<String, Value>) -> Result<Event, String> {
    let asked = text(line, "asked")?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == asked);
    let outcome = match line.get("answer") {
        Some(answer) => Ok(read_answer_value(answer)?),
        None => Err(text(line, "message")?.to_owned()),
    };
    Ok(Event::VoteAnswered {
        cluster: text(line, "vote_answer")?.into(),
        voter: text(line, "voter")?.into(),
        of: (nonce(line, "nonce")?, kind.ok_or("asked: no such request")?),
        outcome,
    })
}

fn saved(line: &Map<String, Value>) -> Result<Event, String> {
    Ok(Event::VoteSaved {
        cluster: text(line, "vote_saved")?.into(),
        id: SaveId(number(line)?),
        done: line
            .get("done")
            .and_then(Value::as_bool)
            .ok_or("done: expected true or false")?,
    })
}

fn slept(line: &Map<String, Value>) -> Result<Event, String> {
    let micros = line.get("host_slept_micros").and_then(Value::as_u64);
    let micros = micros.ok_or("expected a number")?;
    Ok(Event::HostSlept(Duration::from_micros(micros)))
}

fn watchdog_seen(line: &Map<String, Value>) -> Result<Event, String> {
    let message = text(line, "message")?.to_owned();
    Ok(Event::WatchdogSeen(match text(line, "watchdog")? {
        "in_force" => Ok(message),
        "unusable" => Err(message),
        _ => return Err("expected in_force or unusable".to_owned()),
    }))
}

fn text<'a>(line: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    let text = line.get(key).and_then(Value::as_str);
    text.ok_or_else(|| format!("{key}: expected a text"))
}

fn nonce(line: &Map<String, Value>, key: &str) -> Result<Nonce, String> {
    text(line, key)?
        .parse()
        .map_err(|cause| format!("{key}: {cause}"))
}

fn number(line: &Map<String, Value>) -> Result<u64, String> {
    let number = line.get("id").and_then(Value::as_u64);
    number.ok_or_else(|| "id: expected a number".to_owned())
}

/// Kinds of lines, and the keys that may go with each.
pub(super) const KINDS: [(&str, &[&str]); 6] = [
    ("vote_file", &["seed", "record", "unusable", "resumed"]),
    ("vote_request", &["id"]),
    (
        "vote_answer",
        &["voter", "nonce", "asked", "answer", "message"],
    ),
    ("vote_saved", &["id", "done"]),
    ("host_slept_micros", &[]),
    ("watchdog", &["message"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::votes::{Answer, ListId, Mandate, Record, Refusal, Request, Resumed, VoterList};

    fn check(event: Event) {
        let Value::Object(line) = write(&event).unwrap() else {
            panic!("no object");
        };
        let (kind, others) = KINDS
            .iter()
            .find(|(kind, _)| line.contains_key(*kind))
            .unwrap();
        assert!(
            line.keys()
                .all(|key| key == kind || others.contains(&key.as_str())),
            "{line:?}"
        );
        let back = read(kind, &line).unwrap();
        assert_eq!(format!("{back:?}"), format!("{event:?}"));
        for key in line.keys().filter(|key| key != kind) {
            let mut less = line.clone();
            less.remove(key);
            assert!(read(kind, &less).is_err(), "without {key}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let list = ListId {
            generation: 1,
            fingerprint: "f".to_owned(),
        };
        let mandate = Mandate {
            candidate: "a".into(),
            nonce: Nonce(3),
        };
        let names = ["a", "b", "c"].map(Into::into).into();
        let mut record = Record::new(VoterList {
            generation: 1,
            names,
        });
        (record.term, record.voted_for) = (2, Some(mandate));
        record.promise = Duration::from_millis(5);
        let file = |found| Event::VoteFileRead {
            cluster: "main".into(),
            found,
            seed: 7,
            resumed: None,
        };
        check(file(Ok(record.clone())));
        let resumed = Resumed {
            known_term: 9,
            last_save: SaveId(4),
            check_in: Duration::from_micros(1_500_001),
            promises: None,
            holder: None,
            voting: std::collections::BTreeSet::new(),
        };
        let running = Event::VoteFileRead {
            cluster: "main".into(),
            found: Ok(record),
            seed: 7,
            resumed: Some(Box::new(resumed)),
        };
        let Value::Object(mut line) = write(&running).unwrap() else {
            panic!("no object");
        };
        let back = read("vote_file", &line).unwrap();
        assert_eq!(format!("{back:?}"), format!("{running:?}"));
        line.insert("resumed".to_owned(), json!({}));
        assert!(read("vote_file", &line).is_err());
        let Value::Object(unusable) = write(&file(Err("torn".to_owned()))).unwrap() else {
            panic!("no object");
        };
        assert!(matches!(
            read("vote_file", &unusable),
            Ok(Event::VoteFileRead { found: Err(_), .. })
        ));
        let request = Request {
            cluster: "main".into(),
            from: "a".into(),
            to: "b".into(),
            kind: Kind::Vote,
            term: 2,
            nonce: Nonce(3),
            mandate: Nonce(3),
            lease: Duration::from_secs(20),
            position: None,
            system: None,
            list: list.clone(),
            news: None,
            successor: None,
        };
        check(Event::VoteRequested {
            id: ExchangeId(5),
            request,
        });
        let answer = Answer {
            cluster: "main".into(),
            from: "b".into(),
            to: "a".into(),
            kind: Kind::Vote,
            nonce: Nonce(3),
            refusal: Some(Refusal::Busy),
            wait: None,
            term: 2,
            voted_for: None,
            position: None,
            willing: false,
            fences: None,
            list,
            news: None,
            is_free: false,
        };
        let of = (Nonce(3), Kind::Vote);
        let answered = |outcome| Event::VoteAnswered {
            cluster: "main".into(),
            voter: "b".into(),
            of,
            outcome,
        };
        check(answered(Ok(answer)));
        check(answered(Err("timed out".to_owned())));
        check(Event::HostSlept(Duration::from_micros(1_500_001)));
        check(Event::WatchdogSeen(Ok("15 s".to_owned())));
        check(Event::WatchdogSeen(Err("absent".to_owned())));
        check(Event::VoteSaved {
            cluster: "main".into(),
            id: SaveId(1),
            done: true,
        });
    }
}
