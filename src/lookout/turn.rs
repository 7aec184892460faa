//! One turn of the core: its moment, and what it wants done.

use super::{CommandId, CommandOutcome, CommandPurpose, Effect, Metric, Trouble};
use crate::config::{CommandLine, Config};
use crate::time::Now;

/// What every part of the core needs while a turn is taken.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
    /// A decision was made, or what must survive a restart has changed.
    pub(super) save: bool,
    /// Reports cannot show what this core announces.
    pub(super) assumes_shown: bool,
    /// The id that the next command gets.
    pub(super) next_command: u64,
}

impl Turn<'_> {
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn info(&mut self, text: String) {
        self.log(log::Level::Info, text);
    }

    pub(super) fn warning(&mut self, text: String) {
        self.log(log::Level::Warn, text);
    }

    pub(super) fn error(&mut self, text: String) {
        self.log(log::Level::Error, text);
    }

    fn log(&mut self, level: log::Level, text: String) {
        self.effects.push(Effect::Log { level, text });
    }

    /// Has a command run.
    pub(super) fn run(
        &mut self,
        purpose: CommandPurpose,
        command: CommandLine,
        config: &Config,
    ) -> CommandId {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let timeout = match purpose {
            CommandPurpose::Failover => config.failover_command_timeout,
            CommandPurpose::LagWarning
            | CommandPurpose::Isolation
            | CommandPurpose::FollowStop
            | CommandPurpose::FollowStart
            | CommandPurpose::Unfence => None,
            CommandPurpose::Demote => config.demotion().map(|demotion| demotion.timeout),
            CommandPurpose::Fence => config.fence().map(|fence| fence.timeout),
        };
        self.effects.push(Effect::RunCommand {
            id,
            purpose,
            command,
            timeout,
        });
        id
    }

    /// Counts a command that did not end well.
    pub(super) fn count_failure(&mut self, purpose: CommandPurpose, outcome: &CommandOutcome) {
        let trouble = match outcome {
            CommandOutcome::Exited(0) => return,
            CommandOutcome::NotStarted(_) => Trouble::CommandNotStarted,
            CommandOutcome::Exited(_) | CommandOutcome::Killed(_) | CommandOutcome::TimedOut => {
                Trouble::CommandFailed
            }
        };
        self.effects.push(Effect::Measure(Metric::Trouble {
            trouble,
            about: purpose.key(),
        }));
    }
}
