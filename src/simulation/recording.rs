//! A recorder beside a daemon's core, the very one of the daemon: it touches nothing, so a recorded
//! run comes to the same end as one without.

use crate::config::Config;
use crate::lookout::Memory;
use crate::replay::Recorder;
use crate::time::Now;

/// The timelines of a daemon's processes, one each.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) recorder: Recorder,
    /// The timelines of earlier processes.
    earlier: String,
}

impl Recording {
    /// Of a process that begins with this.
    pub(super) fn new(config: &Config, memory: &Memory, now: Now) -> Self {
        let mut recorder = Recorder::new(now);
        recorder.begin(config, memory, now);
        Self {
            recorder,
            earlier: String::new(),
        }
    }

    /// Another process begins.
    pub(super) fn restart(mut self, config: &Config, memory: &Memory, now: Now) -> Self {
        let earlier = self.earlier + &self.recorder.take_lines();
        Self {
            earlier,
            ..Self::new(config, memory, now)
        }
    }

    /// All timelines; `ends`: when the last process ends, if it runs.
    pub(super) fn into_text(mut self, ends: Option<Now>) -> String {
        ends.into_iter().for_each(|now| self.recorder.end(now));
        self.earlier + &self.recorder.take_lines()
    }
}
