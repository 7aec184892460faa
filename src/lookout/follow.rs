//! Following a new primary: when the recovery settings of our own server are looked at, and the
//! restart that makes changed ones count. What the settings say, and where they are, is not known
//! here.
//!
//! Following is wanted from a change of the remembered primary on, from a reload, and from the start
//! of the process, which cannot know how far the previous one got. It is wanted until the settings
//! name the primary and the server was restarted since they were changed, and pursued once per
//! regular decision.

use super::promotion::Promotion;
use super::turn::Turn;
use super::{
    Alert, CommandId, CommandOutcome, CommandPurpose, Effect, FollowOutcome, Metric, Trouble,
};
use crate::cluster::{ClusterState, NodeMap, NodeState};
use crate::config::{CommandLine, Config, NodeName};
use crate::time::Monotonic;

/// How far following the remembered primary has come.
#[derive(Debug)]
pub(super) struct Following {
    /// The settings may not name the remembered primary. Off while that is being seen to.
    wanted: bool,
    /// The remembered primary has been reached since it is remembered: one that was not is not
    /// followed.
    primary_seen: bool,
    /// It was tried since it is wanted, or is half done: it goes on also while the primary is lost.
    begun: bool,
    /// The settings were changed, and the server has not been stopped and started well since.
    restart_owed: bool,
    step: Step,
    /// A restart that failed is not repeated before this.
    not_before: Option<Monotonic>,
    /// The alert `cannot_follow` was raised since following was last wanted anew.
    refused: bool,
    /// Why the settings could not be looked at, as last logged.
    logged: Option<String>,
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
    /// `restart_owed`: by the previous process.
    pub(super) fn new(restart_owed: bool) -> Self {
        Self {
            wanted: true,
            primary_seen: false,
            begun: restart_owed,
            restart_owed,
            step: Step::Idle,
            not_before: None,
            refused: false,
            logged: None,
        }
    }

    /// The settings have to be looked at, at the next regular decision.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        self.begun = self.restart_owed;
        self.refused = false;
        self.not_before = None;
    }

    /// There is another primary to follow, once it is reached.
    pub(super) fn follow_another(&mut self) {
        self.want();
        self.primary_seen = false;
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

impl Following {
    /// Once per regular decision, after the node map; not if it has just decided to promote this
    /// node.
    pub(super) fn pursue(
        &mut self,
        primary: Option<&NodeName>,
        map: &NodeMap,
        config: &Config,
        state: &ClusterState,
        promotion: &Promotion,
        turn: &mut Turn<'_>,
    ) {
        let (Some(settings), Some(own), Some(primary)) = (&config.follow, &config.own_db, primary)
        else {
            return;
        };
        if own == primary {
            self.give_up();
            return;
        }
        // By ourselves, and not only by an observer: the settings would name the very address at
        // which this daemon does not reach it.
        let polled = state.nodes.get(primary);
        let is_reached = map.sole_primary() == Some(primary)
            && polled.is_some_and(NodeState::is_connected_primary);
        self.primary_seen |= is_reached;
        // The own server is about to be a primary: its next answer says whether it is one.
        let now = turn.now.mono;
        if !self.primary_seen || !self.is_due(now) || promotion.may_be_under_way(config, now) {
            return;
        }
        let Some(info) = config.nodes.get(primary) else {
            return;
        };
        let Some(answer) = state.nodes.get(own).and_then(|state| state.answer.as_ref()) else {
            return;
        };
        if !answer.in_recovery {
            self.refuse(primary, "its last poll reported a primary", turn);
            return;
        }
        if map.superseded.contains(primary) || !(is_reached || self.begun) {
            return;
        }
        self.begun = true;
        let Some(conninfo) = settings.conninfo_to(info) else {
            self.not_prepared(format!("remote_conns.{primary} names no host"), turn);
            return;
        };
        self.wanted = false;
        self.step = Step::Preparing;
        turn.push(Effect::PrepareFollow {
            primary: primary.clone(),
            conninfo,
            data_directory: settings.data_directory.clone(),
        });
    }

    /// The look at the settings has ended.
    pub(super) fn prepared(
        &mut self,
        outcome: FollowOutcome,
        primary: Option<&NodeName>,
        config: &Config,
        promotion: &Promotion,
        turn: &mut Turn<'_>,
    ) {
        if !matches!(self.step, Step::Preparing) {
            return;
        }
        self.step = Step::Idle;
        turn.save = true;
        let Some(primary) = primary.filter(|primary| config.own_db.as_ref() != Some(*primary))
        else {
            return;
        };
        match outcome {
            FollowOutcome::Failed(reason) => return self.not_prepared(reason, turn),
            FollowOutcome::Unknown(reason) => {
                // The next look may find them as they should be, and no restart since.
                self.restart_owed = true;
                return self.not_prepared(reason, turn);
            }
            FollowOutcome::NotAStandby(reason) => return self.refuse(primary, &reason, turn),
            FollowOutcome::Changed => {
                turn.warning("the recovery settings of this node were rewritten".to_owned());
                self.restart_owed = true;
            }
            FollowOutcome::Unchanged => {}
        }
        self.logged = None;
        if !self.restart_owed {
            return;
        }
        if promotion.is_running() {
            // It goes first; the restart stays owed.
            self.wanted = true;
            return;
        }
        self.restart_own_server(config, turn);
    }

    /// A command has ended: false if it was none of a restart.
    pub(super) fn command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let well = *outcome == CommandOutcome::Exited(0);
        match &self.step {
            Step::Stopping { id: running, start } if *running == id => {
                let start = start.clone();
                log_end(CommandPurpose::FollowStop, outcome, turn);
                let id = turn.run(CommandPurpose::FollowStart, start, config);
                self.step = Step::Starting { id, stopped: well };
            }
            Step::Starting {
                id: running,
                stopped,
            } if *running == id => {
                let done = *stopped && well;
                log_end(CommandPurpose::FollowStart, outcome, turn);
                self.step = Step::Idle;
                self.restarted(done, config, turn.now.mono);
                turn.save = true;
            }
            Step::Idle | Step::Preparing | Step::Stopping { .. } | Step::Starting { .. } => {
                return false;
            }
        }
        true
    }

    fn restart_own_server(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let Some(settings) = &config.follow else {
            return;
        };
        let start = settings.start_command.clone();
        let stop = settings.stop_command.clone();
        let id = turn.run(CommandPurpose::FollowStop, stop, config);
        self.step = Step::Stopping { id, start };
    }

    /// If it failed it is repeated at a later decision, but not as fast as news of our own server
    /// make decisions due.
    fn restarted(&mut self, done: bool, config: &Config, now: Monotonic) {
        if done {
            self.restart_owed = false;
            return;
        }
        self.wanted = true;
        self.not_before = Some(now + config.poll_interval.min(config.check_interval));
    }

    /// Following stays wanted: a former primary that was made a standby follows like any other.
    fn refuse(&mut self, primary: &NodeName, reason: &str, turn: &mut Turn<'_>) {
        self.wanted = true;
        if std::mem::replace(&mut self.refused, true) {
            return;
        }
        let text =
            format!("cannot follow the primary {primary}, this node is not a standby: {reason}");
        turn.push(CANNOT_FOLLOW);
        turn.error(text.clone());
        turn.push(Effect::RaiseAlert {
            alert: Alert::CannotFollow,
            text,
        });
    }

    /// Tried again at the next regular decision; logged once.
    fn not_prepared(&mut self, reason: String, turn: &mut Turn<'_>) {
        turn.push(CANNOT_FOLLOW);
        if self.logged.as_ref() != Some(&reason) {
            turn.error(format!("cannot follow the new primary yet: {reason}"));
        }
        self.wanted = true;
        self.logged = Some(reason);
    }
}

const CANNOT_FOLLOW: Effect = Effect::Measure(Metric::Trouble {
    trouble: Trouble::CannotFollow,
    about: "autofollow",
});

fn log_end(purpose: CommandPurpose, outcome: &CommandOutcome, turn: &mut Turn<'_>) {
    turn.count_failure(purpose, outcome);
    match outcome {
        CommandOutcome::Exited(0) => turn.info(format!("{} succeeded", purpose.key())),
        CommandOutcome::Exited(_)
        | CommandOutcome::Killed(_)
        | CommandOutcome::TimedOut
        | CommandOutcome::NotStarted(_) => turn.error(format!("{} {outcome}", purpose.key())),
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
