//! One poll: which questions are sent, how each may be answered, and when the report is whole.
//!
//! The questions are separate messages of one write, so that a failed heartbeat or an unreadable
//! slot leaves the position standing, and each ends with its own ReadyForQuery (Protocol, "Simple
//! Query").

use std::mem;

use bytes::BytesMut;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::error::{ServerError, SqlState, nonsense};
use super::status::{HEARTBEAT, STATUS, StateFiles, slot_row, status_row};
use crate::cluster::{NodeReport, ProbeFailure, ReplicationSlot, RoleReport};

/// A poll that is under way.
#[derive(Debug)]
pub(super) struct Poll {
    asked: Asked,
    question: Question,
    answer: Answer,
    report: Option<NodeReport>,
    slots: Vec<ReplicationSlot>,
}

/// What the polls of one session have taught so far.
#[derive(Debug)]
pub(super) struct Lessons {
    /// The last answer came from a primary. Nothing but its status is asked of a server that may be
    /// a standby: that has no heartbeat and no slots of interest, and would write refused questions
    /// into its log.
    primary: bool,
    /// How this account may read state files.
    state_files: StateFiles,
}

impl Default for Lessons {
    fn default() -> Self {
        Self {
            primary: false,
            state_files: StateFiles::Tolerant,
        }
    }
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
    pub(super) fn begin(lessons: &Lessons, out: &mut BytesMut) -> Self {
        ask(STATUS, out);
        let asked = if lessons.primary {
            Asked::Everything
        } else {
            Asked::StatusOnly
        };
        if asked == Asked::Everything {
            ask_as_of_a_primary(lessons, out);
        }
        Self {
            asked,
            question: Question::Status,
            answer: Answer::Awaited,
            report: None,
            slots: Vec::new(),
        }
    }

    /// Takes one message.
    pub(super) fn receive(
        &mut self,
        message: Message,
        lessons: &mut Lessons,
        out: &mut BytesMut,
    ) -> Result<Brought, ProbeFailure> {
        match (self.answer, message) {
            (_, Message::ErrorResponse(body)) => {
                return self.complain(ServerError::read(&body)?, lessons);
            }
            (Answer::Awaited, Message::RowDescription(_)) => self.answer = Answer::Rows,
            (Answer::Rows, Message::DataRow(row)) => self.take_row(&row)?,
            (Answer::Rows, Message::CommandComplete(_)) => self.answer = Answer::Complete,
            (Answer::Complete | Answer::Failed, Message::ReadyForQuery(body)) => {
                if body.status() != b'I' {
                    return Err(nonsense(
                        "a transaction is open after a query of ours, none was begun",
                    ));
                }
                return self.next_question(lessons, out);
            }
            (answer, _) => {
                return Err(nonsense(format!(
                    "an unexpected message in an answer ({answer:?})"
                )));
            }
        }
        Ok(Brought::Nothing)
    }

    fn take_row(&mut self, row: &DataRowBody) -> Result<(), ProbeFailure> {
        match self.question {
            Question::Status if self.report.is_some() => {
                return Err(nonsense("more than one status row"));
            }
            Question::Status => self.report = Some(status_row(row)?),
            Question::Heartbeat => {}
            Question::Slots(_) if self.slots.len() >= MAX_SLOTS => {
                return Err(nonsense(format!("more than {MAX_SLOTS} replication slots")));
            }
            Question::Slots(_) => self.slots.push(slot_row(row)?),
        }
        Ok(())
    }

    /// Only the status must be answered; of the rest a complaint is noted.
    fn complain(
        &mut self,
        error: ServerError,
        lessons: &mut Lessons,
    ) -> Result<Brought, ProbeFailure> {
        if error.is_fatal() {
            return Err(error.into_failure());
        }
        self.answer = Answer::Failed;
        let note = match self.question {
            Question::Status => return Err(error.into_failure()),
            Question::Heartbeat => Some(format!("the heartbeat failed: {error}")),
            Question::Slots(files) => {
                self.slots.clear();
                lessons.note_slots(files, &error)
            }
        };
        Ok(note.map_or(Brought::Nothing, Brought::Note))
    }

    /// One question is over: what comes next, and is anything left to be sent.
    fn next_question(
        &mut self,
        lessons: &mut Lessons,
        out: &mut BytesMut,
    ) -> Result<Brought, ProbeFailure> {
        let answer = mem::replace(&mut self.answer, Answer::Awaited);
        self.question = match (self.question, answer) {
            (Question::Status, _) => {
                let report = self
                    .report
                    .as_ref()
                    .ok_or_else(|| nonsense("no status row, expected one"))?;
                lessons.primary = matches!(report.role, RoleReport::Primary { .. });
                if self.asked == Asked::StatusOnly {
                    if !lessons.primary {
                        return self.finish();
                    }
                    ask_as_of_a_primary(lessons, out);
                }
                Question::Heartbeat
            }
            (Question::Heartbeat, _) => Question::Slots(lessons.state_files),
            (Question::Slots(StateFiles::Unread), Answer::Failed) => return self.finish(),
            (Question::Slots(files), Answer::Failed) => {
                // Refused: the way that is left. Failed for once: without the files for once.
                let next = if lessons.state_files == files {
                    StateFiles::Unread
                } else {
                    lessons.state_files
                };
                ask(next.query(), out);
                Question::Slots(next)
            }
            (Question::Slots(_), _) => return self.finish(),
        };
        Ok(Brought::Nothing)
    }

    fn finish(&mut self) -> Result<Brought, ProbeFailure> {
        let mut report = self
            .report
            .take()
            .ok_or_else(|| nonsense("no status row, expected one"))?;
        if let RoleReport::Primary { slots, .. } = &mut report.role {
            *slots = mem::take(&mut self.slots);
        }
        Ok(Brought::Report(report))
    }
}

impl Lessons {
    /// A question for slots failed: remember what this account may not do, and find the words.
    fn note_slots(&mut self, files: StateFiles, error: &ServerError) -> Option<String> {
        let forbidden = error.sqlstate() == SqlState::INSUFFICIENT_PRIVILEGE;
        match files.humbler() {
            // The next one may be allowed; what was refused is not asked for again in this session.
            Some(humbler) if forbidden => {
                self.state_files = humbler;
                (humbler == StateFiles::Unread)
                    .then(|| format!("replication slots are read without state_data: {error}"))
            }
            Some(_) => Some(format!(
                "state_data could not be read in this poll: {error}"
            )),
            None => Some(format!("replication slots could not be read: {error}")),
        }
    }
}

/// Which questions one write holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    StatusOnly,
    Everything,
}

/// The question whose answer is coming in.
#[derive(Clone, Copy, Debug)]
enum Question {
    Status,
    Heartbeat,
    Slots(StateFiles),
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Rows,
    Complete,
    Failed,
}

fn ask_as_of_a_primary(lessons: &Lessons, out: &mut BytesMut) {
    ask(HEARTBEAT, out);
    ask(lessons.state_files.query(), out);
}

fn ask(query: &str, out: &mut BytesMut) {
    let queued = frontend::query(query, out);
    debug_assert!(queued.is_ok(), "our queries hold no zero byte");
}

/// Replication slots of one server.
const MAX_SLOTS: usize = 10_000;
