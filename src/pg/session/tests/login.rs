//! Logins: each method, each failure and whom it blames.

use super::*;
use crate::config::ChannelBinding;

#[track_caller]
fn login_fails(password: Option<&str>, stream: &[BytesMut], expected: &str) {
    let mut bench = Bench::start(password);
    let failure = bench.feed(&joined(stream)).unwrap_err();
    assert_eq!(failure.to_string(), expected);
    assert_eq!(bench.session.connection_closed(), failure);
}

#[test]
fn failures_of_a_login_name_who_is_to_blame() {
    let rejected = wire::error(
        "FATAL",
        "28P01",
        "password authentication failed for user \"u\"",
    );
    let text =
        "authentication rejected: FATAL 28P01: password authentication failed for user \"u\"";
    login_fails(Some("x"), &[wire::authentication(3, b""), rejected], text);
    let starting = wire::error("FATAL", "57P03", "the database system is starting up");
    login_fails(
        None,
        &[starting],
        "not ready: FATAL 57P03: the database system is starting up",
    );
    let absent = wire::error("FATAL", "3D000", "database \"d\" does not exist");
    let text = "rejected by the server: FATAL 3D000: database \"d\" does not exist";
    login_fails(None, &[wire::authentication(0, b""), absent], text);
    let unexpected = "protocol error: an unexpected message while waiting for";
    login_fails(
        None,
        &[wire::ready()],
        &format!("{unexpected} an authentication request"),
    );
    login_fails(
        None,
        &[wire::authentication(0, b""), wire::row(&[])],
        &format!("{unexpected} ReadyForQuery"),
    );
    let twice = wire::authentication(3, b"");
    login_fails(
        Some("x"),
        &[twice.clone(), twice],
        &format!("{unexpected} AuthenticationOk"),
    );
}

#[test]
fn methods_that_we_do_not_support_are_named() {
    let refused = |method: &str| {
        format!(
            "rejected by the server: the server requests {method}, which pglookout does not support"
        )
    };
    login_fails(
        Some("x"),
        &[wire::authentication(2, b"")],
        &refused("Kerberos V5"),
    );
    login_fails(
        Some("x"),
        &[wire::authentication(6, b"")],
        &refused("SCM credentials"),
    );
    login_fails(
        Some("x"),
        &[wire::authentication(7, b"")],
        &refused("GSSAPI"),
    );
    login_fails(Some("x"), &[wire::authentication(9, b"")], &refused("SSPI"));
    let others = wire::authentication(10, b"SCRAM-SHA-512\0OAUTHBEARER\0\0");
    login_fails(
        Some("x"),
        &[others],
        &refused("SASL with SCRAM-SHA-512, OAUTHBEARER"),
    );
}

#[test]
fn a_missing_password_is_a_rejection() {
    for password in [None, Some("")] {
        let text = |method| {
            format!(
                "authentication rejected: the server requests a password ({method}), and none is configured"
            )
        };
        login_fails(password, &[wire::authentication(3, b"")], &text("password"));
        login_fails(password, &[wire::authentication(5, b"salt")], &text("md5"));
        login_fails(
            password,
            &[wire::authentication(10, b"SCRAM-SHA-256\0\0")],
            &text("SCRAM-SHA-256"),
        );
    }
}

#[test]
fn what_the_operator_does_not_accept_is_not_answered() {
    let accepting =
        |methods: &str| wire::info(&format!("user=u password=x require_auth='{methods}'"));
    let (all, none) = (accepting(""), accepting("!none,!md5,!scram-sha-256"));
    let mut bound = all.clone();
    bound.channel_binding = ChannelBinding::Require;
    for (login, request, expected) in [
        (
            &all,
            wire::authentication(3, b""),
            Some("the password in cleartext over a connection that is not encrypted"),
        ),
        (&accepting("password"), wire::authentication(3, b""), None),
        (&all, wire::authentication(5, b"salt"), None),
        (
            &none,
            wire::authentication(5, b"salt"),
            Some("the password as md5, which require_auth does not allow"),
        ),
        (
            &none,
            wire::authentication(0, b""),
            Some("requests nothing, which require_auth does not allow"),
        ),
        (
            &none,
            wire::authentication(10, b"SCRAM-SHA-256\0\0"),
            Some("requests SCRAM, which require_auth does not allow"),
        ),
        (
            &bound,
            wire::authentication(0, b""),
            Some("channel binding is required, and the connection is not"),
        ),
        (
            &bound,
            wire::authentication(5, b"salt"),
            Some("channel binding is required, and the connection is not"),
        ),
    ] {
        let mut bench = Bench::start_as(login, Transport::Network);
        let progress = bench.feed(&request).map_err(|failure| failure.to_string());
        match expected {
            None => assert_eq!((progress, bench.sent().len()), (Ok(vec![]), 1)),
            Some(reason) => {
                assert!(
                    progress
                        .clone()
                        .is_err_and(|failure| failure.contains(reason)),
                    "{progress:?} / {reason}"
                );
                assert!(bench.sent().is_empty(), "{reason}");
            }
        }
    }
}

#[test]
fn is_turned_away_by_an_error_before_it_is_let_in_and_by_nothing_else() {
    let error = wire::error("FATAL", "28000", "no entry");
    for (stream, expected) in [
        (vec![error.clone()], true),
        (vec![wire::authentication(5, b"salt"), error.clone()], true),
        (vec![wire::authentication(0, b""), error], false),
        (vec![wire::ready()], false),
    ] {
        let mut bench = Bench::start(Some("x"));
        assert!(bench.feed(&joined(&stream)).is_err());
        assert_eq!(bench.session.was_turned_away(), expected, "{stream:?}");
    }
}

#[test]
fn cleartext_and_md5_passwords_are_sent() {
    let mut bench = Bench::start(Some("password"));
    assert_eq!(bench.feed(&wire::authentication(3, b"")), Ok(vec![]));
    assert_eq!(bench.sent(), [wire::message(b'p', b"password\0")]);
    assert_eq!(bench.feed(&greeting()), Ok(vec![Progress::LoggedIn]));

    let mut bench = Bench::start(Some("password"));
    assert_eq!(
        bench.feed(&wire::authentication(5, &[0x2a, 0x3d, 0x8f, 0xe0])),
        Ok(vec![])
    );
    assert_eq!(
        bench.sent(),
        [wire::message(
            b'p',
            b"md562af4dd09bbb41884907a838a3233294\0"
        )]
    );

    login_fails(
        Some("a\0b"),
        &[wire::authentication(3, b"")],
        "authentication rejected: the configured password cannot be sent: string contains embedded null",
    );
}

/// Begins SCRAM and answers with a challenge of `iterations`; the messages up to here as the proofs
/// cover them, and what the session made of it.
fn challenged(iterations: &str) -> (Bench, String, Result<Vec<Progress>, ProbeFailure>) {
    let mut bench = Bench::start(Some("pencil"));
    assert_eq!(
        bench.feed(&wire::authentication(10, b"SCRAM-SHA-256\0\0")),
        Ok(vec![])
    );
    let first = bench.sent().remove(0);
    assert!(
        first.starts_with(b"p\0\0\0\x36SCRAM-SHA-256\0\0\0\0\x20n,,n=,r="),
        "{first:?}"
    );
    let nonce = std::str::from_utf8(&first[31..]).unwrap();
    let challenge = format!("r={nonce}server,s=c2FsdHNhbHQ=,i={iterations}");
    let progress = bench.feed(&wire::authentication(11, challenge.as_bytes()));
    (bench, format!("n=,r={nonce},{challenge}"), progress)
}

#[test]
fn scram_proves_both_sides() {
    let (mut bench, messages, progress) = challenged("1");
    assert_eq!(progress, Ok(vec![]));
    let answer = bench.sent().remove(0);
    let without_proof = std::str::from_utf8(&answer[5..])
        .unwrap()
        .rsplit_once(",p=")
        .unwrap()
        .0
        .to_owned();
    let salted = scram::hmac(b"pencil", b"saltsalt\0\0\0\x01");
    let key = scram::hmac(&salted, b"Server Key");
    let proof = scram::hmac(&key, format!("{messages},{without_proof}").as_bytes());
    let last = format!("v={}", scram::base64(&proof));
    assert_eq!(
        bench.feed(&wire::authentication(12, last.as_bytes())),
        Ok(vec![])
    );
    assert_eq!(bench.feed(&greeting()), Ok(vec![Progress::LoggedIn]));
}

#[test]
fn scram_is_not_over_before_the_server_has_proved_itself() {
    let waiting = "protocol error: an unexpected message while waiting for the server's SCRAM";
    let mut bench = Bench::start(Some("pencil"));
    bench
        .feed(&wire::authentication(10, b"SCRAM-SHA-256\0\0"))
        .unwrap();
    assert_eq!(
        bench.feed(&greeting()).unwrap_err().to_string(),
        format!("{waiting} challenge")
    );

    let (mut bench, _, progress) = challenged("4096");
    assert_eq!(progress, Ok(vec![]));
    assert!(bench.sent()[0].starts_with(b"p\0\0\0"));
    assert_eq!(
        bench.feed(&greeting()).unwrap_err().to_string(),
        format!("{waiting} proof")
    );
}

#[test]
fn many_iterations_are_computed_in_portions_and_whoever_asks_for_them_lives() {
    let mut bench = Bench::start(Some("pencil"));
    bench
        .feed(&wire::authentication(10, b"SCRAM-SHA-256\0\0"))
        .unwrap();
    let nonce = String::from_utf8(bench.sent().remove(0)[31..].to_vec()).unwrap();
    let challenge = format!("r={nonce}server,s=c2FsdHNhbHQ=,i=600000");
    bench
        .input
        .put_slice(&wire::authentication(11, challenge.as_bytes()));
    let timed_out = ProbeFailure::TimedOut {
        step: ProbeStep::LoggingIn,
    };
    for _ in 0..599 {
        assert_eq!(
            bench.session.receive(&mut bench.input, &mut bench.out),
            Ok(None)
        );
        assert!(bench.session.is_computing() && bench.out.is_empty());
        assert!(
            bench
                .session
                .timed_out(timed_out.clone())
                .is_living_refusal()
        );
        bench.session.compute(&mut bench.out).unwrap();
    }
    bench.session.compute(&mut bench.out).unwrap();
    assert!(!bench.session.is_computing());
    assert_eq!(bench.session.timed_out(timed_out.clone()), timed_out);
    assert!(bench.sent()[0].starts_with(b"p\0\0\0"));
}

#[test]
fn a_wrong_proof_is_a_rejection() {
    let rejected = |text: &str| {
        let (mut bench, _, _) = challenged("1");
        let failure = bench
            .feed(&wire::authentication(12, text.as_bytes()))
            .unwrap_err();
        assert!(
            matches!(failure, ProbeFailure::AuthenticationRejected { .. }),
            "{failure}"
        );
        failure.to_string()
    };
    let wrong = "authentication rejected: the server's proof is wrong";
    assert_eq!(
        rejected("v=AAAA"),
        format!("{wrong}: SCRAM verification error")
    );
    assert_eq!(
        rejected("e=bad\nnews"),
        format!("{wrong}: SCRAM error: bad\\nnews")
    );
}

#[test]
fn an_absurd_challenge_is_declined_and_a_wrong_one_is_nonsense() {
    let (_, _, progress) = challenged("5000001");
    let text = "rejected by the server: pglookout does not accept the answer: the server's SCRAM challenge: SCRAM \
                iteration count exceeds the maximum allowed";
    assert_eq!(progress.unwrap_err().to_string(), text);
    let (_, _, progress) = challenged("1\n");
    assert!(!progress.unwrap_err().to_string().contains('\n'));
    let mut bench = Bench::start(Some("pencil"));
    bench
        .feed(&wire::authentication(10, b"SCRAM-SHA-256\0\0"))
        .unwrap();
    let failure = bench
        .feed(&wire::authentication(11, b"r=other,s=c2FsdA==,i=1"))
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "protocol error: the server's SCRAM challenge: invalid nonce"
    );
}

#[test]
fn a_login_that_cannot_be_sent_is_not_sent() {
    let mut out = BytesMut::new();
    let mut login = login(None);
    login.user = "u\0x".to_owned();
    let mut session = Session::start(&login, 0, Transport::Local, &mut out);
    assert!(out.is_empty());
    let failure = session.receive(&mut BytesMut::new(), &mut out).unwrap_err();
    assert!(!failure.is_living_refusal(), "{failure}");
}
