//! The server's answers as bytes.

use bytes::{Bytes, BytesMut};

use super::date;
use super::head::{MAC_FIELD, mac_text};
use super::request::{Refusal, Reply};
use crate::time::WallTime;

/// What is answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: &'static str,
    /// Media type and body.
    content: Option<(&'static str, Bytes)>,
    allow: Option<&'static str>,
    /// `Content-Security-Policy`, of a document.
    policy: Option<&'static str>,
    /// One more field: name and value.
    field: Option<(&'static str, String)>,
}

impl Answer {
    /// 200 with a JSON body, shared with whoever else is given it.
    pub fn json(body: Bytes) -> Self {
        Self {
            status: "200 OK",
            content: Some(("application/json", body)),
            allow: None,
            policy: None,
            field: None,
        }
    }

    /// 200 with the answer to a request for a vote, and its authentication code.
    pub fn vote(body: Vec<u8>, mac: &[u8; 32]) -> Self {
        Self {
            field: Some((MAC_FIELD, mac_text(mac))),
            ..Self::json(body.into())
        }
    }

    /// 401: a request for a vote whose authentication code is not of its body and our secret.
    pub fn unauthorized() -> Self {
        Self {
            field: Some(("WWW-Authenticate", MAC_FIELD.to_owned())),
            ..Self::sentence("401 Unauthorized")
        }
    }

    /// 200 with metrics in the text format of Prometheus.
    pub fn metrics(body: Bytes) -> Self {
        Self {
            content: Some(("text/plain; version=0.0.4; charset=utf-8", body)),
            ..Self::json(Bytes::new())
        }
    }

    /// 200 with a document, which may do what the policy allows.
    pub fn document(body: Bytes, policy: &'static str) -> Self {
        Self {
            content: Some(("text/html; charset=utf-8", body)),
            policy: Some(policy),
            ..Self::json(Bytes::new())
        }
    }

    /// 200 or 503 with a JSON body, which may be empty.
    pub fn health(is_fit: bool, body: Bytes) -> Self {
        Self {
            status: if is_fit {
                "200 OK"
            } else {
                "503 Service Unavailable"
            },
            ..Self::json(body)
        }
    }

    /// 400, to a request that was understood but for its parameters.
    pub fn bad_parameters() -> Self {
        Self::sentence("400 Bad Request")
    }

    /// 204: done, no content.
    pub fn no_content() -> Self {
        Self {
            status: "204 No Content",
            content: None,
            allow: None,
            policy: None,
            field: None,
        }
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::sentence("404 Not Found")
    }

    /// 405, with the methods that there are.
    pub fn not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::sentence("405 Method Not Allowed")
        }
    }

    /// What a refused request is answered; goes with [`Reply::CLOSE`].
    pub fn refused(refusal: Refusal) -> Self {
        Self::sentence(refusal.status())
    }

    /// Appends the head to `output` and returns the body that has to follow it: empty after a
    /// `HEAD` request, which gets the length all the same (RFC 9110, section 9.3.2). `now`
    /// becomes the `Date`.
    pub fn write(self, reply: Reply, now: WallTime, output: &mut BytesMut) -> Bytes {
        let connection = if reply.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let (status, date) = (self.status, date::format(now));
        let mut head = format!(
            "HTTP/1.1 {status}\r\nServer: pglookout/{VERSION}\r\nDate: {date}\r\n{}: {}\r\nConnection: {connection}\r\n",
            date::MICROS_FIELD,
            date::micros(now),
        );
        if let Some(allow) = self.allow {
            head += &format!("Allow: {allow}\r\n");
        }
        if let Some((name, value)) = &self.field {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(policy) = self.policy {
            head += &format!(
                "Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
            );
        }
        if let Some((media_type, body)) = &self.content {
            head += &format!(
                "Content-Type: {media_type}\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        // Every answer is of its moment; a cache in between would serve a primary that is gone.
        head += "Cache-Control: no-store\r\n\r\n";
        output.extend_from_slice(head.as_bytes());
        self.content
            .filter(|_| !reply.head_only)
            .map_or_else(Bytes::new, |(_, body)| body)
    }

    fn sentence(status: &'static str) -> Self {
        Self {
            status,
            content: Some(("text/plain", Bytes::from_static(status.as_bytes()))),
            allow: None,
            policy: None,
            field: None,
        }
    }
}

/// Appends the interim answer that invites a body.
pub fn write_continue(output: &mut BytesMut) {
    output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: Answer, reply: Reply) -> (String, Bytes) {
        let mut output = BytesMut::new();
        let body = answer.write(
            reply,
            WallTime::from_unix_micros(1_714_480_496_789_000),
            &mut output,
        );
        (String::from_utf8(output.to_vec()).unwrap(), body)
    }

    const OPEN: Reply = Reply {
        head_only: false,
        keep_alive: true,
    };

    #[test]
    fn a_body_is_announced_and_shared() {
        let shared = Bytes::from(b"{}".to_vec());
        let (head, body) = written(Answer::json(shared.clone()), OPEN);
        let expected = format!(
            "HTTP/1.1 200 OK\r\nServer: pglookout/{VERSION}\r\nDate: Tue, 30 Apr 2024 12:34:56 GMT\r\n\
            Pglookout-Date-Micros: 789000\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\n"
        );
        assert_eq!(head, expected);
        assert_eq!(body.as_ptr(), shared.as_ptr());
        let (only, body) = written(
            Answer::json(shared),
            Reply {
                head_only: true,
                ..OPEN
            },
        );
        assert_eq!((only, body.len()), (expected, 0));
    }

    #[test]
    fn no_content_has_no_length() {
        let (head, body) = written(
            Answer::no_content(),
            Reply {
                keep_alive: false,
                ..OPEN
            },
        );
        assert!(
            head.starts_with("HTTP/1.1 204 No Content\r\n")
                && head.contains("\r\nConnection: close\r\n"),
            "{head}"
        );
        assert!(!head.contains("Content-") && body.is_empty(), "{head}");
    }

    #[test]
    fn failures_are_complete_answers() {
        for (answer, status) in [
            (Answer::not_found(), "404 Not Found"),
            (Answer::not_allowed("POST"), "405 Method Not Allowed"),
            (Answer::refused(Refusal::TimedOut), "408 Request Timeout"),
        ] {
            let (head, body) = written(answer, Reply::CLOSE);
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{head}"
            );
            assert!(
                head.contains(&format!("\r\nContent-Length: {}\r\n", status.len())),
                "{head}"
            );
            assert_eq!(
                (body, head.contains("\r\nAllow: POST\r\n")),
                (status.into(), status.starts_with("405"))
            );
        }
    }
}
