//! Following a new primary: when the recovery settings of our own server are looked at, and the
//! restart that makes changed ones count. What the settings say, and where they are, is not known
//! here.
//!
//! The wish begins with a change of the remembered primary, with a reload, and with the start of
//! the process, which cannot know whether a former one got to its end. It lasts until the settings
//! name the primary and the server was restarted since they were changed; it is pursued once per
//! regular decision.

use super::{
    Alert, CommandId, CommandOutcome, CommandPurpose, Effect, FollowOutcome, Lookout, Metric,
    Trouble,
};
use crate::config::{CommandLine, NodeName};
use crate::time::{Monotonic, Now};

/// How far following the remembered primary has come.
#[derive(Debug)]
pub(super) struct Following {
    /// The settings may not name the remembered primary. Off while that is being seen to.
    wanted: bool,
    /// The settings were changed, and the server has not been stopped and started well since.
    restart_owed: bool,
    step: Step,
    /// A restart that failed is not repeated before this.
    not_before: Option<Monotonic>,
    /// The alert `cannot_follow` was raised since the wish began.
    refused: bool,
    /// Why the settings could not be looked at, as last logged.
    said: Option<String>,
}

#[derive(Debug)]
enum Step {
    Idle,
    /// Somebody looks at the settings.
    Preparing,
    Stopping {
        id: CommandId,
        /// What to start the server with: a reload in between must not leave it stopped.
        start: CommandLine,
    },
    Starting {
        id: CommandId,
        stopped: bool,
    },
}

impl Following {
    /// `restart_owed`: by a former process.
    pub(super) fn new(restart_owed: bool) -> Self {
        Self {
            wanted: true,
            restart_owed,
            step: Step::Idle,
            not_before: None,
            refused: false,
            said: None,
        }
    }

    /// The settings have to be looked at, at the next regular decision.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        self.refused = false;
        self.not_before = None;
    }

    pub(super) fn is_restarting(&self) -> bool {
        matches!(self.step, Step::Stopping { .. } | Step::Starting { .. })
    }

    /// For a later process, which cannot know how far this one came.
    pub(super) fn owes_restart(&self) -> bool {
        self.restart_owed || matches!(self.step, Step::Preparing)
    }

    /// There is nobody to follow any more.
    fn give_up(&mut self) {
        self.wanted = false;
        self.restart_owed = false;
    }

    fn is_due(&self, now: Monotonic) -> bool {
        self.wanted && matches!(self.step, Step::Idle) && self.not_before.is_none_or(|at| at <= now)
    }
}

impl Lookout {
    /// Once per regular decision, after the node map; not if it has just decided to promote this
    /// node.
    pub(super) fn follow(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let (Some(settings), Some(own), Some(primary)) = (
            &self.config.follow,
            &self.config.own_db,
            self.remembered.clone(),
        ) else {
            return;
        };
        if *own == primary {
            self.following.give_up();
            return;
        }
        // The own server is about to be a primary: its next answer says whether it is one.
        let promotion = &self.promotion;
        let is_promoted =
            promotion.is_running() || promotion.is_unsettled() || promotion.held_off(now).is_some();
        if !self.following.is_due(now) || is_promoted {
            return;
        }
        let Some(info) = self.config.nodes.get(&primary) else {
            return;
        };
        let Some(answer) = self
            .state
            .nodes
            .get(own)
            .and_then(|state| state.answer.as_ref())
        else {
            return;
        };
        if !answer.in_recovery {
            self.refuse_to_follow(&primary, "by its own last word it is a primary", effects);
            return;
        }
        let Some(conninfo) = settings.conninfo_to(info) else {
            self.not_prepared(format!("remote_conns.{primary} names no host"), effects);
            return;
        };
        let data_directory = settings.data_directory.clone();
        self.following.wanted = false;
        self.following.step = Step::Preparing;
        effects.push(Effect::PrepareFollow {
            primary,
            conninfo,
            data_directory,
        });
    }

    pub(super) fn follow_prepared(&mut self, outcome: FollowOutcome, effects: &mut Vec<Effect>) {
        if !matches!(self.following.step, Step::Preparing) {
            return;
        }
        self.following.step = Step::Idle;
        effects.push(Effect::SaveState);
        let Some(primary) = self
            .remembered
            .clone()
            .filter(|primary| self.config.own_db.as_ref() != Some(primary))
        else {
            return;
        };
        match outcome {
            FollowOutcome::Failed(reason) => return self.not_prepared(reason, effects),
            FollowOutcome::Unknown(reason) => {
                // The next look may find them as they should be, and no restart since.
                self.following.restart_owed = true;
                return self.not_prepared(reason, effects);
            }
            FollowOutcome::NotAStandby(reason) => {
                return self.refuse_to_follow(&primary, &reason, effects);
            }
            FollowOutcome::Changed => {
                effects.push(Effect::warning(
                    "the recovery settings of this node were changed".to_owned(),
                ));
                self.following.restart_owed = true;
            }
            FollowOutcome::Unchanged => {}
        }
        self.following.said = None;
        if !self.following.restart_owed {
            return;
        }
        if self.promotion.is_running() {
            // It goes first; the restart stays owed.
            self.following.wanted = true;
            return;
        }
        self.restart_own_server(effects);
    }

    /// A command of ours may have ended: true if it was one of a restart.
    pub(super) fn follow_command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let well = *outcome == CommandOutcome::Exited(0);
        match &self.following.step {
            Step::Stopping { id: running, start } if *running == id => {
                let start = start.clone();
                say_how_it_ended(CommandPurpose::FollowStop, outcome, effects);
                let id = self.run(CommandPurpose::FollowStart, start, effects);
                self.following.step = Step::Starting { id, stopped: well };
            }
            Step::Starting {
                id: running,
                stopped,
            } if *running == id => {
                let done = *stopped && well;
                say_how_it_ended(CommandPurpose::FollowStart, outcome, effects);
                self.following.step = Step::Idle;
                self.restarted(done, now.mono);
                effects.push(Effect::SaveState);
            }
            _ => return false,
        }
        true
    }

    fn restart_own_server(&mut self, effects: &mut Vec<Effect>) {
        let Some(settings) = &self.config.follow else {
            return;
        };
        let (stop, start) = (
            settings.stop_command.clone(),
            settings.start_command.clone(),
        );
        let id = self.run(CommandPurpose::FollowStop, stop, effects);
        self.following.step = Step::Stopping { id, start };
    }

    /// If it failed it is repeated at a later decision, but not as fast as news of our own server
    /// make decisions due.
    fn restarted(&mut self, done: bool, now: Monotonic) {
        if done {
            self.following.restart_owed = false;
            return;
        }
        self.following.wanted = true;
        self.following.not_before =
            Some(now + self.config.poll_interval.min(self.config.check_interval));
    }

    /// The wish stays: a former primary that was made a standby follows like any other.
    fn refuse_to_follow(&mut self, primary: &NodeName, reason: &str, effects: &mut Vec<Effect>) {
        self.following.wanted = true;
        if std::mem::replace(&mut self.following.refused, true) {
            return;
        }
        let text = format!(
            "the primary is {primary}, and this node does not follow it, it is no standby: {reason}"
        );
        effects.push(CANNOT_FOLLOW);
        effects.push(Effect::error(text.clone()));
        effects.push(Effect::RaiseAlert {
            alert: Alert::CannotFollow,
            text,
        });
    }

    /// Tried again at the next regular decision; said once.
    fn not_prepared(&mut self, reason: String, effects: &mut Vec<Effect>) {
        effects.push(CANNOT_FOLLOW);
        if self.following.said.as_ref() != Some(&reason) {
            effects.push(Effect::error(format!(
                "the new primary cannot be followed yet: {reason}"
            )));
        }
        self.following.wanted = true;
        self.following.said = Some(reason);
    }
}

const CANNOT_FOLLOW: Effect = Effect::Measure(Metric::Trouble {
    trouble: Trouble::CannotFollow,
    about: "autofollow",
});

fn say_how_it_ended(purpose: CommandPurpose, outcome: &CommandOutcome, effects: &mut Vec<Effect>) {
    effects.extend(Effect::trouble_with(purpose, outcome));
    effects.push(match outcome {
        CommandOutcome::Exited(0) => Effect::info(format!("{} ended well", purpose.key())),
        _ => Effect::error(format!("{} {outcome}", purpose.key())),
    });
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
