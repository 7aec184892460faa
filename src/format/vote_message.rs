//! Requests for votes and their answers as JSON, both directions: on the wire, and in timelines.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::Lsn;
use crate::votes::{Answer, Kind, ListId, ListNews, ListStage, Nonce, Position, Refusal, Request};

#[derive(Serialize, Deserialize)]
struct RequestForm {
    v: u64,
    cluster: String,
    from: String,
    to: String,
    kind: String,
    term: u64,
    nonce: String,
    /// With renewals only: everything else is asked by the attempt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mandate: Option<String>,
    lease_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<PositionForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    generation: u64,
    voters: String,
    #[serde(flatten)]
    news: NewsForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct AnswerForm {
    v: u64,
    cluster: String,
    from: String,
    to: String,
    kind: String,
    nonce: String,
    ok: bool,
    why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    term: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voted_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<PositionForm>,
    willing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fences: Option<bool>,
    generation: u64,
    voters: String,
    #[serde(flatten)]
    news: NewsForm,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    free: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
}

/// What the sender knows of its list. The version before sends none of it.
#[derive(Default, Serialize, Deserialize)]
struct NewsForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct PositionForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    lsn: String,
}

/// A request with the challenge that its voter issued last to us.
pub fn vote_request(request: &Request, challenge: Option<Nonce>) -> Vec<u8> {
    serde_json::to_vec(&RequestForm::of(request, challenge)).unwrap_or_default()
}

/// Reads a request, and the challenge that it bears.
///
/// # Errors
///
/// What is wrong with it, and what was expected.
pub fn read_vote_request(body: &[u8]) -> Result<(Request, Option<Nonce>), String> {
    let form: RequestForm = read(body)?;
    let challenge = challenge(form.challenge.as_deref())?;
    Ok((form.read()?, challenge))
}

/// An answer with the challenge for the next request.
pub fn vote_answer(answer: &Answer, challenge: Option<Nonce>) -> Vec<u8> {
    serde_json::to_vec(&AnswerForm::of(answer, challenge)).unwrap_or_default()
}

/// Reads an answer, and the challenge for the next request.
///
/// # Errors
///
/// What is wrong with it, and what was expected.
pub fn read_vote_answer(body: &[u8]) -> Result<(Answer, Option<Nonce>), String> {
    let form: AnswerForm = read(body)?;
    let challenge = challenge(form.challenge.as_deref())?;
    Ok((form.read()?, challenge))
}

/// A request in a timeline.
pub(super) fn request_value(request: &Request) -> Value {
    serde_json::to_value(RequestForm::of(request, None)).unwrap_or_default()
}

pub(super) fn read_request_value(value: &Value) -> Result<Request, String> {
    let form = RequestForm::deserialize(value).map_err(|error| error.to_string())?;
    form.read()
}

/// An answer in a timeline.
pub(super) fn answer_value(answer: &Answer) -> Value {
    serde_json::to_value(AnswerForm::of(answer, None)).unwrap_or_default()
}

pub(super) fn read_answer_value(value: &Value) -> Result<Answer, String> {
    let form = AnswerForm::deserialize(value).map_err(|error| error.to_string())?;
    form.read()
}

fn read<'a, Form: Deserialize<'a>>(body: &'a [u8]) -> Result<Form, String> {
    if body.len() > MAX_VOTE_MESSAGE_BYTES {
        return Err(format!("longer than {MAX_VOTE_MESSAGE_BYTES} bytes"));
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

impl RequestForm {
    fn of(request: &Request, challenge: Option<Nonce>) -> Self {
        Self {
            v: VERSION,
            cluster: request.cluster.to_string(),
            from: request.from.to_string(),
            to: request.to.to_string(),
            kind: request.kind.name().to_owned(),
            term: request.term,
            nonce: request.nonce.to_string(),
            mandate: request
                .kind
                .is_renewal()
                .then(|| request.mandate.to_string()),
            lease_ms: millis(request.lease),
            position: request.position.as_ref().map(PositionForm::of),
            system: request.system.clone(),
            generation: request.list.generation,
            voters: request.list.fingerprint.clone(),
            news: NewsForm::of(request.news.as_deref()),
            successor: request.successor.as_ref().map(ToString::to_string),
            challenge: challenge.map(|challenge| challenge.to_string()),
        }
    }

    fn read(self) -> Result<Request, String> {
        version(self.v)?;
        let lease = Duration::from_millis(self.lease_ms);
        if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
            return Err("lease_ms: expected 3 s to 10 min".to_owned());
        }
        let (kind, nonce) = (kind(&self.kind)?, nonce("nonce", &self.nonce)?);
        let successor = self.successor.as_deref();
        let successor = successor
            .map(|successor| name("successor", successor))
            .transpose()?;
        Ok(Request {
            cluster: name("cluster", &self.cluster)?.into(),
            from: name("from", &self.from)?.into(),
            to: name("to", &self.to)?.into(),
            kind,
            term: self.term,
            nonce,
            mandate: mandate(kind, nonce, self.mandate.as_deref())?,
            lease,
            position: self.position.map(PositionForm::read).transpose()?,
            system: match self.system {
                Some(system) => Some(name("system", &system)?.to_owned()),
                None => None,
            },
            list: ListId {
                generation: self.generation,
                fingerprint: name("voters", &self.voters)?.to_owned(),
            },
            news: self.news.read()?,
            successor: successor.map(Into::into),
        })
    }
}

impl AnswerForm {
    fn of(answer: &Answer, challenge: Option<Nonce>) -> Self {
        Self {
            v: VERSION,
            cluster: answer.cluster.to_string(),
            from: answer.from.to_string(),
            to: answer.to.to_string(),
            kind: answer.kind.name().to_owned(),
            nonce: answer.nonce.to_string(),
            ok: answer.refusal.is_none(),
            why: answer.refusal.map_or(GRANTED, Refusal::name).to_owned(),
            wait_ms: answer.wait.map(millis),
            term: answer.term,
            voted_for: answer.voted_for.as_ref().map(ToString::to_string),
            position: answer.position.as_ref().map(PositionForm::of),
            willing: answer.willing,
            fences: answer.fences,
            generation: answer.list.generation,
            voters: answer.list.fingerprint.clone(),
            news: NewsForm::of(answer.news.as_deref()),
            free: answer.is_free,
            challenge: challenge.map(|challenge| challenge.to_string()),
        }
    }

    fn read(self) -> Result<Answer, String> {
        version(self.v)?;
        let refusal = Refusal::ALL.into_iter().find(|it| it.name() == self.why);
        if self.ok != (self.why == GRANTED) || self.ok == refusal.is_some() {
            return Err(format!("why: {:?} is no reason that is known", self.why));
        }
        let voted_for = self.voted_for.as_deref();
        let voted_for = voted_for
            .map(|voter| name("voted_for", voter))
            .transpose()?;
        Ok(Answer {
            cluster: name("cluster", &self.cluster)?.into(),
            from: name("from", &self.from)?.into(),
            to: name("to", &self.to)?.into(),
            kind: kind(&self.kind)?,
            nonce: nonce("nonce", &self.nonce)?,
            refusal,
            wait: self.wait_ms.map(Duration::from_millis),
            term: self.term,
            voted_for: voted_for.map(Into::into),
            position: self.position.map(PositionForm::read).transpose()?,
            willing: self.willing,
            fences: self.fences,
            list: ListId {
                generation: self.generation,
                fingerprint: name("voters", &self.voters)?.to_owned(),
            },
            news: self.news.read()?,
            is_free: self.free,
        })
    }
}

impl NewsForm {
    fn of(news: Option<&ListNews>) -> Self {
        let Some(news) = news else {
            return Self::default();
        };
        Self {
            accepted: Some(news.stage >= ListStage::Accepted),
            sealed: Some(news.stage == ListStage::Sealed),
            former: news.former.clone(),
            floor: Some(news.floor).filter(|floor| *floor > 0),
        }
    }

    /// A voter that is new refuses, and says so: what it knows of its list does not matter.
    fn read(self) -> Result<Option<Box<ListNews>>, String> {
        let stage = match self.accepted.zip(self.sealed) {
            None => return Ok(None),
            Some((true, true)) => ListStage::Sealed,
            Some((true, false)) => ListStage::Accepted,
            Some((false, false)) => ListStage::Taken,
            Some((false, true)) => {
                return Err("sealed: expected a list that is accepted".to_owned());
            }
        };
        let former = self.former.as_deref();
        let former = former.map(|former| name("former", former)).transpose()?;
        Ok(Some(Box::new(ListNews {
            stage,
            former: former.map(str::to_owned),
            floor: self.floor.unwrap_or(0),
        })))
    }
}

impl PositionForm {
    fn of(position: &Position) -> Self {
        Self {
            timeline: position.timeline,
            lsn: position.lsn.to_string(),
        }
    }

    fn read(self) -> Result<Position, String> {
        let lsn: Lsn = self.lsn.parse().map_err(|error| format!("lsn: {error}"))?;
        Ok(Position {
            timeline: self.timeline,
            lsn,
        })
    }
}

fn version(found: u64) -> Result<(), String> {
    match found {
        VERSION => Ok(()),
        _ => Err(format!("v: found {found}, expected {VERSION}")),
    }
}

fn kind(found: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == found);
    kind.ok_or_else(|| "kind: expected ask_vote, vote, ask_renew, renew or release".to_owned())
}

fn nonce(key: &str, found: &str) -> Result<Nonce, String> {
    found.parse().map_err(|error| format!("{key}: {error}"))
}

/// Whoever is no holder asks by the attempt itself.
fn mandate(kind: Kind, attempt: Nonce, found: Option<&str>) -> Result<Nonce, String> {
    match (kind.is_renewal(), found) {
        (false, _) => Ok(attempt),
        (true, Some(found)) => nonce("mandate", found),
        (true, None) => Err("mandate: a renewal is by an attempt that has won".to_owned()),
    }
}

fn challenge(found: Option<&str>) -> Result<Option<Nonce>, String> {
    found.map(|found| nonce("challenge", found)).transpose()
}

/// Names are shown to operators: nothing in them may end a line.
fn name<'a>(key: &str, found: &'a str) -> Result<&'a str, String> {
    let is_name = !found.is_empty() && found.len() <= MAX_NAME_BYTES;
    match is_name && !found.contains(char::is_control) {
        true => Ok(found),
        false => Err(format!(
            "{key}: expected a name of 1 to {MAX_NAME_BYTES} bytes"
        )),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A message that is longer is refused.
const MAX_VOTE_MESSAGE_BYTES: usize = 2 << 10;
const VERSION: u64 = 1;
const GRANTED: &str = "granted";
const MAX_NAME_BYTES: usize = 63;
const SHORTEST_LEASE: Duration = Duration::from_secs(3);
const LONGEST_LEASE: Duration = Duration::from_secs(600);

#[cfg(test)]
#[path = "vote_message_tests.rs"]
mod tests;
