//! `sslmode`, `channel_binding` and `require_auth` against servers that encrypt, do not, must or
//! must not.

use super::setup::{Case, NAME, Servers, check_all};
use crate::harness::certificates::{Authority, write};

const MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// What comes of each mode, in the order of [`MODES`]: `p` plaintext, `t` TLS, and what the log
/// reports of a failure.
fn cases(
    servers: &Servers,
    server: &'static str,
    letters: &str,
    reasons: &[(&str, &'static str)],
) -> Vec<Case> {
    let root = servers.dir.path().join("root.crt");
    let case = |(mode, letter): (&&str, char)| {
        let roots = if mode.starts_with("verify") {
            format!(" sslrootcert={}", root.display())
        } else {
            String::new()
        };
        let expected = match letter {
            'p' => Ok(false),
            't' => Ok(true),
            _ => Err(reasons.iter().find(|(known, _)| known == mode).unwrap().1),
        };
        let conninfo = servers.conninfo(server, &format!("sslmode={mode}{roots}"));
        Case {
            node: format!("{server}-{mode}"),
            server,
            conninfo,
            expected,
        }
    };
    MODES.iter().zip(letters.chars()).map(case).collect()
}

#[test]
fn each_mode_ends_as_libpqs_does() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let authority = Authority::new("Known CA");
    write(servers.dir.path(), "root.crt", &authority.pem);
    let pair = |address: &str| Some(authority.issue("x", &[NAME, address]));
    servers.start(
        "both",
        pair,
        "host all pglookout 0.0.0.0/0 scram-sha-256",
        "",
    );
    servers.start(
        "only-tls",
        pair,
        "hostssl all pglookout 0.0.0.0/0 scram-sha-256",
        "",
    );
    servers.start(
        "never-tls",
        pair,
        "hostnossl all pglookout 0.0.0.0/0 scram-sha-256",
        "",
    );
    servers.start(
        "off",
        |_| None,
        "host all pglookout 0.0.0.0/0 scram-sha-256",
        "",
    );
    let no_entry = "authentication rejected: FATAL 28000: no pg_hba.conf entry";
    let off = "rejected by the server: the server does not support TLS, which sslmode requires";
    let demanding = |reason| {
        [
            ("require", reason),
            ("verify-ca", reason),
            ("verify-full", reason),
        ]
    };
    let mut all = cases(&servers, "both", "ppttTT".to_lowercase().as_str(), &[]);
    all.extend(cases(
        &servers,
        "only-tls",
        "-ttttt",
        &[("disable", no_entry)],
    ));
    all.extend(cases(&servers, "never-tls", "ppp---", &demanding(no_entry)));
    all.extend(cases(&servers, "off", "ppp---", &demanding(off)));
    check_all(&servers, &all);
}

#[test]
fn logins_are_bound_and_restricted_as_libpqs_are() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let authority = Authority::new("Known CA");
    let pair = |address: &str| Some(authority.issue("x", &[NAME, address]));
    servers.start(
        "scram",
        pair,
        "host all pglookout 0.0.0.0/0 scram-sha-256",
        "",
    );
    servers.start("trust", pair, "host all pglookout 0.0.0.0/0 trust", "");
    servers.start(
        "cleartext",
        pair,
        "host all pglookout 0.0.0.0/0 password",
        "",
    );
    let mut all = Vec::new();
    let mut add = |server, keywords: &str, expected| {
        let node = format!("n{}", all.len());
        all.push(Case {
            node,
            server,
            conninfo: servers.conninfo(server, keywords),
            expected,
        });
    };
    add("scram", "sslmode=require channel_binding=require", Ok(true));
    add("scram", "sslmode=require channel_binding=prefer", Ok(true));
    add("scram", "sslmode=require channel_binding=disable", Ok(true));
    add(
        "scram",
        "sslmode=require ssl_max_protocol_version=TLSv1.2 channel_binding=require",
        Ok(true),
    );
    add(
        "scram",
        "sslmode=require ssl_min_protocol_version=TLSv1.3 channel_binding=require",
        Ok(true),
    );
    let unencrypted =
        "authentication rejected: channel binding is required, and the connection is not encrypted";
    add(
        "scram",
        "sslmode=disable channel_binding=require",
        Err(unencrypted),
    );
    let unbound = "channel binding is required, and the server requests";
    add(
        "trust",
        "sslmode=require channel_binding=require",
        Err(unbound),
    );
    add(
        "cleartext",
        "sslmode=require channel_binding=require",
        Err(unbound),
    );
    add("cleartext", "sslmode=require", Ok(true));
    check_all(&servers, &all);
}

/// Where libpq of the day has no word for it, or errs on the other side.
#[test]
fn a_password_is_not_sent_in_the_clear_unless_allowed() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let authority = Authority::new("Known CA");
    let pair = |address: &str| Some(authority.issue("x", &[NAME, address]));
    servers.start(
        "cleartext",
        pair,
        "host all pglookout 0.0.0.0/0 password",
        "",
    );
    servers.start("trust", pair, "host all pglookout 0.0.0.0/0 trust", "");
    let node = |server, keywords: &str| servers.conninfo(server, keywords);
    let daemon = servers.watch(&[
        ("open", node("cleartext", "sslmode=disable")),
        (
            "allowed",
            node(
                "cleartext",
                "sslmode=disable require_auth=password,scram-sha-256",
            ),
        ),
        (
            "not-excluded",
            node("cleartext", "sslmode=disable require_auth=!md5"),
        ),
        ("encrypted", node("cleartext", "sslmode=require")),
        (
            "excluded",
            node("cleartext", "sslmode=require require_auth=scram-sha-256"),
        ),
        (
            "nothing",
            node("trust", "sslmode=require require_auth=!none"),
        ),
        (
            "direct",
            node("trust", "sslmode=require sslnegotiation=direct"),
        ),
    ]);
    for (node, expected) in [
        (
            "open",
            "requests the password in cleartext over a connection that is not encrypted",
        ),
        ("allowed", ""),
        (
            "not-excluded",
            "requests the password in cleartext over a connection that is not encrypted",
        ),
        ("encrypted", ""),
        (
            "excluded",
            "requests the password in cleartext, which require_auth does not allow",
        ),
        (
            "nothing",
            "requests nothing, which require_auth does not allow",
        ),
        // PostgreSQL 15 does not know it, and hangs up.
        (
            "direct",
            "unreachable: the connection ended within the TLS handshake",
        ),
    ] {
        let complaint = super::setup::complaint(&daemon, node);
        assert_eq!(
            super::setup::connected(&daemon, node),
            expected.is_empty(),
            "{node}: {complaint}"
        );
        assert!(complaint.contains(expected), "{node}: {complaint}");
    }
    daemon.wait_alert("authentication_error", "");
}
