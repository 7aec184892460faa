//! What alert files and metrics are called, as the original's users watch for them. Making and
//! sending them is not here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lookout::{Alert, Metric, Trouble};

/// The alert's name in `alert_file_dir`.
pub fn alert_file(alert: Alert) -> &'static str {
    match alert {
        Alert::AuthenticationError => "authentication_error",
        Alert::MultiplePrimaries => "multiple_master_warning",
        Alert::ReplicationDelay => "replication_delay_warning",
        Alert::FailoverHasHappened => "failover_has_happened",
        Alert::FailoverFailed => "failover_failed",
        Alert::CannotFollow => "cannot_follow",
        Alert::FailoverStuck => "failover_stuck",
        Alert::DivergedStandby => "diverged_standby",
        Alert::PrimaryFlapping => "primary_flapping",
        Alert::PrimaryNotWriting => "primary_not_writing",
        Alert::VoteFileUnusable => "vote_file_unusable",
        Alert::VotersDisagree => "voters_disagree",
        Alert::LeaseLost => "lease_lost",
        Alert::FenceFailed => "fence_failed",
        Alert::WatchdogUnusable => "watchdog_unusable",
    }
}

/// The names of all alerts.
pub fn alert_files() -> [&'static str; Alert::ALL.len()] {
    Alert::ALL.map(alert_file)
}

/// One metric as a datagram, `name,tag=value:1|c`, without a line end: one for each is what every
/// receiver takes. `tags` go to all metrics; they come in the reverse of their order, as in the
/// original.
pub fn metric_line(metric: &Metric, tags: &BTreeMap<String, String>) -> String {
    let (name, value, own) = match metric {
        Metric::ReplicationLag(lag) => ("pg.replication_lag", format!("{}|g", seconds(*lag)), None),
        Metric::HealthTimeout => ("cluster_monitor_health_timeout", COUNTED.to_owned(), None),
        Metric::DisconnectIgnored => (
            "failover_decision_on_disconnect_not_taken",
            COUNTED.to_owned(),
            None,
        ),
        Metric::Trouble { trouble, about } => {
            ("exception", COUNTED.to_owned(), Some((*trouble, *about)))
        }
    };
    let own = own.map(|(trouble, about)| [("exception", kind(trouble)), ("where", about)]);
    let own = own.as_ref().map(<[_; 2]>::as_slice).unwrap_or_default();
    let general = tags
        .iter()
        .map(|(tag, value)| (tag.as_str(), value.as_str()));
    let general = general.filter(|(tag, _)| own.iter().all(|(own, _)| own != tag));
    let mut line = name.to_owned();
    for (tag, value) in own
        .iter()
        .copied()
        .rev()
        .chain(general.rev())
        .filter(|(tag, _)| !tag.is_empty())
    {
        line.extend([",", &cleansed(tag), "=", &cleansed(value)]);
    }
    line + ":" + &value
}

const COUNTED: &str = "1|c";

/// The value of the tag `exception`.
fn kind(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::CommandNotStarted => "command_not_started",
        Trouble::CommandFailed => "command_failed",
        Trouble::CannotFollow => "cannot_follow",
        Trouble::File => "file",
        Trouble::Configuration => "configuration",
        Trouble::Listen => "listen",
    }
}

/// Neither Telegraf nor statsd knows an escape: what would end the tag, the metric or the line
/// becomes `_`.
fn cleansed(text: &str) -> String {
    let is_kept = |c: char| {
        !matches!(c, ',' | '=' | ':' | '|' | '#' | '@') && !c.is_whitespace() && !c.is_control()
    };
    text.chars()
        .map(|c| if is_kept(c) { c } else { '_' })
        .collect()
}

/// Never with an exponent, and always with a fraction, as the original's.
fn seconds(time: Duration) -> String {
    let text = time.as_secs_f64().to_string();
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metric: &Metric, tags: &[(&str, &str)], expected: &str) {
        let tags = tags
            .iter()
            .map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(metric_line(metric, &tags), expected);
    }

    fn lag(seconds: f64) -> Metric {
        Metric::ReplicationLag(Duration::from_secs_f64(seconds))
    }

    /// The original's datagrams, as far as its metrics are ours.
    #[test]
    fn datagrams_are_the_originals() {
        for (seconds, expected) in [
            (0.0, "pg.replication_lag:0.0|g"),
            (0.5, "pg.replication_lag:0.5|g"),
            (1_234_567.891, "pg.replication_lag:1234567.891|g"),
            (0.0001, "pg.replication_lag:0.0001|g"),
            (400.435_871, "pg.replication_lag:400.435871|g"),
            (151_200.0, "pg.replication_lag:151200.0|g"),
        ] {
            check(&lag(seconds), &[], expected);
        }
        check(
            &Metric::HealthTimeout,
            &[],
            "cluster_monitor_health_timeout:1|c",
        );
        check(
            &Metric::DisconnectIgnored,
            &[],
            "failover_decision_on_disconnect_not_taken:1|c",
        );
        check(
            &lag(1.5),
            &[("app", "pglookout")],
            "pg.replication_lag,app=pglookout:1.5|g",
        );
        check(
            &lag(1.0),
            &[("a", "1"), ("b", "2")],
            "pg.replication_lag,b=2,a=1:1.0|g",
        );
        check(&lag(1.0), &[("k", "å")], "pg.replication_lag,k=å:1.0|g");
        let trouble = Metric::Trouble {
            trouble: Trouble::File,
            about: "json_state_file_path",
        };
        check(
            &trouble,
            &[],
            "exception,where=json_state_file_path,exception=file:1|c",
        );
        check(
            &trouble,
            &[("env", "x")],
            "exception,where=json_state_file_path,exception=file,env=x:1|c",
        );
    }

    #[test]
    fn a_metric_knows_its_own_tags_best() {
        let trouble = Metric::Trouble {
            trouble: Trouble::Listen,
            about: "http_port",
        };
        check(
            &trouble,
            &[("where", "x")],
            "exception,where=http_port,exception=listen:1|c",
        );
    }

    #[test]
    fn no_tag_forges_another_tag_or_metric() {
        check(
            &lag(0.00001),
            &[("k", "a,b=c:d|e f")],
            "pg.replication_lag,k=a_b_c_d_e_f:0.00001|g",
        );
        check(
            &lag(0.0),
            &[("a\nb:1|c", "x\n\u{85}\0|#t:1|@0.1")],
            "pg.replication_lag,a_b_1_c=x_____t_1__0.1:0.0|g",
        );
        check(&lag(0.0), &[("", "x")], "pg.replication_lag:0.0|g");
    }
}
