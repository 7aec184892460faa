//! One poll: which questions are sent, how each may be answered, and when the report is whole.
//!
//! The questions are separate messages of one write, so that a failed heartbeat or an unreadable
//! slot leaves the position standing, and each ends with its own ReadyForQuery (Protocol, "Simple
//! Query"). The first of them is what the poll asks for; whatever becomes of the others, its answer
//! stands.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::error::{ServerError, SqlState, declined, nonsense};
use super::identity::{IdentityFunctions, identity_row};
use super::naming::{Naming, SESSIONS, Sessions};
use super::status::{HEARTBEAT, STATUS, StateFiles, slot_row, status_row};
use crate::cluster::{
    DaemonState, NodeReport, Presence, ProbeFailure, ReplicationSlot, RoleReport,
};

/// How a server is to be asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What the session shall be called, unless the operator has named it.
    pub session: Arc<str>,
    /// How long the whole poll may take.
    pub timeout: Duration,
    /// How long ago the poll before began; nothing at the first.
    pub spacing: Duration,
    /// From here on nothing is asked this time. The status is asked for whatever this is.
    pub below: Option<Topic>,
}

/// What a question is about, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The role and the position.
    Status,
    /// The name of our session, which is not asked for but set.
    Name,
    /// The daemons' sessions.
    Sessions,
    /// Which server it is.
    Identity,
    /// A transaction of our own on a primary.
    Heartbeat,
    /// A primary's replication slots.
    Slots,
}

/// A poll that is under way.
#[derive(Debug)]
pub(super) struct Poll {
    ask: Ask,
    /// Questions that were sent, the one first whose answer is coming in.
    questions: VecDeque<Question>,
    answer: Answer,
    rows: usize,
    report: Option<NodeReport>,
    sessions: Sessions,
    slots: Vec<ReplicationSlot>,
}

/// What the polls of one session have shown so far.
#[derive(Debug)]
pub(super) struct Learnt {
    /// The last answer came from a primary. A server that may be a standby is asked for no
    /// heartbeat and no slots: it has none of interest, and would write refused questions into its
    /// log.
    primary: bool,
    /// Another daemon, as far as the server shows, writes the heartbeat for us.
    is_written_by_another: bool,
    /// How this account may ask for the identity.
    identity: IdentityFunctions,
    /// How this account may read state files.
    state_files: StateFiles,
    /// Why they are not read. Not logged before there is a slot.
    unread: Option<String>,
    /// What our session is called.
    pub(super) naming: Naming,
}

impl Learnt {
    pub(super) fn new(naming: Naming) -> Self {
        Self {
            primary: false,
            is_written_by_another: false,
            identity: IdentityFunctions::All,
            state_files: StateFiles::Tolerant,
            unread: None,
            naming,
        }
    }
}

/// Of the daemons that the server shows, the first by name writes the heartbeat, as long as it polls
/// at least as often as we do. An observer's pace is its own.
fn is_written_by_another(daemons: &[Presence], session: &str, spacing: Duration) -> bool {
    let Some(ours) = Presence::of_session(session, Duration::ZERO) else {
        return false;
    };
    let is_observer = |it: &Presence| it.state == DaemonState::Observer;
    let others = daemons.iter().filter(|it| it.daemon != ours.daemon);
    let first = others
        .filter(|it| !is_observer(it))
        .min_by_key(|it| (&it.daemon, it.age));
    first.is_some_and(|first| {
        (is_observer(&ours) || first.daemon < ours.daemon) && first.age < spacing
    })
}

/// What one message brought.
#[derive(Debug)]
pub(super) enum Brought {
    /// Nothing yet.
    Nothing,
    /// Something to be logged; the poll goes on.
    Note(String),
    /// The end of the poll.
    Report(NodeReport),
}

impl Poll {
    /// Queues the questions: all of them, if the server was a primary when last asked.
    pub(super) fn begin(ask: Ask, learnt: &Learnt, out: &mut BytesMut) -> Self {
        let mut poll = Self {
            ask,
            questions: VecDeque::new(),
            answer: Answer::Awaited,
            rows: 0,
            report: None,
            sessions: Sessions::default(),
            slots: Vec::new(),
        };
        poll.queue(Question::Status, STATUS, out);
        if let Some(setup) = learnt.naming.setup(&poll.ask.session) {
            poll.queue(Question::Name, &setup, out);
        }
        if learnt.naming.is_shown() {
            poll.queue(Question::Sessions, SESSIONS, out);
        }
        poll.ask_for_identity(learnt.identity, out);
        if learnt.primary {
            poll.ask_as_of_a_primary(learnt, out);
        }
        poll
    }

    /// The report as far as it has come when the session ended by `failure`, and what was being
    /// waited for. `None`: not even the status is there, or what brought it is no answer.
    pub(super) fn unfinished(mut self, failure: &ProbeFailure) -> Option<(NodeReport, Topic)> {
        let topic = self
            .questions
            .front()
            .map_or(Topic::Status, |question| question.topic());
        let is_nonsense = matches!(failure, ProbeFailure::ProtocolError { .. });
        if topic == Topic::Status && is_nonsense {
            return None;
        }
        self.finish().map(|report| (report, topic))
    }

    /// Takes one message. An error ends the session.
    pub(super) fn receive(
        &mut self,
        message: Message,
        learnt: &mut Learnt,
        out: &mut BytesMut,
    ) -> Result<Brought, ProbeFailure> {
        match (self.answer, message) {
            (_, Message::ErrorResponse(body)) => {
                return self.take_error(ServerError::read(&body)?, learnt);
            }
            // What goes before each question.
            (Answer::Awaited, Message::CommandComplete(body)) if body.tag().ok() == Some("SET") => {
            }
            (Answer::Awaited, Message::RowDescription(_)) => self.answer = Answer::Rows,
            (Answer::Rows, Message::DataRow(row)) => return self.take_row(&row, learnt),
            (Answer::Rows, Message::CommandComplete(_)) => self.answer = Answer::Complete,
            (Answer::Spoiled, Message::DataRow(_)) => {}
            (Answer::Spoiled, Message::CommandComplete(_)) => self.answer = Answer::Failed,
            (Answer::Complete | Answer::Failed, Message::ReadyForQuery(body)) => {
                if body.status() != b'I' {
                    return Err(nonsense(
                        "a transaction is open after a query of ours, none was begun",
                    ));
                }
                return self.next_question(learnt, out);
            }
            (answer, _) => {
                return Err(nonsense(format!(
                    "an unexpected message in an answer ({answer:?})"
                )));
            }
        }
        Ok(Brought::Nothing)
    }

    /// Only the status must make sense.
    fn take_row(
        &mut self,
        row: &DataRowBody,
        learnt: &mut Learnt,
    ) -> Result<Brought, ProbeFailure> {
        self.rows = self.rows.saturating_add(1);
        let Some(question) = self.questions.front() else {
            return Ok(Brought::Nothing);
        };
        let taken = match question {
            Question::Status if self.report.is_some() => Err(nonsense("more than one status row")),
            Question::Status => status_row(row).map(|report| self.report = Some(report)),
            Question::Name | Question::Heartbeat => Ok(()),
            Question::Sessions => self.sessions.take(row),
            Question::Identity(_) => identity_row(row).map(|identity| {
                self.report
                    .iter_mut()
                    .for_each(|report| report.identity = identity.clone());
            }),
            Question::Slots(_) if self.slots.len() >= MAX_SLOTS => {
                Err(declined(format!("more than {MAX_SLOTS} replication slots")))
            }
            Question::Slots(_) => slot_row(row).map(|slot| self.slots.push(slot)),
        };
        let unread = learnt.unread.as_ref();
        match taken {
            Ok(())
                if unread.is_some() && matches!(question, Question::Slots(StateFiles::Unread)) =>
            {
                let note = learnt.unread.take();
                Ok(note.map_or(Brought::Nothing, Brought::Note))
            }
            Ok(()) => Ok(Brought::Nothing),
            Err(failure) if question.topic() == Topic::Status => Err(failure),
            Err(failure) => {
                self.answer = Answer::Spoiled;
                self.slots.clear();
                self.sessions = Sessions::default();
                Ok(Brought::Note(format!(
                    "{}: {failure}",
                    question.topic().failed()
                )))
            }
        }
    }

    /// Only the status must be answered; an error in the rest is noted.
    fn take_error(
        &mut self,
        error: ServerError,
        learnt: &mut Learnt,
    ) -> Result<Brought, ProbeFailure> {
        let question = self.questions.front().copied();
        if error.is_fatal() || self.report.is_none() {
            return Err(error.into_failure());
        }
        self.answer = Answer::Failed;
        let note = match question {
            Some(Question::Identity(functions)) => learnt.note_identity(functions, &error),
            Some(Question::Slots(files)) => {
                self.slots.clear();
                learnt.note_slots(files, &error)
            }
            Some(question) => Some(format!("{}: {error}", question.topic().failed())),
            None => None,
        };
        Ok(note.map_or(Brought::Nothing, Brought::Note))
    }

    /// One question is over: what comes of it, and is anything left to be asked.
    fn next_question(
        &mut self,
        learnt: &mut Learnt,
        out: &mut BytesMut,
    ) -> Result<Brought, ProbeFailure> {
        let answer = mem::replace(&mut self.answer, Answer::Awaited);
        let rows = mem::take(&mut self.rows);
        let is_whole = answer == Answer::Complete;
        let question = self.questions.pop_front();
        let report = self
            .report
            .as_mut()
            .ok_or_else(|| nonsense("no status row, expected one"))?;
        match question {
            Some(Question::Status) => {
                let was_primary = learnt.primary;
                learnt.primary = matches!(report.role, RoleReport::Primary { .. });
                if learnt.primary && !was_primary {
                    self.ask_as_of_a_primary(learnt, out);
                }
            }
            Some(Question::Name) if is_whole => learnt.naming.set(&self.ask.session, rows > 0),
            Some(Question::Sessions) if is_whole => {
                let sessions = mem::take(&mut self.sessions);
                report.daemons = learnt.naming.daemons(&self.ask.session, sessions);
                let daemons = report.daemons.as_deref().unwrap_or_default();
                learnt.is_written_by_another =
                    is_written_by_another(daemons, &self.ask.session, self.ask.spacing);
            }
            Some(Question::Identity(functions)) if functions != learnt.identity => {
                self.ask_for_identity(learnt.identity, out);
            }
            Some(Question::Slots(files)) if answer == Answer::Failed => {
                self.ask_for_slots_otherwise(files, learnt, out);
            }
            _ => {}
        }
        if !self.questions.is_empty() {
            return Ok(Brought::Nothing);
        }
        let report = self.finish();
        Ok(report.map_or(Brought::Nothing, Brought::Report))
    }

    fn finish(&mut self) -> Option<NodeReport> {
        let mut report = self.report.take()?;
        if let RoleReport::Primary { slots, .. } = &mut report.role {
            *slots = mem::take(&mut self.slots);
        }
        Some(report)
    }

    fn ask_for_identity(&mut self, functions: IdentityFunctions, out: &mut BytesMut) {
        self.queue(Question::Identity(functions), functions.query(), out);
    }

    fn ask_as_of_a_primary(&mut self, learnt: &Learnt, out: &mut BytesMut) {
        if !learnt.is_written_by_another {
            self.queue(Question::Heartbeat, HEARTBEAT, out);
        }
        let files = learnt.state_files;
        self.queue(Question::Slots(files), files.query(), out);
    }

    /// Refused: the way that is left. Failed for once: without the files for once.
    fn ask_for_slots_otherwise(&mut self, failed: StateFiles, learnt: &Learnt, out: &mut BytesMut) {
        let next = match failed {
            StateFiles::Unread => return,
            _ if learnt.state_files == failed => StateFiles::Unread,
            _ => learnt.state_files,
        };
        self.queue(Question::Slots(next), next.query(), out);
    }

    /// Each question chooses its own isolation, as on a standby none can be asked as serializable, and
    /// its own time: a role's `statement_timeout` is for its other clients. What is beside the point
    /// waits for no lock longer than its share of the time.
    fn queue(&mut self, question: Question, query: &str, out: &mut BytesMut) {
        let topic = question.topic();
        if topic > Topic::Status && self.ask.below.is_some_and(|below| topic >= below) {
            return;
        }
        let wait = self.ask.timeout.as_millis() / LOCK_SHARES;
        let whole = self.ask.timeout.as_millis().max(1);
        let own = format!("{ISOLATION}; SET LOCAL statement_timeout = {whole}");
        let query = if topic == Topic::Status {
            format!("{own}; {query}")
        } else {
            format!("{own}; SET LOCAL lock_timeout = {}; {query}", wait.max(1))
        };
        let queued = frontend::query(&query, out);
        debug_assert!(queued.is_ok(), "our queries hold no zero byte");
        self.questions.push_back(question);
    }
}

impl Learnt {
    /// A question for the identity failed: remember what this account may not do, and find the
    /// words.
    fn note_identity(
        &mut self,
        functions: IdentityFunctions,
        error: &ServerError,
    ) -> Option<String> {
        let forbidden = error.sqlstate() == SqlState::INSUFFICIENT_PRIVILEGE;
        if functions == IdentityFunctions::All && forbidden {
            self.identity = IdentityFunctions::WithoutControl;
            return Some(format!(
                "system_identifier and timeline are not known: {error}"
            ));
        }
        Some(format!("{}: {error}", Topic::Identity.failed()))
    }

    /// A question for slots failed: remember what this account may not do, and find the words.
    fn note_slots(&mut self, files: StateFiles, error: &ServerError) -> Option<String> {
        let forbidden = error.sqlstate() == SqlState::INSUFFICIENT_PRIVILEGE;
        match files.fallback() {
            // The next one may be allowed; what was refused is not asked for again in this session.
            Some(fallback) if forbidden => {
                self.state_files = fallback;
                self.unread = (fallback == StateFiles::Unread)
                    .then(|| format!("replication slots are read without state_data: {error}"));
                None
            }
            Some(_) => Some(format!(
                "state_data could not be read in this poll: {error}"
            )),
            None => Some(format!("replication slots could not be read: {error}")),
        }
    }
}

/// One question, and how it is asked.
#[derive(Clone, Copy, Debug)]
enum Question {
    Status,
    Name,
    Sessions,
    Identity(IdentityFunctions),
    Heartbeat,
    Slots(StateFiles),
}

impl Question {
    fn topic(self) -> Topic {
        match self {
            Self::Status => Topic::Status,
            Self::Name => Topic::Name,
            Self::Sessions => Topic::Sessions,
            Self::Identity(_) => Topic::Identity,
            Self::Heartbeat => Topic::Heartbeat,
            Self::Slots(_) => Topic::Slots,
        }
    }
}

impl Topic {
    /// That it has failed.
    fn failed(self) -> &'static str {
        match self {
            Self::Status => "the status query failed after its row",
            Self::Name => "the session could not be named",
            Self::Sessions => "sessions could not be read",
            Self::Identity => "the identity could not be read",
            Self::Heartbeat => "the heartbeat failed",
            Self::Slots => "replication slots could not be read",
        }
    }
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Rows,
    /// A row makes no sense, and the others are of no interest.
    Spoiled,
    Complete,
    Failed,
}

const ISOLATION: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
/// Each question beside the point may wait for locks for the poll's time by this: one more than
/// there are of them.
const LOCK_SHARES: u128 = 6;
/// Replication slots of one server.
const MAX_SLOTS: usize = 10_000;
