//! How a session is named on the server, and whom it sees there: the sessions of all daemons of its
//! role, by their names (behaviour.md, "Presence").
//!
//! A pooler may run each of our queries in another of its sessions, and whatever is set there stays
//! for whoever gets it next. So everything is set on one condition: the server process that answers
//! is the one that has introduced itself at login. No pooler passes that on.

use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::message::backend::DataRowBody;

use super::error::declined;
use super::row::{columns, parsed, text};
use crate::cluster::{Presence, ProbeFailure};

/// What the name of our session is, and what has become of it.
#[derive(Debug)]
pub(super) struct Naming {
    is_chosen: bool,
    is_remote: bool,
    /// The server process that has introduced itself at login.
    backend: Option<i32>,
    /// What was set last: everything but the name.
    is_set: bool,
    /// The name that was set last.
    name: Option<Arc<str>>,
    /// Between us and the server is somebody who does not show us there.
    is_hidden: bool,
}

impl Naming {
    /// `is_chosen`: the operator has named the session. `is_remote`: there is a network between us
    /// and the server.
    pub(super) fn new(is_chosen: bool, is_remote: bool) -> Self {
        Self {
            is_chosen,
            is_remote,
            backend: None,
            is_set: false,
            name: None,
            is_hidden: false,
        }
    }

    /// The server process has introduced itself.
    pub(super) fn logged_in(&mut self, backend: Option<i32>) {
        self.backend = backend;
    }

    /// Is it of use to look for sessions.
    pub(super) fn is_shown(&self) -> bool {
        !self.is_chosen && !self.is_hidden && self.backend.is_some()
    }

    /// The query that sets what is to be set, under which the session is called `name`. It has one
    /// row if it was set.
    ///
    /// A client that is gone without a word is to be noticed by the server within seconds: its name
    /// must not outlive it.
    pub(super) fn setup(&self, name: &Arc<str>) -> Option<String> {
        let backend = self.backend.filter(|_| !self.is_hidden)?;
        let mut settings = Vec::new();
        if !self.is_chosen && self.name.as_ref() != Some(name) {
            settings.push(("application_name", name.as_ref()));
        }
        if self.is_remote && !self.is_set {
            settings.extend(KEEPALIVES);
        }
        if settings.is_empty() {
            return None;
        }
        let set = |(name, value): (&str, &str)| {
            format!("pg_catalog.set_config('{name}', {}, false)", literal(value))
        };
        let set: Vec<_> = settings.into_iter().map(set).collect();
        Some(format!(
            "SELECT {} WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {backend}",
            set.join(", ")
        ))
    }

    /// [`setup`](Self::setup) has ended without an error.
    pub(super) fn set(&mut self, name: &Arc<str>, was_set: bool) {
        self.is_set = true;
        self.is_hidden |= !was_set;
        self.name = Some(Arc::clone(name)).filter(|_| was_set);
    }

    /// The daemons among these sessions; `None` if ours is not there as `name`.
    pub(super) fn daemons(
        &mut self,
        name: &Arc<str>,
        mut sessions: Sessions,
    ) -> Option<Vec<Presence>> {
        let is_seen = sessions.own.as_deref() == Some(name.as_ref());
        // Named, and not to be found: it does not become better.
        self.is_hidden |= !is_seen && self.name.as_ref() == Some(name);
        // Most servers show one, and are as many as there are nodes.
        sessions.daemons.shrink_to_fit();
        is_seen.then_some(sessions.daemons)
    }
}

/// The sessions that one answer shows.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    own: Option<String>,
    daemons: Vec<Presence>,
    rows: usize,
}

impl Sessions {
    /// Takes one row of [`SESSIONS`].
    pub(super) fn take(&mut self, row: &DataRowBody) -> Result<(), ProbeFailure> {
        let [is_own, name, age] = columns(row)?;
        self.rows = self.rows.saturating_add(1);
        if self.rows > MAX_SESSIONS {
            return Err(declined(format!("more than {MAX_SESSIONS} sessions")));
        }
        // Without a name or an age: nobody's whom we may see.
        let (Some(name), Some(age)) = (text(name), parsed::<u64>("age", age, "microseconds")?)
        else {
            return Ok(());
        };
        let presence = Presence::of_session(&name, Duration::from_micros(age));
        self.daemons.extend(presence);
        if is_own == Some(b"t") {
            self.own = Some(name);
        }
        Ok(())
    }
}

/// Text as a constant, whatever `standard_conforming_strings` and `backslash_quote` are.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// The sessions of our role that are named as daemons name theirs, ours first: is it ours, the
/// name, and how long ago it began or ended a query, in microseconds. Of the function below
/// `pg_stat_activity`, which needs no table that may be locked.
pub(super) const SESSIONS: &str = "SELECT \
    session.pid OPERATOR(pg_catalog.=) own.pid, session.application_name, \
    (pg_catalog.date_part('epoch', GREATEST(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change, \
    '0'::pg_catalog.interval)) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 \
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own, \
    pg_catalog.pg_stat_get_activity(NULL) AS session \
    WHERE session.usesysid OPERATOR(pg_catalog.=) own.usesysid \
    AND pg_catalog.left(session.application_name, 10) OPERATOR(pg_catalog.=) 'pglookout:' \
    ORDER BY session.pid OPERATOR(pg_catalog.<>) own.pid, session.state_change DESC NULLS LAST LIMIT 1000";

/// Rows of [`SESSIONS`].
const MAX_SESSIONS: usize = 1_000;

/// Seconds of silence before the server's first probe, seconds between two, and how many may be lost.
const KEEPALIVES: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::DaemonState;
    use crate::pg::wire;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn logged_in(is_chosen: bool, is_remote: bool) -> Naming {
        let mut naming = Naming::new(is_chosen, is_remote);
        assert_eq!(naming.setup(&name("a")), None);
        naming.logged_in(Some(7));
        naming
    }

    fn sessions(rows: &[[Option<&str>; 3]]) -> Sessions {
        let mut sessions = Sessions::default();
        for row in rows {
            sessions.take(&wire::row_body(row)).unwrap();
        }
        sessions
    }

    #[test]
    fn a_name_is_set_whenever_it_changes_and_by_this_backend_only() {
        let mut naming = logged_in(false, false);
        let condition = "WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) 7";
        let query = naming.setup(&name(r"it's\")).unwrap();
        assert_eq!(
            query,
            format!(
                r"SELECT pg_catalog.set_config('application_name', E'it''s\\', false) {condition}"
            )
        );
        naming.set(&name("a"), true);
        assert_eq!(naming.setup(&name("a")), None);
        assert!(naming.setup(&name("b")).is_some());
    }

    #[test]
    fn keepalives_are_set_once_and_over_networks_only() {
        let keepalives =
            |query: Option<String>| query.is_some_and(|q| q.contains("tcp_keepalives_count"));
        let mut naming = logged_in(false, true);
        assert!(keepalives(naming.setup(&name("a"))));
        naming.set(&name("a"), true);
        assert!(!keepalives(naming.setup(&name("b"))));
        let mut naming = logged_in(true, true);
        let query = naming.setup(&name("a")).unwrap();
        assert!(
            !query.contains("application_name")
                && query.contains("'tcp_keepalives_idle', E'5', false")
        );
        naming.set(&name("a"), true);
        assert_eq!(naming.setup(&name("b")), None);
        assert_eq!(logged_in(true, false).setup(&name("a")), None);
    }

    #[test]
    fn behind_a_pooler_nothing_is_set_again() {
        let mut naming = logged_in(false, true);
        assert!(naming.is_shown());
        naming.set(&name("a"), false);
        assert!(!naming.is_shown());
        assert_eq!(naming.setup(&name("b")), None);
        // Set, and yet not shown.
        let mut naming = logged_in(false, true);
        naming.set(&name("a"), true);
        assert_eq!(naming.daemons(&name("a"), Sessions::default()), None);
        assert!(!naming.is_shown() && naming.setup(&name("b")).is_none());
        // An operator's name, and nobody who has introduced himself.
        assert!(!logged_in(true, true).is_shown());
        assert!(!Naming::new(false, true).is_shown());
    }

    #[test]
    fn daemons_are_shown_where_ours_is_under_its_newest_name() {
        let mut naming = logged_in(false, true);
        naming.set(&name("pglookout:s1:ok:0a"), true);
        let rows = [
            [Some("t"), Some("pglookout:s1:ok:0a"), Some("12")],
            [
                Some("f"),
                Some("pglookout:s2:promoting:0a"),
                Some("2500000"),
            ],
            [Some("f"), Some("pglookout:s3:asleep:0a"), Some("1")],
            [Some("f"), Some("pglookout:s4:ok:0a"), None],
            [Some("f"), None, Some("1")],
        ];
        let daemons = naming
            .daemons(&name("pglookout:s1:ok:0a"), sessions(&rows))
            .unwrap();
        let shown: Vec<_> = daemons
            .iter()
            .map(|daemon| (daemon.daemon.as_str(), daemon.state, daemon.age.as_micros()))
            .collect();
        assert_eq!(
            shown,
            [
                ("s1", DaemonState::Ok, 12),
                ("s2", DaemonState::Promoting, 2_500_000)
            ]
        );
        // A new name that could not be set: ours is there under the old one, and may be set again.
        let wanted = name("pglookout:s1:promoting:0a");
        assert_eq!(naming.daemons(&wanted, sessions(&rows)), None);
        assert!(naming.is_shown() && naming.setup(&wanted).is_some());
        // Somebody else's of the same name is not ours.
        let other = [[Some("f"), Some("pglookout:s1:ok:0a"), Some("12")]];
        assert_eq!(
            naming.daemons(&name("pglookout:s1:ok:0a"), sessions(&other)),
            None
        );
    }

    #[test]
    fn rows_of_sessions_have_a_limit_and_a_form() {
        let mut sessions = Sessions::default();
        let row = wire::row_body(&[Some("f"), Some("pglookout:s1:ok:0a"), Some("1")]);
        for _ in 0..MAX_SESSIONS {
            sessions.take(&row).unwrap();
        }
        let failure = sessions.take(&row).unwrap_err().to_string();
        assert!(failure.contains("more than 1000 sessions"), "{failure}");
        let odd = wire::row_body(&[Some("f"), Some("pglookout:s1:ok:0a"), Some("-1")]);
        assert!(Sessions::default().take(&odd).is_err());
    }
}
