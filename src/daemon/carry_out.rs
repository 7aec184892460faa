//! The wishes of the core, carried out: one match. Nothing here calls the core; what comes of a
//! wish is a later event.

use super::{Daemon, commands, follow};
use crate::compat;
use crate::lookout::{Alert, Effect, Saved};
use crate::sys::text::escape_controls;
use crate::sys::writer::Deed;
use crate::time::{Now, timestamp};

impl Daemon {
    /// Carries out the wishes of one turn, in order.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>, now: Now) {
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
                    commands::start(id, purpose, &command, timeout, &mut self.io);
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
                Effect::Save(saved) => self.save(&saved),
                Effect::Measure(metric) => self.statsd.send(&metric),
                Effect::Log { level, text } => log::log!(target: "lookout", level, "{text}"),
                Effect::Decided {
                    round,
                    level,
                    repeated,
                } => {
                    self.journal.tidy(now.mono);
                    if let Some(repeated) = repeated {
                        log::info!(target: "lookout", "{repeated}");
                    }
                    log::log!(target: "lookout", level, "{}", round.decision.verdict);
                }
            }
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

    fn save(&mut self, saved: &Saved) {
        let content = compat::state_file::render(
            self.lookout.state(),
            &saved.memory,
            saved.round.as_deref(),
            self.boot_id.as_deref(),
        );
        let path = self.lookout.config().state_file.clone();
        let (key, deed) = ("json_state_file_path", Deed::Replace(content));
        self.files.request(key, path, deed, &mut self.io);
    }
}
