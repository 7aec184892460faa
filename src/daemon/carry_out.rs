//! The wishes of the core, carried out: one match. Nothing here calls the core; what comes of a
//! wish is a later event.

use super::Daemon;
use crate::compat;
use crate::lookout::{Alert, CommandOutcome, Effect, Event, FailoverOutcome, Trouble};
use crate::sys::text::escape_controls;
use crate::sys::writer::Deed;
use crate::time::timestamp;
use crate::time::{Monotonic, Now};

impl Daemon {
    /// Carries out the wishes of one turn, in order.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>, now: Now) {
        let mut save = false;
        for effect in effects {
            match effect {
                Effect::ProbeNode { node, probe } => {
                    self.nodes
                        .probe(&node, probe, self.lookout.config(), &mut self.io);
                }
                Effect::ProbeObserver { observer, probe } => {
                    self.observers
                        .probe(&observer, probe, self.lookout.config(), &mut self.io);
                }
                Effect::RunCommand {
                    id,
                    purpose,
                    command,
                    timeout,
                } => {
                    let deadline = timeout.map(|timeout| now.mono + timeout);
                    if let Err(reason) =
                        self.commands
                            .start(id, purpose, &command, deadline, &mut self.io.registry)
                    {
                        let outcome = CommandOutcome::NotStarted(reason);
                        self.io.events.push(Event::CommandExited { id, outcome });
                    }
                }
                Effect::PrepareFollow {
                    primary,
                    conninfo,
                    data_directory,
                } => {
                    let (board, events) = (&mut self.io.registry, &mut self.io.events);
                    self.follower.prepare(
                        &primary,
                        &conninfo,
                        data_directory,
                        board,
                        now.mono,
                        events,
                    );
                }
                Effect::RaiseAlert { alert, text } => {
                    let line = format!(
                        "{} {}\n",
                        timestamp::format_millis(now.wall),
                        escape_controls(&text)
                    );
                    self.wish_of_alert(alert, Deed::Replace(line.into()), now.mono);
                }
                Effect::ClearAlert(alert) => self.wish_of_alert(alert, Deed::Remove, now.mono),
                Effect::SaveState => {
                    if let Some(round) = self.lookout.last_round() {
                        self.journal.note(round);
                    }
                    save = true;
                }
                Effect::SaveMemory => save = true,
                Effect::Measure(metric) => self.statsd.send(&metric),
                Effect::Log { level, text } => log::log!(target: "lookout", level, "{text}"),
                Effect::NoNews(verdict) => log::debug!(target: "lookout", "{verdict}"),
            }
        }
        // Several decisions in one turn are one state.
        if save {
            self.save_state(now);
        }
    }

    fn wish_of_alert(&mut self, alert: Alert, deed: Deed, now: Monotonic) {
        let path = self
            .lookout
            .config()
            .alert_dir
            .join(compat::alert::file_name(alert));
        let failed = self.files.wish("alert_file_dir", path, deed, now);
        self.trouble_with_files(failed);
    }

    fn save_state(&mut self, now: Now) {
        let mut memory = self.lookout.memory(now);
        if let Some(last) = memory
            .failover
            .as_mut()
            .filter(|last| last.outcome == FailoverOutcome::Running)
        {
            last.process = last.process.or_else(|| self.commands.failover());
        }
        let content = compat::state_file::render(
            self.lookout.state(),
            &memory,
            self.lookout.last_round(),
            self.boot_id.as_deref(),
        );
        let path = self.lookout.config().state_file.clone();
        let failed = self.files.wish(
            "json_state_file_path",
            path,
            Deed::Replace(content),
            now.mono,
        );
        self.trouble_with_files(failed);
    }

    /// Counts those that could not be written, by their key.
    pub(super) fn trouble_with_files(&mut self, keys: impl IntoIterator<Item = &'static str>) {
        keys.into_iter()
            .for_each(|key| self.trouble(Trouble::File, key));
    }
}
