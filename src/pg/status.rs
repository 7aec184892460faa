//! The questions of a poll and their rows, for PostgreSQL 10 and later.
//!
//! Every function, type and operator is qualified, so that nobody who may create objects in a
//! schema of our search path can answer in their place. Rows come as text, the only form that
//! simple queries have.

use postgres_protocol::message::backend::DataRowBody;

use super::row::{Value, columns, parsed, text, time, unexpected};
use crate::cluster::{Identity, Lsn, NodeReport, ProbeFailure, ReplicationSlot, RoleReport};

/// Who the server is and how far it has come: one row, see [`status_row`].
///
/// Times are microseconds since the Unix epoch. date_part gives a double in every version; seconds
/// with six digits survive it, as half a unit in the last place of both the quotient and the
/// product is less than half a microsecond together until 2106, and the cast rounds to the nearest.
pub(super) const STATUS: &str = "SELECT \
    (pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, \
    pg_catalog.pg_is_in_recovery(), \
    (pg_catalog.date_part('epoch', pg_catalog.pg_last_xact_replay_timestamp()) \
    OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, \
    pg_catalog.pg_last_wal_receive_lsn(), \
    pg_catalog.pg_last_wal_replay_lsn(), \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_lsn() END";

/// The heartbeat: a transaction of its own on a primary, so that standbys have something to replay.
///
/// synchronous_commit is turned off for this transaction, not for the session: a poller must not
/// wait for a dead synchronous standby, and behind a transaction pool a `SET` would be gone at the
/// next poll and would instead make somebody else's commits asynchronous.
pub(super) const HEARTBEAT: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'off', true), \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.txid_current() END";

/// How the state files of replication slots are asked for. The right to execute a function is
/// checked when a query begins, also for a branch that is never taken, so each way is a query of
/// its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateFiles {
    /// With a limit, and without an error when the slot was dropped meanwhile.
    Tolerant,
    /// By the one-argument function, the one that operators have granted for the original.
    Plain,
    /// Not at all.
    Unread,
}

impl StateFiles {
    /// The next way, with fewer privileges; `None`: there is none.
    pub(super) fn fallback(self) -> Option<Self> {
        match self {
            Self::Tolerant => Some(Self::Plain),
            Self::Plain => Some(Self::Unread),
            Self::Unread => None,
        }
    }

    /// Logical, non-temporary slots of a primary, one row each, see [`slot_row`]. A standby's
    /// (PostgreSQL 16) are not asked for.
    pub(super) fn query(self) -> &'static str {
        match self {
            Self::Tolerant => slots!(
                "pg_catalog.encode(pg_catalog.pg_read_binary_file(\
                pg_catalog.concat('pg_replslot/', slot_name, '/state'), 0, 65536, true), 'base64')"
            ),
            Self::Plain => slots!(
                "pg_catalog.encode(pg_catalog.pg_read_binary_file(\
                pg_catalog.concat('pg_replslot/', slot_name, '/state')), 'base64')"
            ),
            Self::Unread => slots!("NULL"),
        }
    }
}

/// The answer to [`STATUS`]; a primary's slots are still missing.
pub(super) fn status_row(row: &DataRowBody) -> Result<NodeReport, ProbeFailure> {
    let [now, recovery, last_replay, receive, replay, current] = columns(row)?;
    let db_time = time("now()", now)?.ok_or_else(|| unexpected("now()", None, "a time"))?;
    let role = match recovery {
        Some(b"t") => RoleReport::Standby {
            receive: lsn("pg_last_wal_receive_lsn()", receive)?,
            replay: lsn("pg_last_wal_replay_lsn()", replay)?,
            last_replay: time("pg_last_xact_replay_timestamp()", last_replay)?,
        },
        Some(b"f") => RoleReport::Primary {
            lsn: lsn("pg_current_wal_lsn()", current)?,
            slots: Vec::new(),
        },
        other => return Err(unexpected("pg_is_in_recovery()", other, "t or f")),
    };
    Ok(NodeReport {
        db_time,
        role,
        identity: Identity::default(),
        daemons: None,
    })
}

/// One row of [`StateFiles::query`]. Names may hold bytes that are no UTF-8 (an SQL_ASCII
/// database): replaced, as they are shown only.
pub(super) fn slot_row(row: &DataRowBody) -> Result<ReplicationSlot, ProbeFailure> {
    let [
        name,
        plugin,
        slot_type,
        database,
        catalog_xmin,
        restart_lsn,
        confirmed_flush_lsn,
        state_data,
    ] = columns(row)?;
    let required = |column, value| text(value).ok_or_else(|| unexpected(column, None, "a name"));
    Ok(ReplicationSlot {
        name: required("slot_name", name)?,
        plugin: required("plugin", plugin)?,
        slot_type: required("slot_type", slot_type)?,
        database: text(database),
        catalog_xmin: text(catalog_xmin),
        restart_lsn: text(restart_lsn),
        confirmed_flush_lsn: text(confirmed_flush_lsn),
        state_data: text(state_data),
    })
}

macro_rules! slots {
    ($state:literal) => {
        concat!(
            "SELECT slot_name, plugin, slot_type, database, catalog_xmin, restart_lsn, confirmed_flush_lsn, ",
            $state,
            " FROM pg_catalog.pg_replication_slots WHERE NOT pg_catalog.pg_is_in_recovery() \
            AND slot_type OPERATOR(pg_catalog.=) 'logical' AND NOT temporary"
        )
    };
}
use slots;

fn lsn(column: &str, value: Value<'_>) -> Result<Option<Lsn>, ProbeFailure> {
    parsed(column, value, "an LSN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::wire::row_body as body;
    use crate::time::WallTime;

    #[track_caller]
    fn wrong(values: &[Option<&str>], expected: &str) {
        let failure = status_row(&body(values)).unwrap_err();
        let is_declined = !expected.starts_with("a row of");
        assert_eq!(failure.is_living_refusal(), is_declined, "{failure}");
        assert!(
            failure.to_string().ends_with(&format!(": {expected}")),
            "{failure}"
        );
    }

    #[test]
    fn a_standby_reports_what_it_has_received_and_replayed() {
        let row = body(&[
            Some("1714486462789012"),
            Some("t"),
            Some("1714486461000000"),
            Some("0/5000060"),
            Some("16/B374D848"),
            None,
        ]);
        let role = RoleReport::Standby {
            receive: Some(Lsn::from_bytes(83_886_176)),
            replay: Some(Lsn::from_bytes(97_500_059_720)),
            last_replay: Some(WallTime::from_unix_micros(1_714_486_461_000_000)),
        };
        let db_time = WallTime::from_unix_micros(1_714_486_462_789_012);
        assert_eq!(
            status_row(&row),
            Ok(NodeReport {
                db_time,
                role,
                identity: Identity::default(),
                daemons: None,
            })
        );
    }

    #[test]
    fn a_promoted_primary_no_longer_reports_what_it_received() {
        let row = body(&[
            Some("1"),
            Some("f"),
            Some("x"),
            Some("0/1"),
            Some("0/2"),
            Some("0/3"),
        ]);
        let role = RoleReport::Primary {
            lsn: Some(Lsn::from_bytes(3)),
            slots: Vec::new(),
        };
        assert_eq!(
            status_row(&row),
            Ok(NodeReport {
                db_time: WallTime::from_unix_micros(1),
                role,
                identity: Identity::default(),
                daemons: None,
            })
        );
    }

    #[test]
    fn nonsense_names_column_value_and_expectation() {
        let years = "expected microseconds between the years 1970 and 9999";
        let now = |value| [value, Some("t"), None, None, None, None];
        wrong(&now(None), "now() is null, expected a time");
        wrong(&now(Some("")), &format!("now() is \"\", {years}"));
        wrong(&now(Some("-1")), &format!("now() is \"-1\", {years}"));
        wrong(&now(Some("1e3")), &format!("now() is \"1e3\", {years}"));
        wrong(
            &now(Some("253402300800000000")),
            &format!("now() is \"253402300800000000\", {years}"),
        );
        wrong(
            &now(Some("99999999999999999999")),
            &format!("now() is \"99999999999999999999\", {years}"),
        );
        assert!(status_row(&body(&now(Some("253402300799999999")))).is_ok());
        wrong(
            &[Some("1"), None, None, None, None, None],
            "pg_is_in_recovery() is null, expected t or f",
        );
        wrong(
            &[Some("1"), Some("T\n"), None, None, None, None],
            "pg_is_in_recovery() is \"T\\n\", expected t or f",
        );
        let replay = [Some("1"), Some("t"), None, None, Some("5/"), None];
        wrong(
            &replay,
            "pg_last_wal_replay_lsn() is \"5/\", expected an LSN",
        );
        wrong(&[None; 5], "a row of 5 columns, expected 6");
        wrong(&[None; 7], "a row of 7 columns, expected 6");
        wrong(&[], "a row of 0 columns, expected 6");
    }

    #[test]
    fn a_slot_needs_its_names_only() {
        let mut values = [
            Some("s"),
            Some("test_decoding"),
            Some("logical"),
            None,
            None,
            None,
            None,
            None,
        ];
        let slot = slot_row(&body(&values)).unwrap();
        assert_eq!(
            (slot.name.as_str(), slot.plugin.as_str(), slot.state_data),
            ("s", "test_decoding", None)
        );
        values[0] = None;
        assert!(
            slot_row(&body(&values))
                .unwrap_err()
                .to_string()
                .contains("slot_name is null, expected a name")
        );
    }
}
