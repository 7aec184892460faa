//! What is written with names and texts from outside in it: metrics, log lines, requests.

use std::time::Duration;

use bytes::BytesMut;
use pglookout::format::metric_line;
use pglookout::http::{write_get, write_request};
use pglookout::lookout::{Metric, Trouble};
use pglookout::sys::text::escape_controls;

/// The first line as one text, the second as another.
pub(super) fn lines(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    let escaped = escape_controls(&text);
    super::on_one_line(&escaped);
    assert_eq!(escape_controls(&escaped), escaped);

    let tags = [
        (first.to_owned(), second.to_owned()),
        ("env".to_owned(), first.to_owned()),
    ]
    .into();
    let trouble = Metric::Trouble {
        trouble: Trouble::File,
        about: "state",
    };
    for metric in [
        Metric::ReplicationLag(Duration::from_secs(1)),
        Metric::HealthTimeout,
        trouble,
    ] {
        let line = metric_line(&metric, &tags);
        let count = |mark: char| line.matches(mark).count();
        assert!(
            (count(':'), count('|')) == (1, 1) && count(',') == count('='),
            "{line:?}"
        );
        assert!(
            !line.contains(char::is_whitespace) && !line.contains(char::is_control),
            "{line:?}"
        );
    }

    let mut requests = [BytesMut::new(), BytesMut::new()];
    write_request(first, Some(1), second, &mut requests[0]);
    write_get(first, None, second, &mut requests[1]);
    for request in requests {
        let head = String::from_utf8_lossy(&request);
        let lines: Vec<&str> = head.split("\r\n").collect();
        let is_one_head = lines.len() == 7 && lines.ends_with(&["", ""]);
        assert!(
            is_one_head && !lines.concat().contains(char::is_control),
            "{head:?}"
        );
        assert_eq!(lines[0].split(' ').count(), 3, "{head:?}");
    }
}
