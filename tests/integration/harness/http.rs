//! An HTTP client that takes nothing for granted: it sends the bytes it is given and parses what
//! comes back itself.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::host::Host;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()?
            .strip_prefix("HTTP/1.1 ")?
            .get(..3)?
            .parse()
            .ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            body: body.to_owned(),
        })
    }
}

/// Sends one request and reads to the end of the connection.
pub(crate) fn request(host: &Host, port: u16, method: &str, target: &str) -> io::Result<Answer> {
    let mut stream = host.connect(port, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = if method == "POST" {
        "Content-Length: 0\r\n"
    } else {
        ""
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}:{port}\r\nConnection: close\r\n{length}\r\n",
        host.address
    );
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Answer::parse(&bytes)
        .ok_or_else(|| io::Error::other(format!("not HTTP: {:?}", String::from_utf8_lossy(&bytes))))
}

/// An answer that takes longer than this is none.
const LIMIT: Duration = Duration::from_secs(2);
