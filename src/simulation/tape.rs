//! A recorder beside a daemon's core, the very one of the daemon: it touches nothing, so a recorded
//! run comes to the same end as one without.

use super::HostId;
use super::world::World;
use crate::config::Config;
use crate::lookout::{Effect, Event, Lookout, Memory};
use crate::replay::Recorder;
use crate::time::Now;

/// What the processes of one daemon were told, one timeline each.
#[derive(Debug)]
pub(super) struct Tape {
    recorder: Recorder,
    /// The timelines of former processes.
    former: String,
}

impl Tape {
    fn new(config: &Config, memory: &Memory, now: Now) -> Self {
        let mut recorder = Recorder::new(now);
        recorder.begin(config, memory, now);
        Self {
            recorder,
            former: String::new(),
        }
    }

    /// Another process begins.
    pub(super) fn restart(mut self, config: &Config, memory: &Memory, now: Now) -> Self {
        let former = self.former + &self.recorder.take_lines();
        Self {
            former,
            ..Self::new(config, memory, now)
        }
    }

    pub(super) fn events(&mut self, events: &[Event], lookout: &Lookout, now: Now) {
        self.recorder.events(events, lookout, now);
    }

    pub(super) fn turn(&mut self, maintenance: bool, effects: &[Effect], now: Now) {
        self.recorder.turn(maintenance, effects, now);
    }

    pub(super) fn note(&mut self, effects: &[Effect]) {
        self.recorder.note(effects);
    }
}

impl World {
    /// Records these hosts' daemons. For the very beginning: they remember nothing yet.
    pub(super) fn tape(&mut self, hosts: &[HostId]) {
        for host in hosts {
            let site = &mut self.sites[*host];
            site.tape = Some(Tape::new(
                site.lookout.config(),
                &Memory::default(),
                site.now(self.now),
            ));
        }
    }

    /// All timelines, host by host.
    pub(super) fn take_timelines(&mut self) -> String {
        let mut text = String::new();
        for site in &mut self.sites {
            let now = site.now(self.now);
            let Some(Tape {
                mut recorder,
                former,
            }) = site.tape.take()
            else {
                continue;
            };
            if site.is_alive {
                recorder.end(now);
            }
            text += &former;
            text += &recorder.take_lines();
        }
        text
    }
}
