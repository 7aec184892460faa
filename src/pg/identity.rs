//! Which server it is, and of which history its data are (behaviour.md, "Identity").

use postgres_protocol::message::backend::DataRowBody;

use super::row::{columns, parsed, text, time, unexpected};
use crate::cluster::{Identity, ProbeFailure, ServerFacts};

/// How the identity is asked for. The right to execute a function is checked when a query begins,
/// also for a branch that is never taken, so each way is a query of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentityFunctions {
    /// With the functions that read the control file.
    All,
    /// Without these.
    WithoutControl,
}

impl IdentityFunctions {
    /// One row, see [`identity_row`].
    pub(super) fn query(self) -> &'static str {
        match self {
            Self::All => identity!(
                "(SELECT system_identifier FROM pg_catalog.pg_control_system())",
                "(SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())",
                "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())"
            ),
            Self::WithoutControl => identity!("NULL", "NULL", "NULL"),
        }
    }
}

/// The answer to [`IdentityFunctions::query`].
///
/// A standby's timeline is that of the WAL that it needs to be consistent. The walreceiver of one
/// that streams may have come further already, and nobody goes back.
pub(super) fn identity_row(row: &DataRowBody) -> Result<Identity, ProbeFailure> {
    let [
        system,
        started,
        wal_file,
        needed,
        checkpoint,
        received,
        version,
        rewind,
        sender,
    ] = columns(row)?;
    let timeline = |column, value| parsed::<u32>(column, value, "a timeline");
    let needed = timeline("min_recovery_end_timeline", needed)?.filter(|timeline| *timeline > 0);
    let checkpoint = timeline("timeline_id", checkpoint)?;
    let received = timeline("received_tli", received)?;
    let written = match wal_file {
        Some(name) => Some(
            timeline_of(name)
                .ok_or_else(|| unexpected("pg_walfile_name()", wal_file, "a WAL file"))?,
        ),
        None => None,
    };
    Ok(Identity {
        system: text(system),
        started: time("pg_postmaster_start_time()", started)?,
        timeline: written.or(needed.or(checkpoint).max(received)),
        shown: ServerFacts {
            version: text(version),
            can_be_rewound: rewind.map(|value| value == b"1"),
            // PostgreSQL 10 knows no sender.
            upstream: text(sender).filter(|sender| sender != ":"),
        },
    })
}

/// The first of the three numbers of a WAL file's name.
fn timeline_of(file: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(file.get(..8)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

macro_rules! identity {
    ($system:literal, $needed:literal, $checkpoint:literal) => {
        concat!(
            "SELECT ",
            $system,
            ", (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) \
            OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, \
            CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL \
            ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END, ",
            $needed,
            ", ",
            $checkpoint,
            ", (SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver() \
            WHERE status OPERATOR(pg_catalog.=) 'streaming'), \
            pg_catalog.current_setting('server_version'), \
            CASE WHEN 'on' OPERATOR(pg_catalog.=) ANY (ARRAY[pg_catalog.current_setting('wal_log_hints'), \
            pg_catalog.current_setting('data_checksums')]) THEN 1 ELSE 0 END, \
            (SELECT pg_catalog.concat(pg_catalog.row_to_json(w) OPERATOR(pg_catalog.->>) 'sender_host', ':', \
            pg_catalog.row_to_json(w) OPERATOR(pg_catalog.->>) 'sender_port') \
            FROM pg_catalog.pg_stat_get_wal_receiver() w WHERE w.status OPERATOR(pg_catalog.=) 'streaming')"
        )
    };
}
use identity;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::wire;
    use crate::time::WallTime;

    const STARTED: Option<&str> = Some("1714486400000001");

    fn with_shown(row: [Option<&str>; 6]) -> [Option<&str>; 9] {
        let [system, started, file, needed, checkpoint, received] = row;
        let shown = [Some("15.4"), Some("1"), Some(":")];
        let [version, rewind, sender] = shown;
        [
            system, started, file, needed, checkpoint, received, version, rewind, sender,
        ]
    }

    #[track_caller]
    fn check_timeline(values: [Option<&str>; 4], expected: Option<u32>) {
        let [wal_file, needed, checkpoint, received] = values;
        let row = with_shown([Some("73"), STARTED, wal_file, needed, checkpoint, received]);
        let identity = identity_row(&wire::row_body(&row)).unwrap();
        assert_eq!(identity.timeline, expected, "{values:?}");
    }

    #[test]
    fn a_timeline_is_found_wherever_it_stands() {
        let file = Some("0000001A0000000000000005");
        check_timeline([file, Some("0"), Some("25"), None], Some(26));
        check_timeline([None, Some("3"), Some("2"), None], Some(3));
        check_timeline([None, Some("0"), Some("2"), None], Some(2));
        check_timeline([None, Some("3"), Some("2"), Some("4")], Some(4));
        check_timeline([None, Some("3"), Some("2"), Some("2")], Some(3));
        check_timeline([None, None, None, Some("4")], Some(4));
        check_timeline([None, None, None, None], None);
    }

    #[test]
    fn what_may_not_be_read_is_absent() {
        let row = wire::row_body(&with_shown([None, STARTED, None, None, None, None]));
        let expected = Identity {
            system: None,
            started: Some(WallTime::from_unix_micros(1_714_486_400_000_001)),
            timeline: None,
            shown: ServerFacts {
                version: Some("15.4".to_owned()),
                can_be_rewound: Some(true),
                upstream: None,
            },
        };
        assert_eq!(identity_row(&row), Ok(expected));
    }

    #[test]
    fn nonsense_is_named() {
        for (row, expected) in [
            (
                [None, None, Some("0000001"), None, None, None],
                "pg_walfile_name() is",
            ),
            (
                [None, None, Some("0000001x00"), None, None, None],
                "expected a WAL file",
            ),
            (
                [None, None, None, Some("-1"), None, None],
                "min_recovery_end_timeline is \"-1\"",
            ),
            (
                [None, Some("soon"), None, None, None, None],
                "pg_postmaster_start_time() is",
            ),
        ] {
            let failure = identity_row(&wire::row_body(&with_shown(row)))
                .unwrap_err()
                .to_string();
            assert!(failure.contains(expected), "{failure} / {expected}");
        }
    }
}
