//! Who has granted what was asked of every voter, and who has not: of an attempt, and of a round of
//! renewals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::counted::Counted;
use super::{Answer, ListId, Refusal};
use crate::config::VoterName;

/// Why a voter has not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// It refuses, for so long if that is known.
    Refused(Refusal, Option<Duration>),
    /// It does not answer: why.
    NoAnswer(String),
    /// It has not answered yet.
    Awaited,
}

/// How an attempt stands, or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// In which term.
    pub term: u64,
    /// Who has granted.
    pub granted: BTreeSet<VoterName>,
    /// Who has not, and why.
    pub missing: BTreeMap<VoterName, NotGranted>,
    /// How many votes it takes.
    pub needed: usize,
    counted: Counted,
}

/// What it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    Open,
    /// A majority has granted in this phase.
    Majority,
    /// It cannot be won any more.
    Lost,
}

impl Tally {
    /// Nobody has answered yet.
    pub(super) fn new(term: u64, counted: Counted) -> Self {
        let names = counted.names().into_iter();
        Self {
            term,
            granted: BTreeSet::new(),
            missing: names.map(|name| (name, NotGranted::Awaited)).collect(),
            needed: counted.needed(),
            counted,
        }
    }

    /// By which lists it is counted.
    pub(super) fn counted(&self) -> &Counted {
        &self.counted
    }

    /// The list that its requests bear.
    pub(super) fn list(&self) -> &ListId {
        &self.counted.id
    }

    /// Something else is asked for: nobody has granted that yet.
    pub(super) fn begin_anew(&mut self) {
        let granted = std::mem::take(&mut self.granted).into_iter();
        let missing = granted.map(|name| (name, NotGranted::Awaited));
        self.missing.extend(missing);
    }

    /// Has this voter not granted yet.
    pub(super) fn is_missing(&self, voter: &VoterName) -> bool {
        self.missing.contains_key(voter)
    }

    /// A voter's answer, or why there is none. What was granted stays so.
    pub(super) fn count(&mut self, voter: &VoterName, outcome: &Result<Answer, String>) {
        let Some(missing) = self.missing.get_mut(voter) else {
            return;
        };
        match outcome {
            Err(reason) => *missing = NotGranted::NoAnswer(reason.clone()),
            Ok(answer) => match answer.refusal {
                Some(refusal) => *missing = NotGranted::Refused(refusal, answer.wait),
                // A version that knows nothing of changes votes at once wherever it is new.
                None if answer.news.is_none() && !self.counted.is_sealed() => {
                    *missing = NotGranted::Refused(Refusal::List, None);
                }
                None => {
                    self.missing.remove(voter);
                    self.granted.insert(voter.clone());
                }
            },
        }
    }

    /// How long it is until enough voters could grant, by what they have answered; 0: that is not known.
    pub(super) fn wait(&self) -> Duration {
        if self.counted.is_majority(&self.granted) {
            return Duration::ZERO;
        }
        let missing = self.missing.iter();
        let mut waits: Vec<_> = missing
            .filter_map(|(voter, why)| Some((why.wait()?, voter)))
            .collect();
        waits.sort_unstable();
        let mut free = self.granted.clone();
        let mut waits = waits.into_iter();
        let last = waits.find(|(_, voter)| {
            free.insert((*voter).clone());
            self.counted.is_majority(&free)
        });
        last.map(|(wait, _)| wait).unwrap_or_default()
    }

    /// Is it decided.
    pub(super) fn progress(&self) -> Progress {
        if self.counted.is_majority(&self.granted) {
            return Progress::Majority;
        }
        let awaited = self.missing.iter();
        let awaited = awaited.filter(|(_, why)| **why == NotGranted::Awaited);
        let mut possible = self.granted.clone();
        possible.extend(awaited.map(|(voter, _)| voter.clone()));
        match self.counted.is_majority(&possible) {
            true => Progress::Open,
            false => Progress::Lost,
        }
    }
}

impl NotGranted {
    /// How long it is until this voter could grant; `None`: nobody knows whether it lives.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused(_, wait) => Some(wait.unwrap_or_default()),
            Self::Awaited => Some(Duration::ZERO),
            Self::NoAnswer(_) => None,
        }
    }

    /// Its name, from a closed list.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(refusal, _) => refusal.name(),
            Self::NoAnswer(_) => "no_answer",
            Self::Awaited => "awaited",
        }
    }
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal, None) => refusal.fmt(f),
            Self::Refused(refusal, Some(wait)) => {
                write!(f, "{refusal} for {:.1} s more", wait.as_secs_f64())
            }
            Self::NoAnswer(reason) => write!(f, "does not answer: {reason}"),
            Self::Awaited => f.write_str("has not answered yet"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (granted, needed, term) = (self.granted.len(), self.needed, self.term);
        let all = granted + self.missing.len();
        write!(
            f,
            "{granted} of {all} voters in term {term}, {needed} are needed"
        )?;
        if let Some((needed, all)) = self.counted.needed_of_former() {
            write!(f, ", and {needed} of the {all} former ones")?;
        }
        for (voter, why) in &self.missing {
            write!(f, "; {voter} {why}")?;
        }
        Ok(())
    }
}
