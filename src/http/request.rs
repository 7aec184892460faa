//! A request's head: parsed, refused with the status that says why, or routed. Bytes and bodies are
//! `server`'s.

use httparse::{EMPTY_HEADER, Status};

use super::body::{Body, BodyError};
use super::head::{Framing, FramingError, framing, keeps_alive, mac, values};
use super::health_check::{self, HealthCheck};
use super::limits::{MAX_HEADERS, MAX_REQUEST_BODY_BYTES, MAX_TARGET_BYTES, MAX_VOTE_BODY_BYTES};

/// A complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub route: Route,
    /// How the answer has to be given.
    pub reply: Reply,
}

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET` or `HEAD` of `/state.json`.
    State,
    /// `GET` or `HEAD` of `/decisions.json`.
    Decisions,
    /// `GET` or `HEAD` of `/status.json`.
    Status,
    /// `GET` or `HEAD` of `/history.json`.
    LagHistory,
    /// `GET` or `HEAD` of `/metrics`.
    Metrics,
    /// `GET` or `HEAD` of `/`.
    Page,
    /// `POST /check`: poll and decide now.
    Check,
    /// `GET` or `HEAD` of `/votes.json`.
    Votes,
    /// `POST /vote`.
    Vote(VotePost),
    /// `/votes.json` or `/vote` by a method that they do not have: 405 where there are votes.
    VotesNotAllowed {
        /// The methods that it has, for the `Allow` field.
        allow: &'static str,
    },
    /// `GET`, `HEAD` or `OPTIONS` of a path for load balancers.
    HealthCheck(HealthCheck),
    /// Parameters of such a path that are none: 400.
    BadParameters,
    /// A path that is not ours: 404.
    NotFound,
    /// A path of ours, by a method that it does not have: 405.
    NotAllowed {
        /// The methods that it has, for the `Allow` field.
        allow: &'static str,
    },
}

/// A request for a vote, unread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VotePost {
    /// Its authentication code; `None`: it has none, or more than one, or something else.
    pub mac: Option<[u8; 32]>,
    /// At most 2 KiB.
    pub body: Vec<u8>,
}

/// How an answer has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// To a `HEAD` request: the header alone.
    pub head_only: bool,
    /// Another request may follow on the connection.
    pub keep_alive: bool,
}

/// Why a request was not understood or not let in. The connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: not HTTP/1.x, or such that two readers might see two different requests in it.
    Malformed,
    /// 408: not complete at its deadline. The caller's to find.
    TimedOut,
    /// 413: a body beyond `MAX_REQUEST_BODY_BYTES`.
    BodyTooLarge,
    /// 414: a target beyond `MAX_TARGET_BYTES`.
    TargetTooLong,
    /// 417: an expectation other than `100-continue`.
    UnknownExpectation,
    /// 431: a head beyond `MAX_REQUEST_HEAD_BYTES`, or more than `MAX_HEADERS` fields.
    HeadTooLarge,
    /// 501: a transfer coding other than chunked.
    UnknownCoding,
    /// 505: neither HTTP/1.1 nor HTTP/1.0.
    UnknownVersion,
}

/// A parsed head and what is still to be read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request,
    pub(super) body: Body,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
}

/// Parses a complete head, up to and with its empty line.
pub(super) fn parse(head: &[u8], takes_votes: bool) -> Result<Head, Refusal> {
    let mut fields = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        // The scan and the parser must agree on where the head ends.
        Ok(Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Refusal::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) if names_http_version(head) => {
            return Err(Refusal::UnknownVersion);
        }
        Err(_) => return Err(Refusal::Malformed),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::Malformed);
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(Refusal::TargetTooLong);
    }
    check_host(parsed.headers, minor)?;
    let is_vote = takes_votes && is_vote(method, target);
    let limit = match is_vote {
        true => MAX_VOTE_BODY_BYTES,
        false => MAX_REQUEST_BODY_BYTES,
    };
    let body = match framing(parsed.headers, minor) {
        Ok(framing) => Body::new(framing.unwrap_or(Framing::Length(0)), limit)?,
        Err(FramingError::Ambiguous(_)) => return Err(Refusal::Malformed),
        Err(FramingError::UnknownCoding) => return Err(Refusal::UnknownCoding),
    };
    let reply = Reply {
        head_only: method == "HEAD",
        keep_alive: keeps_alive(parsed.headers, minor),
    };
    let route = match is_vote {
        true => Route::Vote(VotePost {
            mac: mac(parsed.headers),
            body: Vec::new(),
        }),
        false => route(method, target)?,
    };
    let request = Request { route, reply };
    Ok(Head {
        request,
        body,
        expects_continue: expects_continue(parsed.headers, minor)?,
    })
}

impl Refusal {
    /// Status code and reason phrase.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::TimedOut => "408 Request Timeout",
            Self::BodyTooLarge => "413 Content Too Large",
            Self::TargetTooLong => "414 URI Too Long",
            Self::UnknownExpectation => "417 Expectation Failed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::UnknownCoding => "501 Not Implemented",
            Self::UnknownVersion => "505 HTTP Version Not Supported",
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::BadChunk => Self::Malformed,
        }
    }
}

impl Reply {
    /// After a refusal: nothing more is read.
    pub const CLOSE: Self = Self {
        head_only: false,
        keep_alive: false,
    };
}

fn route(method: &str, target: &str) -> Result<Route, Refusal> {
    let (path, query) = path_and_query(target)?;
    Ok(match (path, method) {
        ("state.json", "GET" | "HEAD") => Route::State,
        ("decisions.json", "GET" | "HEAD") => Route::Decisions,
        ("status.json", "GET" | "HEAD") => Route::Status,
        ("history.json", "GET" | "HEAD") => Route::LagHistory,
        ("metrics", "GET" | "HEAD") => Route::Metrics,
        ("", "GET" | "HEAD") => Route::Page,
        ("state.json" | "decisions.json" | "status.json" | "history.json" | "metrics" | "", _) => {
            Route::NotAllowed { allow: "GET, HEAD" }
        }
        ("votes.json", "GET" | "HEAD") => Route::Votes,
        ("votes.json", _) => Route::VotesNotAllowed { allow: "GET, HEAD" },
        (VOTE_PATH, _) => Route::VotesNotAllowed { allow: "POST" },
        ("check", "POST") => Route::Check,
        ("check", _) => Route::NotAllowed { allow: "POST" },
        _ => match (health_check::purpose(path), method) {
            (Some(purpose), "GET" | "HEAD" | "OPTIONS") => {
                let check = health_check::parse(purpose, query, method == "OPTIONS");
                check.map_or(Route::BadParameters, Route::HealthCheck)
            }
            (Some(_), _) => Route::NotAllowed {
                allow: "GET, HEAD, OPTIONS",
            },
            (None, _) => Route::NotFound,
        },
    })
}

fn is_vote(method: &str, target: &str) -> bool {
    let path = path_and_query(target).map_or("", |(path, _)| path);
    method == "POST" && path == VOTE_PATH
}

const VOTE_PATH: &str = "vote";

/// The path without the slashes in front, of which the original takes any number, and the query; from
/// the origin or the absolute form (RFC 9112, section 3.2).
fn path_and_query(target: &str) -> Result<(&str, &str), Refusal> {
    let (target, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match target.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    // The asterisk asks about the server as a whole: no path of ours.
    if path.starts_with('/') || path == "*" {
        Ok((path.trim_start_matches('/'), query))
    } else {
        Err(Refusal::Malformed)
    }
}

/// RFC 9112, section 3.2: exactly one `Host` in HTTP/1.1, never several, and nothing in it that no
/// host has.
fn check_host(headers: &[httparse::Header<'_>], minor: u8) -> Result<(), Refusal> {
    let mut hosts = values(headers, "host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) if minor == 0 => return Ok(()),
        _ => return Err(Refusal::Malformed),
    };
    let plausible = host
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte));
    if plausible {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

/// RFC 9110, section 10.1.1; an HTTP/1.0 client knows no 100.
fn expects_continue(headers: &[httparse::Header<'_>], minor: u8) -> Result<bool, Refusal> {
    match values(headers, "expect").next() {
        Some(value) if minor > 0 && value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) if minor > 0 => Err(Refusal::UnknownExpectation),
        _ => Ok(false),
    }
}

/// Is it a request line of three words, the last of which is a version, though none of ours.
fn names_http_version(head: &[u8]) -> bool {
    let line = head
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (
        words.next().and_then(|word| word.strip_prefix(b"HTTP/")),
        words.next(),
    ) {
        (Some([major, b'.', minor]), None) => major.is_ascii_digit() && minor.is_ascii_digit(),
        (Some([major]), None) => major.is_ascii_digit(),
        _ => false,
    }
}
