//! Where a voter stands when a recording begins while its daemon runs, in a timeline. Times are what is
//! left of them, in microseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::VoterName;
use crate::votes::{HolderLeft, PromisesLeft, Resumed, SaveId};

#[derive(Serialize, Deserialize)]
struct ResumedForm {
    known_term: u64,
    last_save: u64,
    check_in_micros: u64,
    /// Older recordings have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promises: Option<PromisesForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<HolderForm>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    voting: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct PromisesForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given: Option<PromiseForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reserved: Option<PromiseForm>,
}

#[derive(Serialize, Deserialize)]
struct PromiseForm {
    to: String,
    micros: u64,
}

#[derive(Serialize, Deserialize)]
struct HolderForm {
    holding: bool,
    fenced: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fence_micros: Option<u64>,
    round_micros: u64,
}

pub(super) fn resumed_value(resumed: &Resumed) -> Value {
    let form = ResumedForm {
        known_term: resumed.known_term,
        last_save: resumed.last_save.0,
        check_in_micros: micros(resumed.check_in),
        promises: resumed.promises.as_ref().map(PromisesForm::of),
        holder: resumed.holder.as_ref().map(HolderForm::of),
        voting: resumed.voting.iter().map(VoterName::to_string).collect(),
    };
    serde_json::to_value(form).unwrap_or_default()
}

pub(super) fn read_resumed(value: &Value) -> Result<Resumed, String> {
    let form = ResumedForm::deserialize(value).map_err(|error| format!("resumed: {error}"))?;
    Ok(Resumed {
        known_term: form.known_term,
        last_save: SaveId(form.last_save),
        check_in: Duration::from_micros(form.check_in_micros),
        promises: form.promises.map(PromisesForm::read),
        holder: form.holder.map(HolderForm::read),
        voting: form
            .voting
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
    })
}

impl PromisesForm {
    fn of(left: &PromisesLeft) -> Self {
        let promise = |(to, left): &(VoterName, Duration)| PromiseForm {
            to: to.to_string(),
            micros: micros(*left),
        };
        Self {
            given: left.given.as_ref().map(promise),
            quarantine_micros: left.quarantine.map(micros),
            released: left.released,
            reserved: left.reserved.as_ref().map(promise),
        }
    }

    fn read(self) -> PromisesLeft {
        let promise =
            |form: PromiseForm| (form.to.as_str().into(), Duration::from_micros(form.micros));
        PromisesLeft {
            given: self.given.map(promise),
            quarantine: self.quarantine_micros.map(Duration::from_micros),
            released: self.released,
            reserved: self.reserved.map(promise),
        }
    }
}

impl HolderForm {
    fn of(left: &HolderLeft) -> Self {
        Self {
            holding: left.is_holding,
            fenced: left.is_fenced,
            until_micros: left.until.map(micros),
            fence_micros: left.fence_in.map(micros),
            round_micros: micros(left.round_in),
        }
    }

    fn read(self) -> HolderLeft {
        HolderLeft {
            is_holding: self.holding,
            is_fenced: self.fenced,
            until: self.until_micros.map(Duration::from_micros),
            fence_in: self.fence_micros.map(Duration::from_micros),
            round_in: Duration::from_micros(self.round_micros),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let at_rest = Resumed {
            known_term: 9,
            last_save: SaveId(4),
            check_in: Duration::from_micros(1_500_001),
            promises: None,
            holder: None,
            voting: BTreeSet::new(),
        };
        let promise = |to: &str| Some((to.into(), Duration::from_micros(7)));
        let bound = Resumed {
            voting: ["a", "b"].map(VoterName::from).into(),
            promises: Some(PromisesLeft {
                given: promise("a"),
                quarantine: Some(Duration::from_micros(1)),
                released: Some(3),
                reserved: promise("b"),
            }),
            holder: Some(HolderLeft {
                is_holding: true,
                is_fenced: false,
                until: Some(Duration::from_micros(5)),
                fence_in: Some(Duration::from_micros(4)),
                round_in: Duration::from_micros(3),
            }),
            ..at_rest.clone()
        };
        let waiting = Resumed {
            promises: Some(PromisesLeft::default()),
            holder: Some(HolderLeft {
                is_holding: false,
                is_fenced: true,
                until: None,
                fence_in: None,
                round_in: Duration::ZERO,
            }),
            ..at_rest.clone()
        };
        for resumed in [at_rest, bound, waiting] {
            assert_eq!(read_resumed(&resumed_value(&resumed)), Ok(resumed));
        }
        assert!(read_resumed(&json!({})).is_err());
        // As it was written before there were leases.
        let old = json!({"known_term": 9, "last_save": 4, "check_in_micros": 1});
        assert!(read_resumed(&old).unwrap().promises.is_none());
    }
}
