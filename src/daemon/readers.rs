//! Questions to the file system and to name services, each asked by a child process, so that what
//! hangs holds up nobody but whoever asked. Every question gets an answer in its time: what the
//! child has read, or that there was none.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::Duration;

use mio::{Interest, Token};

use super::registry::{Owner, Registry};
use super::tls_files::Wanted;
use crate::sys::child::Reading;
use crate::sys::forked::Worker;
use crate::time::Monotonic;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Everything that the configuration is made of.
    Configuration,
    /// Does the maintenance file exist.
    Maintenance(PathBuf),
    /// What is in these files.
    TlsFiles(Wanted),
}

/// What came of a question: the child's answer, or why there is none.
pub(super) type Answer = Result<Vec<u8>, String>;

/// All questions that are under way.
#[derive(Default)]
pub(super) struct Readers {
    running: BTreeMap<Token, Running>,
    /// Over, but not reaped yet. One that hangs in the kernel may stay here for long.
    leaving: Vec<Leaving>,
    answers: Vec<(Question, Answer)>,
}

struct Running {
    question: Question,
    reader: Worker,
    until: Monotonic,
    limit: Duration,
}

struct Leaving {
    question: Question,
    reader: Worker,
    is_killed: bool,
}

impl Readers {
    /// Asks; `work` is done in a child, and given up after `limit`.
    pub(super) fn ask(
        &mut self,
        question: Question,
        limit: Duration,
        work: impl FnOnce() -> Vec<u8>,
        registry: &mut Registry,
        now: Monotonic,
    ) {
        let started = self.start(&question, work, registry);
        match started {
            Ok((token, reader)) => {
                let running = Running {
                    question,
                    reader,
                    until: now + limit,
                    limit,
                };
                self.running.insert(token, running);
            }
            Err(reason) => self.answers.push((question, Err(reason))),
        }
    }

    fn start(
        &self,
        question: &Question,
        work: impl FnOnce() -> Vec<u8>,
        registry: &mut Registry,
    ) -> Result<(Token, Worker), String> {
        let kind = discriminant(question);
        let killed = self.leaving.iter().filter(|leaving| leaving.is_killed);
        let hanging = killed.filter(|killed| discriminant(&killed.question) == kind);
        if hanging.count() >= MOST_HANGING {
            return Err(format!("{MOST_HANGING} processes hang that asked before"));
        }
        let failed = |error| format!("no process to ask: {error}");
        let reader = Worker::start(work).map_err(failed)?;
        let token = registry.register(&reader, Owner::Reader, Interest::READABLE);
        Ok((token.map_err(failed)?, reader))
    }

    /// A child has answered, or a part of it.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry) {
        let Some(running) = self.running.get_mut(&token) else {
            return;
        };
        match running.reader.read() {
            Ok(Reading::Drained) => {}
            Ok(Reading::Unfinished) => registry.again(token),
            Ok(Reading::Ended) => {
                let answer = running.reader.take_result();
                let answer = answer.ok_or_else(|| "the process that asked has failed".to_owned());
                self.end(token, answer, false, registry);
            }
            Err(error) => self.end(token, Err(error.to_string()), true, registry),
        }
    }

    /// Gives up those whose time is over. Gives the next deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let late = self.running.iter();
        let late = late.filter(|(_, running)| running.until <= now);
        let late: Vec<_> = late.map(|(token, found)| (*token, found.limit)).collect();
        for (token, limit) in late {
            self.end(
                token,
                Err(format!("no answer for {limit:?}")),
                true,
                registry,
            );
        }
        self.running.values().map(|running| running.until).min()
    }

    fn end(&mut self, token: Token, answer: Answer, kill: bool, registry: &mut Registry) {
        let Some(running) = self.running.remove(&token) else {
            return;
        };
        registry.forget(&running.reader, token);
        if kill {
            running.reader.kill();
        }
        self.answers.push((running.question.clone(), answer));
        self.leaving.push(Leaving {
            question: running.question,
            reader: running.reader,
            is_killed: kill,
        });
        self.reap();
    }

    /// Some child has ended.
    pub(super) fn reap(&mut self) {
        self.leaving.retain(|leaving| !leaving.reader.try_reap());
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    pub(super) fn take_answers(&mut self) -> Vec<(Question, Answer)> {
        std::mem::take(&mut self.answers)
    }
}

/// Processes of one kind that the kernel keeps though they were killed.
const MOST_HANGING: usize = 4;
