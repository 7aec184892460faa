//! The wishes of the core, carried out: one match. Nothing here calls the core; what comes of a
//! wish is a later event.

use super::{Daemon, commands, follow};
use crate::compat;
use crate::lookout::{Alert, Effect, FailoverOutcome};
use crate::sys::text::escape_controls;
use crate::sys::writer::Deed;
use crate::time::{Now, timestamp};

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
                    commands::start(id, purpose, &command, deadline, &mut self.io);
                }
                Effect::PrepareFollow {
                    primary,
                    conninfo,
                    data_directory,
                } => {
                    follow::prepare(&primary, &conninfo, data_directory, &mut self.io);
                }
                Effect::RaiseAlert { alert, text } => {
                    let line = format!(
                        "{} {}\n",
                        timestamp::format_millis(now.wall),
                        escape_controls(&text)
                    );
                    self.request_alert(alert, Deed::Replace(line.into()));
                }
                Effect::ClearAlert(alert) => self.request_alert(alert, Deed::Remove),
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

    fn request_alert(&mut self, alert: Alert, deed: Deed) {
        let path = self
            .lookout
            .config()
            .alert_dir
            .join(compat::alert::file_name(alert));
        self.files
            .request("alert_file_dir", path, deed, &mut self.io);
    }

    fn save_state(&mut self, now: Now) {
        let mut memory = self.lookout.memory(now);
        if let Some(last) = memory
            .failover
            .as_mut()
            .filter(|last| last.outcome == FailoverOutcome::Running)
        {
            last.process = last.process.or_else(|| self.io.children.failover());
        }
        let content = compat::state_file::render(
            self.lookout.state(),
            &memory,
            self.lookout.last_round(),
            self.boot_id.as_deref(),
        );
        let path = self.lookout.config().state_file.clone();
        let (key, deed) = ("json_state_file_path", Deed::Replace(content));
        self.files.request(key, path, deed, &mut self.io);
    }
}
