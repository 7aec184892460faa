//! A timeline as values: what a node has seen, in order, its header and its clocks. The events of its
//! lines, and how files of them are read, are beside this file.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::memory::{Clocks as MemoryClocks, MemoryForm};
use super::moment::{micros_of, seconds};
use crate::config::{self, Config, Environment};
use crate::lookout::{CommandOutcome, CommandPurpose, Event, Memory};
use crate::time::{Monotonic, Now, WallTime, timestamp};

/// One timeline: a header and what follows it.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Its name.
    pub name: String,
    /// The node's clocks at `t` 0.
    pub start: Now,
    /// The configuration in the header.
    pub config: Config,
    /// What the node remembered at `t` 0.
    pub memory: Memory,
    /// Everything after the header, in order.
    pub lines: Vec<Line>,
}

/// One line of a timeline.
#[derive(Clone, Debug)]
pub struct Line {
    /// Time from the timeline's start.
    pub t: Duration,
    /// Is it one of the facts that a decision may have asked for.
    pub fresh: bool,
    /// What happened.
    pub step: Step,
}

/// What a line reports.
#[derive(Clone, Debug)]
pub enum Step {
    /// What happened to the core. Reports answer whichever probe is under way.
    Event(Event),
    /// The maintenance file appeared or went.
    Maintenance(bool),
    /// The daemon's wall clock reads this from now on.
    Wall(WallTime),
    /// A command that was run for this purpose has ended.
    Command(CommandPurpose, CommandOutcome),
    /// The daemon looked at its deadlines, and decided this, if it did.
    Turn(Option<Decided>),
    /// Nothing happened up to here.
    End,
    /// A decision is made here.
    Check(CheckLine),
}

/// A decision as a recording names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The verdict's name.
    pub verdict: String,
    /// The reason's name.
    pub reason: String,
}

/// A `check` line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckLine {
    /// How commands that this check runs end: an exit status, a negative signal number, or null:
    /// could not be started.
    pub command_exit: Option<i32>,
    /// The outcome of preparing the recovery settings.
    #[serde(default)]
    pub follow: Follow,
    /// What is expected of the decision, key by key.
    #[serde(default)]
    pub expect: Map<String, Value>,
}

/// The outcome of preparing the recovery settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// They were changed.
    #[default]
    Changed,
    /// They were right.
    Unchanged,
    /// They could not be read or written.
    Failed,
}

impl Timeline {
    /// Does it say itself where decisions are made.
    pub fn is_scripted(&self) -> bool {
        self.lines
            .iter()
            .any(|line| matches!(line.step, Step::Check(_)))
    }

    /// Is it what a daemon recorded, with the turns that it took.
    pub fn is_recorded(&self) -> bool {
        let is_turn = |line: &Line| matches!(line.step, Step::Turn(_));
        self.lines.iter().any(is_turn)
    }

    /// Does it say itself when there is a turn: a script or a recording.
    pub fn gives_turns(&self) -> bool {
        let is_turn = |line: &Line| matches!(line.step, Step::Turn(_) | Step::Check(_));
        self.lines.iter().any(is_turn)
    }

    /// The decisions that it says were made, with their times.
    pub fn decisions(&self) -> impl Iterator<Item = (Duration, &Decided)> {
        self.lines.iter().filter_map(|line| match &line.step {
            Step::Turn(Some(decided)) => Some((line.t, decided)),
            _ => None,
        })
    }

    /// Gives it another configuration, for all of its time. The moments at which a daemon with the
    /// old one looked at its deadlines mean nothing then.
    pub fn reconfigure(&mut self, config: &Config) {
        self.config = config.clone();
        self.lines
            .retain(|line| !matches!(line.step, Step::Event(Event::ConfigLoaded(_))));
        for line in self
            .lines
            .iter_mut()
            .filter(|line| matches!(line.step, Step::Turn(_)))
        {
            line.step = Step::End;
        }
    }
}

/// The header of a timeline that begins now, all but its name. `config` has no secrets in it.
/// Contacts are moments before the start, by either clock.
pub fn header(config: Value, memory: &Memory, now: Now) -> Map<String, Value> {
    let memory = MemoryForm::of(memory, MemoryClocks::Since(now), None, true);
    let header = json!({
        "epoch": timestamp::format(now.wall),
        "monotonic": seconds(micros_of(now.mono)),
        "version": env!("CARGO_PKG_VERSION"),
        "config": config,
        "memory": memory,
    });
    match header {
        Value::Object(header) => header,
        _ => Map::new(),
    }
}

pub(super) fn read_config(value: &Value) -> Result<Config, String> {
    let loaded = config::parse(&value.to_string(), &Environment::default());
    loaded.map(|loaded| loaded.config).map_err(|findings| {
        let errors: Vec<_> = findings.errors.iter().map(ToString::to_string).collect();
        format!("config: {}", errors.join("; "))
    })
}

pub(super) fn read_memory(value: &Value, start: Now) -> Result<Memory, String> {
    let form = MemoryForm::deserialize(value).map_err(|cause| format!("memory: {cause}"))?;
    let mut odd = Vec::new();
    let read = form.read(MemoryClocks::Since(start), &mut odd);
    if let Some(key) = read.others.first() {
        return Err(format!("memory: unknown key {key:?}"));
    }
    match odd.first() {
        Some(key) => Err(format!("{key}: not understood")),
        None => Ok(read.memory),
    }
}

/// The clocks of a timeline as it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    start: Monotonic,
    t: Duration,
    /// The wall clock was last set, or began, at this `t` and reads this there.
    wall_set: (Duration, WallTime),
}

impl Clocks {
    /// Clocks that read this at `t` 0.
    pub fn new(start: Now) -> Self {
        Self {
            start: start.mono,
            t: Duration::ZERO,
            wall_set: (Duration::ZERO, start.wall),
        }
    }

    /// The time since the start.
    pub fn t(&self) -> Duration {
        self.t
    }

    /// It is this time after the start now.
    pub fn go_to(&mut self, t: Duration) {
        self.t = t;
    }

    /// How long after the start this moment is.
    pub fn t_of(&self, at: Monotonic) -> Duration {
        at.since(self.start)
    }

    /// The wall clock reads this now, and goes on from there.
    pub fn set_wall(&mut self, wall: WallTime) {
        self.wall_set = (self.t, wall);
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let (set_at, wall) = self.wall_set;
        Now {
            mono: self.start + self.t,
            wall: wall + self.t.saturating_sub(set_at),
        }
    }
}
