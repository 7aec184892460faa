//! What the core wants done, passed on to whoever does it.

use super::commands::PreviousFailover;
use super::pages::Served;
use super::{Daemon, commands, control_file, file_writes, recovery};
use crate::format;
use crate::lookout::{Alert, CommandPurpose, Effect, Saved};
use crate::sys::forked::FileOp;
use crate::sys::text::escape_controls;
use crate::time::{Now, timestamp};

impl Daemon {
    /// In order. Nothing here calls the core; the outcome of an effect is a later event. Says whether what
    /// operators are shown may have changed.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) -> bool {
        let now = self.io.now;
        let is_shown = effects.iter().any(changes_status);
        for effect in effects {
            let (config, io) = (self.lookout.config(), &mut self.io);
            match effect {
                Effect::ProbeNode {
                    node,
                    probe,
                    session,
                } => {
                    self.nodes.probe(&node, probe, session, config, io);
                }
                Effect::ProbeObserver { observer, probe } => {
                    self.observers.probe(&observer, probe, (), config, io);
                }
                Effect::RunCommand {
                    id,
                    purpose,
                    command,
                    timeout,
                } => {
                    let variables = commands::variables(purpose, &self.lookout);
                    commands::start((id, purpose), &command, &variables, timeout, io);
                    self.command_begun(purpose);
                }
                Effect::PrepareFollow {
                    primary,
                    conninfo,
                    data_directory,
                } => recovery::start(&primary, &conninfo, data_directory, io),
                Effect::RaiseAlert { alert, text } => {
                    let (at, text) = (timestamp::format_millis(now.wall), escape_controls(&text));
                    self.beside.alerts.raise(alert, &text, now.wall);
                    let content = format!("{at} {text}\n").into();
                    self.write_alert(alert, FileOp::Replace(content));
                }
                Effect::ClearAlert(alert) => {
                    self.beside.alerts.clear(alert);
                    self.write_alert(alert, FileOp::Remove);
                }
                effect @ (Effect::SendVote(_)
                | Effect::AnswerVote { .. }
                | Effect::SaveVote { .. }
                | Effect::ArmGuard(_)
                | Effect::EndCommand(_)) => self.carry_out_vote(effect),
                Effect::ReadControl(data_directory) => control_file::read(data_directory, io),
                Effect::Save(saved) => self.save(&saved),
                Effect::Measure(metric) => self.statsd.send(&metric),
                Effect::Log { level, text } => log::log!(target: "lookout", level, "{text}"),
                Effect::Decided {
                    round,
                    level,
                    repeated,
                } => {
                    self.web.clients.pages.tidy(now.mono);
                    if let Some(repeated) = repeated {
                        log::info!(target: "lookout", "{repeated}");
                    }
                    log::log!(target: "lookout", level, "{}", round.decision.verdict);
                }
            }
        }
        is_shown
    }

    /// A promotion, or a start, is ended before its server is fenced, whoever has begun it.
    fn command_begun(&mut self, purpose: CommandPurpose) {
        let previous = self.previous_failover.as_ref();
        match purpose {
            CommandPurpose::Failover | CommandPurpose::Unfence => {
                self.guard.order(None, &self.io);
            }
            CommandPurpose::Fence => previous.into_iter().for_each(PreviousFailover::end),
            _ => {}
        }
    }

    /// Tells `event_command` what has changed; not while a poll is to show whether the primary is lost, or
    /// an idle session was ended and no more.
    pub(super) fn notify(&mut self, now: Now) {
        self.notifier.is_owed = self.lookout.awaits_primary();
        if self.notifier.is_owed {
            return;
        }
        let served = Served {
            lookout: &self.lookout,
            beside: &self.beside,
        };
        let status = self.web.clients.pages.make_status(served, now);
        self.notifier
            .follow(&status, self.lookout.config(), &mut self.io);
    }

    fn write_alert(&mut self, alert: Alert, op: FileOp) {
        let directory = &self.lookout.config().alert_dir;
        let path = directory.join(format::alert_file(alert));
        self.files
            .request(file_writes::ALERTS, path, op, &mut self.io);
    }

    fn save(&mut self, saved: &Saved) {
        let content = format::state_file(
            self.lookout.state(),
            &saved.memory,
            saved.round.as_deref(),
            self.boot_id.as_deref(),
            format::votes_page(&self.lookout, self.io.now.mono),
        );
        let path = self.lookout.config().state_file.clone();
        let (key, op) = ("json_state_file_path", FileOp::Replace(content));
        self.files.request(key, path, op, &mut self.io);
    }
}

/// What operators are shown is looked at when something was decided or done.
fn changes_status(effect: &Effect) -> bool {
    match effect {
        Effect::Decided { .. }
        | Effect::RunCommand { .. }
        | Effect::RaiseAlert { .. }
        | Effect::ClearAlert(_) => true,
        Effect::ProbeNode { .. }
        | Effect::ProbeObserver { .. }
        | Effect::PrepareFollow { .. }
        | Effect::SendVote(_)
        | Effect::AnswerVote { .. }
        | Effect::SaveVote { .. }
        | Effect::ArmGuard(_)
        | Effect::ReadControl(_)
        | Effect::EndCommand(_)
        | Effect::Save(_)
        | Effect::Measure(_)
        | Effect::Log { .. } => false,
    }
}
