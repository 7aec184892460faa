//! What the alert files are called. Their content and their making are not here.

use crate::lookout::Alert;

/// The alert's name in `alert_file_dir`, as the original's users watch for it.
pub fn file_name(alert: Alert) -> &'static str {
    match alert {
        Alert::AuthenticationError => "authentication_error",
        Alert::MultiplePrimaries => "multiple_master_warning",
        Alert::ReplicationDelay => "replication_delay_warning",
        Alert::FailoverHasHappened => "failover_has_happened",
        Alert::FailoverFailed => "failover_failed",
        Alert::CannotFollow => "cannot_follow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_originals() {
        assert_eq!(
            file_name(Alert::MultiplePrimaries),
            "multiple_master_warning"
        );
        assert_eq!(
            file_name(Alert::ReplicationDelay),
            "replication_delay_warning"
        );
    }
}
