//! Invalid requests, or two at once: each answered or closed as RFC 9112 requires.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::run_dir::TestDir;
use crate::harness::{Daemon, SOON};

/// What is sent, and what comes of it: the answers' statuses, then whether the connection is `open`
/// or `closed`.
type Case = (&'static str, Vec<u8>, &'static str);

#[test]
fn malformed_requests_are_answered_or_closed() {
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
    daemon.start();
    let begun = Instant::now();
    let cases = cases();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let host = &daemon.host;
        let threads: Vec<_> = cases
            .iter()
            .map(|(name, bytes, expected)| {
                scope.spawn(move || (name, outcome(host, name, bytes), expected))
            })
            .collect();
        let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
        outcomes
            .filter(|(_, outcome, expected)| outcome != *expected)
            .map(|case| format!("{case:?}"))
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "(what, what came, what was expected)\n{}",
        wrong.join("\n")
    );
    println!(
        "{} requests, {} bytes, {:.1?}",
        cases.len(),
        cases.iter().map(|case| case.1.len()).sum::<usize>(),
        begun.elapsed()
    );
    assert!(daemon.is_running() && daemon.get("/state.json").is_ok());
}

const GET: &str = "GET /state.json HTTP/1.1\r\nHost: h\r\n";

fn cases() -> Vec<Case> {
    let plain = |name, text: &str, expected| (name, text.as_bytes().to_vec(), expected);
    let get =
        |name, fields: &str, expected| (name, format!("{GET}{fields}\r\n").into_bytes(), expected);
    let post = |name, fields: &str, body: &str, expected| {
        (
            name,
            format!("POST /check HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}").into_bytes(),
            expected,
        )
    };
    let smuggled = format!("0\r\n\r\n{GET}\r\n");
    vec![
        // Other protocols.
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
            "400 closed",
        ),
        plain("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed"),
        plain("HTTP/0.9", "GET /state.json\r\n\r\n", "400 closed"),
        (
            "PostgreSQL",
            b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(),
            "400 closed",
        ),
        ("NULs", vec![0; 100_000], "400 closed"),
        // Size.
        plain(
            "a path of 100 kB",
            &format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100_000)),
            "414 closed",
        ),
        get("10,000 fields", &"a: b\r\n".repeat(10_000), "431 closed"),
        get("65 small fields", &"a: b\r\n".repeat(65), "431 closed"),
        get(
            "a field of 1 MB",
            &format!("a: {}\r\n", "x".repeat(1 << 20)),
            "431 closed",
        ),
        post(
            "a promise of 10 GB",
            "Content-Length: 10000000000\r\n",
            "x",
            "413 closed",
        ),
        post(
            "a promise beyond 64 bits",
            "Content-Length: 99999999999999999999\r\n",
            "",
            "413 closed",
        ),
        post(
            "1 MB in chunks",
            "Transfer-Encoding: chunked\r\n",
            &format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(256),
            "413 closed",
        ),
        post(
            "a chunk of 2^64 bytes",
            "Transfer-Encoding: chunked\r\n",
            "ffffffffffffffff\r\n",
            "413 closed",
        ),
        post(
            "1 MB of chunk extensions",
            "Transfer-Encoding: chunked\r\n",
            &format!("1;{}\r\nx\r\n", "x".repeat(1000)).repeat(1000),
            "413 closed",
        ),
        // Shapes that two readers read differently: nothing of what follows is taken for a request.
        post(
            "length and chunked",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "chunked and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "a signed length",
            "Content-Length: +5\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "a list of lengths",
            "Content-Length: 0, 5\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "a blank before the colon",
            "Transfer-Encoding : chunked\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "chunked not last",
            "Transfer-Encoding: chunked, identity\r\n",
            &smuggled,
            "501 closed",
        ),
        post(
            "chunked twice",
            "Transfer-Encoding: chunked, chunked\r\n",
            &smuggled,
            "400 closed",
        ),
        post(
            "nearly chunked",
            "Transfer-Encoding: xchunked\r\n",
            &smuggled,
            "501 closed",
        ),
        post(
            "chunks that end in LF",
            "Transfer-Encoding: chunked\r\n",
            "1\nx\n0\n\n",
            "400 closed",
        ),
        post(
            "an unclear chunk size",
            "Transfer-Encoding: chunked\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
            "400 closed",
        ),
        plain(
            "chunked in HTTP/1.0",
            &format!("POST /check HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"),
            "400 closed",
        ),
        // Lines and fields.
        get("obsolete folding", "A: b\r\n c\r\n", "400 closed"),
        get("NUL in a field", "A: b\0c\r\n", "400 closed"),
        get("a lone CR in a field", "A: b\rHost: x\r\n", "400 closed"),
        get("a field without a colon", "A\r\n", "400 closed"),
        get("a field without a name", ": b\r\n", "400 closed"),
        get("two hosts", "Host: x\r\n", "400 closed"),
        plain("no host", "GET /state.json HTTP/1.1\r\n\r\n", "400 closed"),
        plain(
            "a blank first field",
            "GET /state.json HTTP/1.1\r\n Host: h\r\n\r\n",
            "400 closed",
        ),
        plain(
            "NUL in the path",
            "GET /state\0.json HTTP/1.1\r\nHost: h\r\n\r\n",
            "400 closed",
        ),
        plain(
            "blanks in the path",
            "GET /state .json HTTP/1.1\r\nHost: h\r\n\r\n",
            "400 closed",
        ),
        plain(
            "HTTP/1.9",
            "GET /state.json HTTP/1.9\r\nHost: h\r\n\r\n",
            "505 closed",
        ),
        plain(
            "CONNECT",
            "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
            "400 closed",
        ),
        plain(
            "DELETE",
            "DELETE /state.json HTTP/1.1\r\nHost: h\r\n\r\n",
            "405 open",
        ),
        plain("TRACE", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "405 open"),
        get(
            "an unknown expectation",
            "Expect: miracles\r\n",
            "417 closed",
        ),
        // What is odd and allowed.
        plain(
            "lines that end in LF",
            "GET /state.json HTTP/1.1\nHost: h\n\n",
            "200 open",
        ),
        plain(
            "empty lines first",
            &format!("\r\n\r\n{GET}\r\n"),
            "200 open",
        ),
        plain("HTTP/1.0", "GET /state.json HTTP/1.0\r\n\r\n", "200 closed"),
        (
            "five at once",
            format!("{GET}\r\n").repeat(5).into_bytes(),
            "200 200 200 200 200 open",
        ),
        plain(
            "good, bad, good",
            &format!("{GET}\r\nBAD\r\n\r\n{GET}\r\n"),
            "200 400 closed",
        ),
        post(
            "an invitation",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            "",
            "100 408 closed",
        ),
        // Ends.
        plain(
            "half-closed after a request",
            &format!("{GET}\r\n"),
            "200 closed",
        ),
        plain("half-closed in a request", GET, "closed"),
        plain("half-closed at once", "", "closed"),
        plain("a request that never ends", GET, "408 closed"),
        post(
            "a body that never ends",
            "Content-Length: 5\r\n",
            "abc",
            "408 closed",
        ),
    ]
}

/// Sends the bytes and reads what comes, until the other side closes, or is silent for longer than
/// a request may take where one is missing, a second elsewhere.
fn outcome(host: &Host, name: &str, bytes: &[u8]) -> String {
    let mut stream = host.connect(HTTP_PORT, SOON).unwrap();
    // Refused in the middle, and closed: what was answered is still to be read.
    let _ = stream.write_all(bytes);
    if name.starts_with("half-closed") {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let is_late = name.contains("never ends") || name == "an invitation";
    stream
        .set_read_timeout(Some(Duration::from_secs(if is_late { 15 } else { 1 })))
        .unwrap();
    let (answer, has_ended) = read_all(&mut stream);
    let mut words = statuses(&answer);
    words.push(if has_ended { "closed" } else { "open" }.to_owned());
    words.join(" ")
}

/// All that comes, and whether the connection has ended.
fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, true),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) => {
                return (
                    bytes,
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                );
            }
        }
    }
}

/// The statuses of answers that follow each other.
fn statuses(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut rest, mut statuses) = (text.as_ref(), Vec::new());
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|line| line.get(..3));
        statuses.push(status.unwrap_or("no answer").to_owned());
        let length = head
            .split_once("Content-Length: ")
            .and_then(|(_, value)| value.lines().next()?.parse().ok());
        rest = after.get(length.unwrap_or(0)..).unwrap_or_default();
    }
    statuses
}
