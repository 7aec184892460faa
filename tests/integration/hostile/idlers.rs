//! HTTP clients that take their time: each is sent away when its time is up, and others are
//! answered at once.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::run_dir::TestDir;
use crate::harness::{Daemon, SOON, pause, wait_until};

/// A client: what it sends first, then, after so many seconds, byte by byte, one a second; and what
/// it must hear, by when.
struct Case {
    name: &'static str,
    first: String,
    pause: u64,
    drips: &'static str,
    /// The status line of its last answer; empty: none.
    receives: &'static str,
    /// When the other side closes, in seconds.
    closed: std::ops::Range<f64>,
}

const GET: &str = "GET /state.json HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn clients_that_take_their_time_are_sent_away_in_time() {
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
    daemon.start();
    let before = descriptors(&daemon);
    // A request has 10 s from its first byte, or from the beginning of the connection; between two
    // there may be 75 s.
    let (request, idle) = (9.0..14.0, 74.0..81.0);
    let (late, ok) = ("HTTP/1.1 408 ", "HTTP/1.1 200 ");
    let case = |name, first: &str, pause, drips, receives, closed: &std::ops::Range<f64>| Case {
        name,
        first: first.to_owned(),
        pause,
        drips,
        receives,
        closed: closed.clone(),
    };
    let endless =
        "X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let cases = [
        case("silent from the beginning", "", 0, "", late, &request),
        case(
            "a head, byte by byte",
            "GET /state.json HTTP/1.1\r\n",
            0,
            endless,
            late,
            &request,
        ),
        case(
            "a body, byte by byte",
            "POST /check HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n",
            0,
            endless,
            late,
            &request,
        ),
        case(
            "empty lines",
            "",
            0,
            "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
            late,
            &request,
        ),
        case("idle after a request", GET, 0, "", ok, &idle),
        case("idle after ten", &GET.repeat(10), 0, "", ok, &idle),
        case(
            "a head, byte by byte, after a request",
            GET,
            15,
            endless,
            late,
            &(24.0..30.0),
        ),
    ];
    let (outcomes, slowest) = thread::scope(|scope| {
        let host = &daemon.host;
        let clients: Vec<_> = cases
            .iter()
            .map(|case| scope.spawn(move || play(host, case)))
            .collect();
        let mut slowest = Duration::ZERO;
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            let begun = Instant::now();
            assert_eq!(daemon.get("/state.json").unwrap().status, 200);
            slowest = slowest.max(begun.elapsed());
            pause(200);
        }
        (
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect::<Vec<_>>(),
            slowest,
        )
    });
    for (case, (received, after)) in cases.iter().zip(outcomes) {
        let last = received
            .rfind("HTTP/1.1 ")
            .map_or("", |at| received[at..].lines().next().unwrap());
        println!("{}: closed after {after:.1} s, {last}", case.name);
        assert!(last.starts_with(case.receives), "{}: {last}", case.name);
        assert!(
            case.closed.contains(&after),
            "{}: closed after {after:.1} s, {:?}",
            case.name,
            case.closed
        );
    }
    wait_until("nothing is left of them", SOON, || {
        descriptors(&daemon) <= before
    });
    println!(
        "an honest client waited for {slowest:.1?} at most; {before} descriptors before and after"
    );
    assert!(
        slowest < Duration::from_secs(2),
        "an honest client waited for {slowest:?}"
    );
}

/// All that is received, and after how many seconds the other side closed.
fn play(host: &Host, case: &Case) -> (String, f64) {
    let mut stream = host.connect(HTTP_PORT, SOON).unwrap();
    let begun = Instant::now();
    stream.write_all(case.first.as_bytes()).unwrap();
    let mut received = listen(&mut stream, Duration::from_secs(case.pause));
    for byte in case.drips.bytes() {
        if received.1 || stream.write_all(&[byte]).is_err() {
            break;
        }
        let more = listen(&mut stream, Duration::from_secs(1));
        received = (received.0 + &more.0, more.1);
    }
    if !received.1 {
        received.0 += &listen(&mut stream, Duration::from_secs(90)).0;
    }
    (received.0, begun.elapsed().as_secs_f64())
}

/// What is received in so much time, and whether it ended with the connection.
fn listen(stream: &mut TcpStream, time: Duration) -> (String, bool) {
    let (begun, mut received, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
    let mut has_ended = false;
    while let Some(left) = time
        .checked_sub(begun.elapsed())
        .filter(|left| !left.is_zero())
    {
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => received.extend_from_slice(&buffer[..length]),
            outcome => {
                has_ended = !is_timeout(&outcome);
                break;
            }
        }
    }
    (String::from_utf8_lossy(&received).into_owned(), has_ended)
}

fn is_timeout(outcome: &io::Result<usize>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .unwrap()
        .count()
}
