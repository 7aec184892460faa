//! `event_filter`: which events `event_command` is run for.

use std::collections::BTreeSet;

use super::problem::{hint, shown_text};
use super::reader::Reader;

/// Every name that `event_filter` may contain: of severities and of events.
pub const EVENT_NAMES: [&str; 36] = [
    "info",
    "warning",
    "critical",
    "primary_lost",
    "primary_back",
    "primary_changed",
    "split_brain",
    "split_brain_over",
    "failover_started",
    "failover_done",
    "failover_failed",
    "failover_failed_over",
    "failover_blocked",
    "failover_possible",
    "node_lost",
    "node_back",
    "standby_diverged",
    "standby_in_order",
    "wrong_upstream",
    "upstream_in_order",
    "lag_warning",
    "lag_ok",
    "peer_lost",
    "peer_back",
    "maintenance_on",
    "maintenance_off",
    "paused",
    "resumed",
    "observer_lost",
    "observer_back",
    "auth_error",
    "auth_ok",
    "alert_raised",
    "alert_cleared",
    "warning_on",
    "warning_off",
];

pub(super) fn read_event_filter(reader: &mut Reader<'_>) -> BTreeSet<String> {
    const KEY: &str = "event_filter";
    let names: BTreeSet<String> = reader.names(KEY).into_iter().map(str::to_owned).collect();
    for name in &names {
        if !EVENT_NAMES.contains(&name.as_str()) {
            let hint = hint(name, EVENT_NAMES.into_iter());
            let message = format!("expected names of events or severities{hint}");
            reader.findings.error(KEY, Some(shown_text(name)), message);
        }
    }
    names
}
