//! What a switchover is asked for with, and what the control file says, as lines of a timeline.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cluster::{ControlData, DatabaseState};
use crate::lookout::{Event, SwitchoverRequest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlForm {
    system: String,
    state: String,
    checkpoint: String,
    pid_file: bool,
}

/// The line of such an event; `None`: it is another.
pub(super) fn write(event: &Event) -> Option<Value> {
    Some(match event {
        Event::SwitchoverRequested(request) => json!({
            "switchover": request.to.as_str(),
            "id": request.id.to_string(),
            "dry_run": request.dry_run,
        }),
        Event::ControlRead(Ok(data)) => json!({"control_file": {
            "system": data.system,
            "state": data.state.name(),
            "checkpoint": data.checkpoint.to_string(),
            "pid_file": data.has_pid_file,
        }}),
        Event::ControlRead(Err(reason)) => json!({"control_file": reason}),
        _ => return None,
    })
}

/// What a line of one of [`KINDS`] says.
pub(super) fn read(kind: &str, line: &Map<String, Value>) -> Result<Event, String> {
    let read = match kind {
        "switchover" => requested,
        _ => control,
    };
    read(line).map_err(|cause| format!("{kind}: {cause}"))
}

fn requested(line: &Map<String, Value>) -> Result<Event, String> {
    let text = |key: &str| {
        let text = line.get(key).and_then(Value::as_str);
        text.ok_or_else(|| format!("{key}: expected a text"))
    };
    let dry_run = line.get("dry_run").and_then(Value::as_bool);
    Ok(Event::SwitchoverRequested(SwitchoverRequest {
        id: text("id")?
            .parse()
            .map_err(|cause| format!("id: {cause}"))?,
        to: text("switchover")?.into(),
        dry_run: dry_run.ok_or("dry_run: expected true or false")?,
    }))
}

fn control(line: &Map<String, Value>) -> Result<Event, String> {
    let value = line.get("control_file").unwrap_or(&Value::Null);
    if let Some(reason) = value.as_str() {
        return Ok(Event::ControlRead(Err(reason.to_owned())));
    }
    let form = ControlForm::deserialize(value).map_err(|cause| cause.to_string())?;
    let state = DatabaseState::ALL
        .into_iter()
        .find(|state| state.name() == form.state);
    Ok(Event::ControlRead(Ok(ControlData {
        system: form.system,
        state: state.ok_or("state: none that is known")?,
        checkpoint: form
            .checkpoint
            .parse()
            .map_err(|cause| format!("checkpoint: {cause}"))?,
        has_pid_file: form.pid_file,
    })))
}

/// Kinds of lines, and the keys that may go with each.
pub(super) const KINDS: [(&str, &[&str]); 2] =
    [("switchover", &["id", "dry_run"]), ("control_file", &[])];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::votes::Nonce;

    #[track_caller]
    fn check(event: Event) {
        let Value::Object(line) = write(&event).unwrap() else {
            panic!("no object");
        };
        let is_kind = |(kind, _): &&(&str, &[&str])| line.contains_key(*kind);
        let (kind, others) = KINDS.iter().find(is_kind).unwrap();
        assert_eq!(line.len(), 1 + others.len());
        let back = read(kind, &line).unwrap();
        assert_eq!(format!("{back:?}"), format!("{event:?}"));
        for key in *others {
            let mut less = line.clone();
            less.remove(*key);
            assert!(read(kind, &less).is_err(), "without {key}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        check(Event::SwitchoverRequested(SwitchoverRequest {
            id: Nonce(7),
            to: "s1".into(),
            dry_run: true,
        }));
        check(Event::ControlRead(Err("no such file".to_owned())));
        for state in DatabaseState::ALL {
            check(Event::ControlRead(Ok(ControlData {
                system: "7".to_owned(),
                state,
                checkpoint: "0/3000028".parse().unwrap(),
                has_pid_file: false,
            })));
        }
        let wrong = json!({"control_file": {"system": "7", "state": "?", "checkpoint": "0/1", "pid_file": true}});
        assert!(read("control_file", wrong.as_object().unwrap()).is_err());
    }
}
