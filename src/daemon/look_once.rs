//! One look at a cluster, as an observer with this configuration would take it: everything is polled
//! once, as a daemon polls it, and nothing is decided, written or listened to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mio::Events;

use super::datagrams::Syslog;
use super::pages::Served;
use super::shutdown::Shutdown;
use super::{Daemon, READY_PER_TURN, start};
use crate::config::{Config, NodeName};
use crate::failover::Verdict;
use crate::lookout::Event;
use crate::status::Status;
use crate::sys::clock;

/// What one look has seen.
pub struct Seen {
    /// The cluster.
    pub status: Status,
    /// How long a node took to answer, connecting and logging in included.
    pub answered: BTreeMap<NodeName, Duration>,
}

/// Looks for `limit` at most; who has not answered by then is shown as not polled. `scratch`: an empty
/// directory for the files of a daemon. An error: the system gives us no epoll and the like.
pub fn look_once(config: Config, scratch: &Path, limit: Duration) -> Result<Seen, String> {
    let config = Config {
        own_db: None,
        // Not this host's name, which may be that of a node, whose daemon is another.
        host_name: Some("(check)".to_owned()),
        poll_observers_on_warning_only: false,
        failover_command: None,
        over_warning_limit_command: None,
        event_command: None,
        isolated_primary_command: None,
        follow: None,
        maintenance_mode_file: scratch.join("maintenance"),
        alert_dir: scratch.to_owned(),
        state_file: scratch.join("state.json"),
        // Whatever is free, and closed to others.
        http_address: Some("127.0.0.1".to_owned()),
        http_port: 0,
        syslog: None,
        statsd: None,
        flight_recorder: None,
        ..config
    };
    let mut daemon = start::start(scratch, config, Syslog::default())?;
    let until = clock::monotonic() + limit;
    let mut ready = Events::with_capacity(READY_PER_TURN);
    loop {
        daemon
            .turn(&mut ready)
            .map_err(|error| format!("the loop: {error}"))?;
        if daemon.shutdown != Shutdown::NotRequested {
            return Err("interrupted".to_owned());
        }
        // The first decision that waits for nobody.
        let round = daemon.lookout.last_round();
        let is_complete = round.is_some_and(|it| !matches!(it.decision.verdict, Verdict::Wait(_)));
        if is_complete || clock::monotonic() >= until {
            break;
        }
    }
    let seen = seen(&mut daemon);
    daemon.nodes.hang_up(&mut daemon.io);
    // Whoever still writes would leave a file in a directory that is about to be removed.
    daemon.io.events.push(Event::Stopping);
    while daemon.io.children.is_writing() && clock::monotonic() < until + FILES_TIME {
        daemon
            .turn(&mut ready)
            .map_err(|error| format!("the loop: {error}"))?;
    }
    Ok(seen)
}

/// For the files of a daemon to be written.
const FILES_TIME: Duration = Duration::from_secs(1);

fn seen(daemon: &mut Daemon) -> Seen {
    let polls = daemon.beside.counts.nodes.iter();
    let succeeded = polls.filter(|(_, polls)| polls.succeeded.count > 0);
    let first = |total: crate::status::Total| total.time / u32::try_from(total.count).unwrap_or(1);
    let answered = succeeded.map(|(node, polls)| (node.clone(), first(polls.succeeded)));
    let answered = answered.collect();
    let served = Served {
        lookout: &daemon.lookout,
        beside: &daemon.beside,
    };
    let now = daemon.clock.now();
    Seen {
        status: daemon.web.clients.pages.make_status(served, now),
        answered,
    }
}
