//! `event_command`: one run for each event, one at a time, none of which delays anything. Events wait in
//! a bounded queue.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::children::{Exit, Task, TimeLimit};
use super::commands;
use super::io::Io;
use crate::config::{CommandLine, Config};
use crate::lookout::CommandOutcome;
use crate::status::{Event, Patiences, Severity, Status, Watcher};
use crate::sys::child::Invocation;

#[derive(Default)]
pub(super) struct Notifier {
    watcher: Watcher,
    queue: VecDeque<Event>,
    /// The event whose command runs.
    running: Option<&'static str>,
    /// Events that found the queue full since the last one that did not.
    dropped: u64,
    /// A status was left out, and the next turn looks again.
    pub(super) is_owed: bool,
}

impl Notifier {
    /// Looks for events in a new status, and reports them to the command.
    pub(super) fn follow(&mut self, status: &Status, config: &Config, io: &mut Io) {
        let Some(command) = &config.event_command else {
            return;
        };
        let patience = Patiences {
            polls: config.poll_interval * 2,
            limit: config.failover_lag,
        };
        for event in self.watcher.follow(status, patience, io.now.mono) {
            if passes(&event, &config.event_filter) {
                self.enqueue(event);
            }
        }
        self.start_next(command, io);
    }

    fn enqueue(&mut self, event: Event) {
        if self.queue.len() < MAX_QUEUE {
            self.dropped = 0;
            self.queue.push_back(event);
            return;
        }
        if self.dropped == 0 {
            log::warn!("event_command is too slow: {MAX_QUEUE} events wait, more are dropped");
        }
        self.dropped = self.dropped.saturating_add(1);
    }

    /// The command has ended.
    pub(super) fn finished(&mut self, exit: Exit, config: &Config, io: &mut Io) {
        let event = self.running.take().unwrap_or_default();
        let printed = String::from_utf8_lossy(&exit.printed).into_owned();
        match commands::outcome(exit) {
            CommandOutcome::Exited(0) => log::debug!("event_command ({event}) succeeded"),
            outcome => log::warn!("event_command ({event}) {outcome}: {}", printed.trim_end()),
        }
        if let Some(command) = &config.event_command {
            self.start_next(command, io);
        }
    }

    fn start_next(&mut self, command: &CommandLine, io: &mut Io) {
        while self.running.is_none()
            && let Some(event) = self.queue.pop_front()
        {
            match start(&event, command, io) {
                Ok(()) => self.running = Some(event.event),
                Err(error) => log::warn!("event_command ({}): {error}", event.event),
            }
        }
    }
}

fn start(event: &Event, command: &CommandLine, io: &mut Io) -> std::io::Result<()> {
    let input = serde_json::to_vec(event)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let variables = [
        ("PGLOOKOUT_EVENT", event.event.to_owned()),
        ("PGLOOKOUT_SEVERITY", event.severity.name().to_owned()),
        ("PGLOOKOUT_SENTENCE", event.sentence.replace('\0', "")),
        ("PGLOOKOUT_DAEMON", event.daemon.clone()),
        ("PGLOOKOUT_AT", event.at.clone()),
        ("PGLOOKOUT_SUBJECT", text(&event.subject)),
        ("PGLOOKOUT_PRIMARY", text(&event.primary)),
        ("PGLOOKOUT_OLD_PRIMARY", text(&event.old_primary)),
    ];
    let run = Invocation {
        argv: &command.argv,
        input: Some(&input),
        variables: &variables,
    };
    let limit = TimeLimit::terminate_at(Some(io.now.mono + TIME_LIMIT));
    io.start_program(Task::Notification, &run, limit)?;
    Ok(())
}

/// Without a filter everything does. The name of a severity stands for all events that are as grave.
fn passes(event: &Event, filter: &BTreeSet<String>) -> bool {
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    let as_grave = severities.iter().take_while(|it| **it != event.severity);
    let mut names = as_grave.chain([&event.severity]).map(|it| it.name());
    filter.is_empty() || filter.contains(event.event) || names.any(|it| filter.contains(it))
}

/// Events that wait.
const MAX_QUEUE: usize = 100;
/// How long one run of the command may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_names_events_and_severities() {
        let check = |filter: &[&str], severity, expected| {
            let filter = filter.iter().map(|name| (*name).to_owned()).collect();
            let event = Event {
                event: "node_lost",
                severity,
                at: String::new(),
                daemon: String::new(),
                subject: None,
                primary: None,
                old_primary: None,
                timeline: None,
                lsn: None,
                lasted: None,
                sentence: String::new(),
            };
            assert_eq!(passes(&event, &filter), expected, "{filter:?} {severity:?}");
        };
        check(&[], Severity::Info, true);
        check(&["warning"], Severity::Info, false);
        check(&["warning"], Severity::Warning, true);
        check(&["warning"], Severity::Critical, true);
        check(&["critical"], Severity::Warning, false);
        check(&["critical", "node_lost"], Severity::Warning, true);
        check(&["lag_ok"], Severity::Critical, false);
    }
}
