//! One connection of the server: requests out of its input, one at a time. Deadlines, sockets and
//! answers are the caller's.

use bytes::{Buf, BytesMut};

use super::body::Body;
use super::head::HeadScan;
use super::limits::MAX_REQUEST_HEAD_BYTES;
use super::request::{self, Refusal, Request, Route};

/// The receiving side of one connection.
#[derive(Debug, Default)]
pub struct Exchange {
    state: State,
}

/// What came of the input so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: call again when more has arrived.
    NeedMore,
    /// The client waits for a 100: send [`write_continue`](super::write_continue), then call again.
    Continue,
    /// A complete request: answer it, then call again for what follows if its reply keeps the
    /// connection alive.
    Request(Request),
    /// Answer with the refusal, then close. More input is thrown away, so that the client gets to
    /// read the answer.
    Refused(Refusal),
}

#[derive(Debug)]
enum State {
    Head(HeadScan),
    Body(Request, Body),
    /// The last request has been read.
    Closing,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(HeadScan::default())
    }
}

impl Exchange {
    /// A connection that has just been accepted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next request from `input`; what follows it stays there. `takes_votes`: requests for
    /// votes are read, and are shorter than others; without, their path is one like any other.
    pub fn receive(&mut self, input: &mut BytesMut, takes_votes: bool) -> Step {
        let (state, step) = match std::mem::take(&mut self.state) {
            State::Head(scan) => read_head(scan, input, takes_votes),
            State::Body(request, body) => read_body(request, body, input),
            State::Closing => {
                input.clear();
                (State::Closing, Step::NeedMore)
            }
        };
        self.state = state;
        step
    }

    /// Between two requests: nothing of the next one is there.
    pub fn is_idle(&self, input: &BytesMut) -> bool {
        matches!(self.state, State::Head(_)) && input.is_empty()
    }
}

fn read_head(mut scan: HeadScan, input: &mut BytesMut, takes_votes: bool) -> (State, Step) {
    if skip_empty_lines(input) {
        scan = HeadScan::default();
    }
    match input.first() {
        None => return (State::Head(scan), Step::NeedMore),
        Some(b'\r') if input.len() == 1 => return (State::Head(scan), Step::NeedMore),
        // TLS and other tongues: no method begins so, and no empty line may ever come.
        Some(first) if !first.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(first) => {
            return refused(Refusal::Malformed);
        }
        Some(_) => {}
    }
    let Some(end) = scan.end(input).filter(|end| *end <= MAX_REQUEST_HEAD_BYTES) else {
        return match input.get(..=MAX_REQUEST_HEAD_BYTES) {
            None => (State::Head(scan), Step::NeedMore),
            Some(head) if head.contains(&b'\n') => refused(Refusal::HeadTooLarge),
            Some(_) => refused(Refusal::TargetTooLong),
        };
    };
    let head = match request::parse(&input.split_to(end), takes_votes) {
        Ok(head) => head,
        Err(refusal) => return refused(refusal),
    };
    // A body that is already arriving needs no invitation.
    let waits = head.expects_continue && input.is_empty();
    match read_body(head.request, head.body, input) {
        (state @ State::Body(..), Step::NeedMore) if waits => (state, Step::Continue),
        outcome => outcome,
    }
}

fn read_body(mut request: Request, mut body: Body, input: &mut BytesMut) -> (State, Step) {
    // Whatever else is posted is thrown away.
    let keep = |content: &[u8]| {
        if let Route::Vote(post) = &mut request.route {
            post.body.extend_from_slice(content);
        }
    };
    match body.receive(input, keep) {
        Err(error) => refused(error.into()),
        Ok(false) => (State::Body(request, body), Step::NeedMore),
        Ok(true) if request.reply.keep_alive => (State::default(), Step::Request(request)),
        Ok(true) => (State::Closing, Step::Request(request)),
    }
}

fn refused(refusal: Refusal) -> (State, Step) {
    (State::Closing, Step::Refused(refusal))
}

/// RFC 9112, section 2.2: empty lines before a request are passed over.
fn skip_empty_lines(input: &mut BytesMut) -> bool {
    let before = input.len();
    loop {
        match input.as_ref() {
            [b'\r', b'\n', ..] => input.advance(2),
            [b'\n', ..] => input.advance(1),
            _ => return input.len() != before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MAX_HEADERS, MAX_REQUEST_BODY_BYTES, MAX_TARGET_BYTES};
    use super::super::{Reply, Route, VotePost};
    use super::*;
    use crate::testing::{deliveries, mutations};

    /// One word per step: the status that is due, then `-` if the connection does not stay, `h` if
    /// only the head is due.
    fn words(pieces: &[&[u8]]) -> String {
        let (mut exchange, mut input, mut words) = (Exchange::new(), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match exchange.receive(&mut input, true) {
                    Step::NeedMore => break,
                    Step::Continue => words.push("100".to_owned()),
                    Step::Request(Request { route, reply }) => words.push(word(route, reply)),
                    Step::Refused(refusal) => words.push(refusal.status()[..3].to_owned() + "-"),
                }
            }
        }
        words.join(" ")
    }

    fn word(route: Route, reply: Reply) -> String {
        let status = match route {
            Route::State
            | Route::Decisions
            | Route::Status
            | Route::LagHistory
            | Route::Metrics
            | Route::Page
            | Route::Votes
            | Route::HealthCheck(_) => "200",
            Route::Vote(VotePost { mac, body }) => {
                let mac = mac.map_or(0, |mac| mac[0]);
                &format!("vote:{mac}:{}", body.len())
            }
            Route::VotesNotAllowed { allow } => &format!("405:{allow}"),
            Route::BadParameters => "400",
            Route::Check => "204",
            Route::NotFound => "404",
            Route::NotAllowed { allow } => &format!("405:{allow}"),
        };
        let head_only = if reply.head_only { "h" } else { "" };
        format!(
            "{status}{head_only}{}",
            if reply.keep_alive { "" } else { "-" }
        )
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for pieces in deliveries(text.as_bytes()) {
            // Only a client that waits with the body is invited to send it, so 100 depends on the
            // pieces.
            assert_eq!(
                words(&pieces).replace("100 ", ""),
                expected,
                "{text:?} as {pieces:?}"
            );
        }
    }

    /// A request with this line and these fields beside `Host`, each ended by `;`.
    #[track_caller]
    fn asked(line: &str, fields: &str, expected: &str) {
        check(
            &format!("{line}\r\nHost: h:1\r\n{}\r\n", fields.replace(';', "\r\n")),
            expected,
        );
    }

    #[test]
    fn load_balancers_are_answered_as_by_patroni() {
        for path in [
            "primary",
            "read-write",
            "leader",
            "replica",
            "read-only",
            "health",
        ] {
            asked(&format!("GET /{path} HTTP/1.1"), "", "200");
            asked(&format!("HEAD /{path} HTTP/1.1"), "", "200h");
            asked(&format!("OPTIONS /{path} HTTP/1.0"), "", "200-");
            asked(
                &format!("POST /{path} HTTP/1.1"),
                "",
                "405:GET, HEAD, OPTIONS",
            );
        }
        asked("GET /liveness HTTP/1.1", "", "200");
        asked("GET /readiness HTTP/1.1", "", "200");
        asked("GET /replica?lag=10MB&node=s1 HTTP/1.1", "", "200");
        asked("GET /replica?lag=ten HTTP/1.1", "", "400");
        asked("GET /primary?node=%zz HTTP/1.1", "", "400");
    }

    #[test]
    fn the_originals_requests_are_answered() {
        asked("GET /state.json HTTP/1.1", "", "200");
        asked("GET /state.json HTTP/1.0", "", "200-");
        check("GET /state.json HTTP/1.0\r\n\r\n", "200-");
        asked("GET /state.json?x HTTP/1.1", "", "200");
        asked("GET //state.json HTTP/1.1", "", "200");
        asked("POST /check HTTP/1.1", "Content-Length: 0;", "204");
        asked("POST /check HTTP/1.1", "", "204");
        asked("POST /check?x=1 HTTP/1.1", "", "204");
        check(
            "POST /check HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
            "204",
        );
    }

    #[test]
    fn other_paths_and_methods_get_a_whole_answer() {
        for target in [
            "/other",
            "/state.jsonfoo",
            "/STATE.JSON",
            "/state%2Ejson",
            "/state.json/",
            "/check/x",
            "*",
        ] {
            asked(&format!("GET {target} HTTP/1.1"), "", "404");
        }
        asked("HEAD /secret.txt HTTP/1.1", "", "404h");
        asked("HEAD /state.json HTTP/1.1", "", "200h");
        asked("PUT /state.json HTTP/1.1", "", "405:GET, HEAD");
        asked("GET /decisions.json HTTP/1.1", "", "200");
        asked("HEAD /decisions.json?x HTTP/1.1", "", "200h");
        asked("POST /decisions.json HTTP/1.1", "", "405:GET, HEAD");
        asked("GET /decisions.jsonl HTTP/1.1", "", "404");
        asked("get /state.json HTTP/1.1", "", "405:GET, HEAD");
        asked("GET /check HTTP/1.1", "", "405:POST");
        asked("OPTIONS * HTTP/1.1", "", "404");
        for path in ["/", "/status.json", "/history.json", "/metrics"] {
            asked(&format!("GET {path} HTTP/1.1"), "", "200");
            asked(&format!("HEAD {path}?x HTTP/1.1"), "", "200h");
            asked(&format!("POST {path} HTTP/1.1"), "", "405:GET, HEAD");
        }
    }

    #[test]
    fn the_absolute_form_is_taken() {
        asked("GET http://h:1/state.json HTTP/1.1", "", "200");
        asked("GET HTTPS://h/state.json?a=/b HTTP/1.1", "", "200");
        asked("GET http://h HTTP/1.1", "", "200");
        for target in ["state.json", "ftp://h/state.json", "h:443", "?x"] {
            asked(&format!("GET {target} HTTP/1.1"), "", "400-");
        }
    }

    #[test]
    fn the_connection_stays_as_both_sides_request() {
        asked("GET /state.json HTTP/1.1", "Connection: close;", "200-");
        asked("GET /state.json HTTP/1.1", "Connection: x, CLOSE;", "200-");
        asked("GET /state.json HTTP/1.0", "Connection: Keep-Alive;", "200");
        asked(
            "GET /state.json HTTP/1.0",
            "Connection: keep-alive, close;",
            "200-",
        );
    }

    #[test]
    fn requests_may_follow_each_other_at_once() {
        let one = "GET /state.json HTTP/1.1\r\nHost: h\r\n\r\n";
        check(&one.repeat(3), "200 200 200");
        let post = "POST /check HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nxy\r\n0\r\nT: u\r\n\r\n";
        check(&format!("\r\n{post}\r\n\n{one}{post}"), "204 200 204");
        check(&format!("GET / HTTP/1.0\r\n\r\n{one}"), "200-");
        check(&format!("GET / HTTP/1.1\r\n\r\n{one}"), "400-");
    }

    #[test]
    fn votes_are_handed_on_with_their_code() {
        let mac = format!("Pglookout-Mac: {};", "0a".repeat(32));
        check(
            &format!(
                "POST /vote HTTP/1.1\r\nHost: h\r\n{}Content-Length: 3\r\n\r\nabc",
                mac.replace(';', "\r\n")
            ),
            "vote:10:3",
        );
        check(
            "POST /vote HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "vote:0:3",
        );
        for fields in [
            "",
            "Pglookout-Mac: 0a;",
            &mac.replace("0a", "0A"),
            &mac.repeat(2),
            &mac.replace("0a", "0g"),
        ] {
            asked("POST /vote HTTP/1.1", fields, "vote:0:0");
        }
        asked("POST /vote HTTP/1.1", "Content-Length: 2049;", "413-");
        asked(
            "POST /vote HTTP/1.1",
            &format!("Content-Length: 0;{mac}"),
            "vote:10:0",
        );
        asked("GET /vote HTTP/1.1", "", "405:POST");
        asked("GET /votes.json HTTP/1.1", "", "200");
        asked("POST /votes.json HTTP/1.1", "", "405:GET, HEAD");
    }

    /// As before there were any.
    #[test]
    fn without_votes_their_path_is_like_any_other() {
        for (target, word) in [("vote", "405:POST"), ("votex", "404")] {
            for body in [3, 2049, MAX_REQUEST_BODY_BYTES] {
                let head =
                    format!("POST /{target} HTTP/1.1\r\nHost: h\r\nContent-Length: {body}\r\n\r\n");
                let mut input = BytesMut::from(head.as_bytes());
                input.resize(head.len() + usize::try_from(body).unwrap(), b'x');
                let Step::Request(Request { route, reply }) =
                    Exchange::new().receive(&mut input, false)
                else {
                    panic!("{target} {body}");
                };
                assert_eq!(self::word(route, reply), word);
            }
        }
    }

    #[test]
    fn bad_requests_are_refused() {
        for fields in [
            "Host: h;",
            "Content-Length: 3;Content-Length: 4;",
            "Content-Length: x;",
            "Content-Length: 0;Transfer-Encoding: chunked;",
            "A : b;",
            "A: b; c;",
            " A: b;",
            "A;",
            "A: \0;",
            "A: b\rc;",
            ": b;",
        ] {
            asked("GET /state.json HTTP/1.1", fields, "400-");
        }
        for text in [
            "GET /state.json HTTP/1.1\r\n\r\n",
            "GET /state.json HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET /state.json HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET /state.json HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            "garbage\r\n\r\n",
            "GET /state.json\r\n\r\n",
            "GET  /state.json HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTQ/1.1\r\nHost: h\r\n\r\n",
            "POST /check HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
            "\rGET / HTTP/1.0\r\n\r\n",
            "(",
        ] {
            check(text, "400-");
        }
        asked("GET / HTTP/2.0", "", "505-");
        asked("GET / HTTP/9.9", "", "505-");
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505-");
        asked(
            "POST /check HTTP/1.1",
            "Transfer-Encoding: gzip, chunked;",
            "501-",
        );
    }

    #[test]
    fn a_waiting_client_is_invited() {
        let head =
            b"POST /check HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(words(&[head, b"abc"]), "100 204");
        assert_eq!(words(&[head, b"a", b"bc"]), "100 204");
        assert_eq!(words(&[&[head.as_slice(), b"abc"].concat()]), "204");
        asked("GET /state.json HTTP/1.1", "Expect: 100-continue;", "200");
        asked("POST /check HTTP/1.0", "Expect: 100-continue;", "204-");
        asked("POST /check HTTP/1.1", "Expect: a miracle;", "417-");
    }

    #[test]
    fn limits_hold() {
        let head = |bytes: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
                "x".repeat(bytes - 32)
            )
        };
        assert_eq!(words(&[head(MAX_REQUEST_HEAD_BYTES).as_bytes()]), "200");
        assert_eq!(
            words(&[head(MAX_REQUEST_HEAD_BYTES + 1).as_bytes()]),
            "431-"
        );
        assert_eq!(words(&[&[b'x'; MAX_REQUEST_HEAD_BYTES]]), "");
        assert_eq!(words(&[&[b'x'; MAX_REQUEST_HEAD_BYTES + 1]]), "414-");
        let fields = |count: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
                "a: b\r\n".repeat(count - 1)
            )
        };
        assert_eq!(words(&[fields(MAX_HEADERS).as_bytes()]), "200");
        assert_eq!(words(&[fields(MAX_HEADERS + 1).as_bytes()]), "431-");
        let target = |bytes: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(bytes - 1));
        assert_eq!(words(&[target(MAX_TARGET_BYTES).as_bytes()]), "404-");
        assert_eq!(words(&[target(MAX_TARGET_BYTES + 1).as_bytes()]), "414-");
        let length =
            |bytes: u64| format!("POST /check HTTP/1.0\r\nContent-Length: {bytes}\r\n\r\n");
        assert_eq!(
            words(&[length(MAX_REQUEST_BODY_BYTES).as_bytes(), &vec![0; 65_536]]),
            "204-"
        );
        assert_eq!(
            words(&[length(MAX_REQUEST_BODY_BYTES + 1).as_bytes()]),
            "413-"
        );
    }

    #[test]
    fn it_is_idle_only_between_requests() {
        let (mut exchange, mut input) = (Exchange::new(), BytesMut::new());
        assert!(exchange.is_idle(&input));
        input.extend_from_slice(b"POST /check HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab");
        assert_eq!(
            (exchange.receive(&mut input, true), exchange.is_idle(&input)),
            (Step::NeedMore, false)
        );
        input.extend_from_slice(b"cG");
        assert!(matches!(
            exchange.receive(&mut input, true),
            Step::Request(_)
        ));
        assert!(!exchange.is_idle(&input));
    }

    #[test]
    fn no_mutation_panics_or_stalls() {
        let text = b"POST /check HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /state.json?x HTTP/1.1\r\n\
            Host: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        mutations(text, |mutated| {
            let (head, tail) = mutated.split_at(mutated.len() / 2);
            assert_eq!(
                words(&[mutated]).replace("100 ", ""),
                words(&[head, tail]).replace("100 ", "")
            );
        });
    }
}
