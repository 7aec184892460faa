//! Database servers that break what talks to them.

use serde_json::{Value, json};

use super::log_lines::counting;
use super::outcome::{LITTLE_KIB, WATCHED, lines_about, wait_for_the_real, watch_and_fail_over};
use crate::harness::messages::{
    authentication, complete, described, error, login, message, promise, row,
};
use crate::harness::scripted::{Scripted, Step, reply};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

use Step::{Drip, Flood, Hang, Receive, Reset, SendBytes};

/// A server, and what the log must say of it, once.
struct Case {
    name: &'static str,
    script: Vec<Step>,
    expected: &'static str,
}

#[test]
fn servers_that_break_the_protocol_delay_no_failover() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let servers: Vec<(Case, Scripted)> = cases()
        .into_iter()
        .map(|case| {
            let server = Scripted::start(case.name, 5432, case.script.clone());
            (case, server)
        })
        .collect();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        for (case, server) in &servers {
            let info = format!(
                "host={} user=pglookout password=x dbname=postgres sslmode=disable",
                server.host.address
            );
            config["remote_conns"][case.name] = json!(info);
        }
        config["never_promote_these_nodes"] = servers
            .iter()
            .map(|(case, _)| Value::from(case.name))
            .collect();
    });
    fleet.start_all();
    wait_for_the_real(&fleet);
    for (case, _) in &servers {
        wait_until(&format!("{} has failed", case.name), SOON, || {
            !lines_about(&fleet[WATCHED], &format!("node {}", case.name)).is_empty()
        });
    }
    watch_and_fail_over(&mut cluster, &mut fleet, LITTLE_KIB);
    for (case, server) in &servers {
        println!(
            "{}: {} connections, {} bytes",
            case.name,
            server.connections(),
            server.bytes()
        );
        assert!(server.connections() > 4, "{} was hardly tried", case.name);
        let lines = lines_about(&fleet[WATCHED], &format!("node {}", case.name));
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains(case.expected),
            "{} / {}",
            lines[0],
            case.expected
        );
        assert_eq!(fleet[WATCHED].state()[case.name]["connection"], false);
    }
    let log = fleet[WATCHED].log();
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(log.len() < 100_000, "a log of {} bytes", log.len());
}

fn cases() -> Vec<Case> {
    let case = |name, expected, script| Case {
        name,
        expected,
        script,
    };
    let before_login =
        |name, expected, script: &[Step]| case(name, expected, [&[Receive], script].concat());
    let after_login = |name, expected, script: &[Step]| {
        case(
            name,
            expected,
            [&[Receive, SendBytes(login()), Receive], script].concat(),
        )
    };
    vec![
        // Nothing that makes sense.
        before_login("random", "protocol error: ", &[reply(noise), Hang]),
        before_login(
            "web",
            "message 'H' announces",
            &[SendBytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())],
        ),
        before_login(
            "ssh",
            "message 'S' announces",
            &[SendBytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Hang],
        ),
        // Silence at each step.
        case("deaf", "timed out while logging in", vec![Hang]),
        before_login(
            "no-ready",
            "timed out while logging in",
            &[SendBytes(message(b'R', &[0; 4])), Hang],
        ),
        before_login(
            "no-scram",
            "timed out while logging in",
            &[SendBytes(sasl()), Hang],
        ),
        after_login("no-row", "timed out while waiting for the answer", &[Hang]),
        after_login(
            "half-row",
            "timed out while waiting for the answer",
            &[SendBytes(status(PRIMARY)[..30].to_vec()), Hang],
        ),
        after_login(
            "no-row-yet",
            "timed out while waiting for the answer",
            &[SendBytes(described()), Hang],
        ),
        // Slowness.
        before_login("slow-login", "timed out while logging in", &[Drip(login())]),
        after_login(
            "slow-row",
            "timed out while waiting for the answer",
            &[Drip(status(PRIMARY))],
        ),
        // Size.
        before_login(
            "huge-word",
            "message 'R' announces 1073741824 bytes",
            &[Flood(promise(b'R', 1 << 30), GIGABYTE)],
        ),
        after_login(
            "huge-row",
            "message 'D' announces 1073741824 bytes",
            &[
                SendBytes(described()),
                Flood(promise(b'D', 1 << 30), GIGABYTE),
            ],
        ),
        after_login(
            "many-rows",
            "more than one status row",
            &[
                SendBytes(described()),
                Flood(row(PRIMARY).repeat(100), GIGABYTE),
            ],
        ),
        after_login(
            "notices",
            "more than 1000 unsolicited messages",
            &[Flood(message(b'N', b"SNOTICE\0\0").repeat(100), GIGABYTE)],
        ),
        after_login(
            "fat-notices",
            "more than 16777216 bytes for one exchange",
            &[Flood(message(b'N', &[b'x'; 900_000]), GIGABYTE)],
        ),
        before_login(
            "login-notices",
            "more than 1000 unsolicited messages",
            &[Flood(message(b'S', b"a\0b\0").repeat(100), GIGABYTE)],
        ),
        // Lengths and counts.
        before_login(
            "negative",
            "'R' announces a length of less than 4 bytes",
            &[SendBytes(promise(b'R', -1)), Hang],
        ),
        before_login(
            "endless-word",
            "an error message without a length and without an end",
            &[Flood(vec![b'E'; 4096], GIGABYTE)],
        ),
        after_login(
            "three-columns",
            "a row of 3 columns, expected 6",
            &[SendBytes([described(), row(&PRIMARY[..3])].concat()), Hang],
        ),
        after_login(
            "many-columns",
            "a row of 60000 columns, expected 6",
            &[
                SendBytes([described(), row(&[None; 60_000])].concat()),
                Hang,
            ],
        ),
        after_login(
            "short-row",
            "a malformed row",
            &[
                SendBytes([described(), message(b'D', b"\0\x06\0\0\0\x09x")].concat()),
                Hang,
            ],
        ),
        // Types.
        after_login(
            "yesterday",
            "now() is \"yesterday\", expected microseconds",
            &[
                SendBytes(status(&[
                    Some("yesterday"),
                    Some("f"),
                    None,
                    None,
                    None,
                    None,
                ])),
                Hang,
            ],
        ),
        after_login(
            "perhaps",
            "pg_is_in_recovery() is \"perhaps\", expected t or f",
            &[
                SendBytes(status(&[
                    Some("1"),
                    Some("perhaps"),
                    None,
                    None,
                    None,
                    None,
                ])),
                Hang,
            ],
        ),
        after_login(
            "nowhere",
            "pg_last_wal_receive_lsn() is \"F/FFFFFFFFF\", expected an LSN",
            &[
                SendBytes(status(&[
                    Some("1"),
                    Some("t"),
                    None,
                    Some("F/FFFFFFFFF"),
                    None,
                    None,
                ])),
                Hang,
            ],
        ),
        after_login(
            "open",
            "a transaction is open",
            &[
                SendBytes(
                    [
                        described(),
                        row(PRIMARY),
                        message(b'C', b"SELECT 1\0"),
                        message(b'Z', b"T"),
                    ]
                    .concat(),
                ),
                Hang,
            ],
        ),
        // Logins.
        before_login(
            "work",
            "the server's SCRAM challenge: ",
            &[
                SendBytes(sasl()),
                Receive,
                reply(|received| challenge(received, 1 << 31)),
                Hang,
            ],
        ),
        before_login(
            "impostor",
            "the server's proof is wrong",
            &[
                SendBytes(sasl()),
                Receive,
                reply(|received| challenge(received, 4096)),
                Receive,
                SendBytes(authentication(12, b"v=AAAA")),
                Hang,
            ],
        ),
        before_login(
            "new-method",
            "unknown authentication method 99",
            &[SendBytes(authentication(99, b"")), Hang],
        ),
        // Ends.
        before_login(
            "reset-1",
            "closed the connection while logging in: Connection reset by peer",
            &[Reset],
        ),
        before_login(
            "reset-2",
            "closed the connection while logging in: Connection reset by peer",
            &[SendBytes(sasl()), Receive, Reset],
        ),
        after_login(
            "reset-3",
            "closed the connection before it answered: Connection reset by peer",
            &[Reset],
        ),
        after_login(
            "gone",
            "closed the connection before it answered",
            &[SendBytes(described())],
        ),
        // Words for the log.
        before_login(
            "attempts",
            "rejected by the server: FATAL 53300: attempt ",
            &[counting(|count| {
                error("FATAL", "53300", &format!("attempt {count}"))
            })],
        ),
        before_login(
            "forger",
            "rejected by the server: FATAL 53300: no\\nFORGED\\tall\\r is well \\u{1b}[2J\u{FFFD}",
            &[SendBytes(message(
                b'E',
                b"SFATAL\0C53300\0Mno\nFORGED\tall\r is well \x1b[2J\xff\0\0",
            ))],
        ),
        before_login(
            "wordy",
            "rejected by the server: FATAL 53300: xxxx",
            &[SendBytes(message(
                b'E',
                &[b"SFATAL\0C53300\0M", &[b'x'; 60_000][..], b"\0\0"].concat(),
            ))],
        ),
    ]
}

/// Bytes without a meaning, others on each connection.
fn noise(_: &[u8]) -> Vec<u8> {
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock after 1970");
    let mut state = clock.as_nanos() as u64;
    let mut bytes: Vec<u8> = (0..1024)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    // A length beyond all limits, or it might be waited for; and no `E`, which may be a postmaster
    // that cannot fork.
    bytes[0] |= 0x80;
    bytes[1] |= 0x01;
    bytes
}

pub(super) const PRIMARY: &[Option<&str>] = &[
    Some("1714486462789012"),
    Some("f"),
    None,
    None,
    None,
    Some("0/5000060"),
];
const GIGABYTE: u64 = 1 << 30;

fn sasl() -> Vec<u8> {
    authentication(10, b"SCRAM-SHA-256\0\0")
}

/// Goes on with the nonce that was received.
fn challenge(received: &[u8], iterations: u32) -> Vec<u8> {
    let text = String::from_utf8_lossy(received);
    // The nonce itself may hold an "r=".
    let nonce = text.split_once("r=").map_or("", |(_, nonce)| nonce);
    authentication(
        11,
        format!("r={nonce}more,s=c2FsdA==,i={iterations}").as_bytes(),
    )
}

pub(super) fn status(values: &[Option<&str>]) -> Vec<u8> {
    [described(), row(values), complete()].concat()
}
