//! Certificates of servers and of ours: each that is rejected is rejected for its reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::setup::{Case, NAME, Servers, at, check_all, complaint, connected, outcome};
use crate::harness::certificates::{Authority, Pair, self_signed, write, write_for_server};
use crate::harness::cluster::Cluster;
use crate::harness::fleet::{LIMIT, conninfo};
use crate::harness::node::Server;
use crate::harness::postgres::append;
use crate::harness::{Fleet, SOON, wait_until};

const SCRAM: &str = "hostssl all pglookout 0.0.0.0/0 scram-sha-256";

#[test]
fn a_servers_certificate_is_judged_as_libpq_judges_it() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let (known, unknown) = (Authority::new("Known CA"), Authority::new("Other CA"));
    write(servers.dir.path(), "root.crt", &known.pem);
    let own = self_signed(NAME, &[NAME]);
    write(servers.dir.path(), "own.crt", &own.certificate);
    servers.start(
        "valid",
        |address| Some(known.issue("x", &[NAME, address])),
        SCRAM,
        "",
    );
    servers.start(
        "expired",
        |_| Some(known.issue_expired("x", &[NAME])),
        SCRAM,
        "",
    );
    servers.start(
        "wrong-name",
        |_| Some(known.issue("x", &["other.example"])),
        SCRAM,
        "",
    );
    servers.start("unknown", |_| Some(unknown.issue("x", &[NAME])), SCRAM, "");
    servers.start("common-name", |_| Some(known.issue(NAME, &[])), SCRAM, "");
    servers.start("self-signed", |_| Some(own), SCRAM, "");
    write(servers.dir.path(), "empty.crt", "");
    let empty = at(servers.dir.path(), "empty.crt");
    let (root, own) = (
        at(servers.dir.path(), "root.crt"),
        at(servers.dir.path(), "own.crt"),
    );
    let by_address = format!("host={} ", servers.server("valid").host.address);
    let mut all = Vec::new();
    let mut add = |server, mode: &str, roots: &str, expected| {
        let keywords = match roots {
            "" => format!("sslmode={mode}"),
            "by address" => format!("{by_address}sslmode={mode} sslrootcert={root}"),
            roots => format!("sslmode={mode} sslrootcert={roots}"),
        };
        let node = format!("n{}-{server}", all.len());
        all.push(Case {
            node,
            server,
            conninfo: servers.conninfo(server, &keywords),
            expected,
        });
    };
    add("valid", "verify-full", &root, Ok(true));
    add("valid", "verify-full", "by address", Ok(true));
    add(
        "valid",
        "verify-full",
        "",
        Err(".postgresql/root.crt: no such file"),
    );
    add(
        "valid",
        "verify-ca",
        "/nonexistent",
        Err("/nonexistent: no such file"),
    );
    add("valid", "require", "/nonexistent", Ok(true));
    let expired = "authentication rejected: the server's certificate has expired (not after 2024-01-01T00:00:00Z)";
    add("expired", "verify-full", &root, Err(expired));
    add("expired", "require", &root, Err(expired));
    add("expired", "require", "", Ok(true));
    let wrong = "the server's certificate is for other.example, not for db.example";
    add("wrong-name", "verify-full", &root, Err(wrong));
    add("wrong-name", "verify-ca", &root, Ok(true));
    let issuer = "the server's certificate has an unknown issuer: Other CA is not among the authorities of /";
    add("unknown", "verify-ca", &root, Err(issuer));
    add("unknown", "require", &root, Err(issuer));
    // Tried in plaintext after that, which this server does not take.
    add(
        "unknown",
        "prefer",
        &root,
        Err("no encryption (before that: authentication rejected: the server's certificate"),
    );
    add("unknown", "require", "", Ok(true));
    // Files of ours that cannot be used are a failed handshake as well.
    add(
        "valid",
        "require",
        &empty,
        Err("authentication rejected: /"),
    );
    add(
        "valid",
        "prefer",
        &empty,
        Err("empty.crt: holds no certificate of an authority)"),
    );
    add(
        "self-signed",
        "verify-full",
        &root,
        Err("certificate (db.example) is self-signed, and is not among"),
    );
    add("self-signed", "verify-full", &own, Ok(true));
    add("common-name", "verify-full", &root, Ok(true));
    check_all(&servers, &all);
}

#[test]
fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let (known, unknown) = (Authority::new("Known CA"), Authority::new("Other CA"));
    let dir = servers.dir.path().to_owned();
    let ours = known.issue("pglookout", &[]);
    write(&dir, "ours.crt", &ours.certificate);
    write(&dir, "ours.key", &ours.key);
    write(&dir, "open.key", &ours.key);
    fs::set_permissions(dir.join("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    write(&dir, "locked.key", locked);
    let other = unknown.issue("pglookout", &[]);
    write(&dir, "other.crt", &other.certificate);
    write(&dir, "other.key", &other.key);
    write_for_server(&dir, "clients.crt", &known.pem);
    let settings = format!("ssl_ca_file = '{}'\n", at(&dir, "clients.crt"));
    let pair = |address: &str| Some(known.issue("x", &[NAME, address]));
    servers.start(
        "demands",
        pair,
        "hostssl all pglookout 0.0.0.0/0 cert",
        &settings,
    );
    let mut all = Vec::new();
    let mut add = |certificate: &str, key: &str, more: &str, expected| {
        let files = match certificate {
            "" => String::new(),
            _ => format!("sslcert={} sslkey={}", at(&dir, certificate), at(&dir, key)),
        };
        let conninfo = servers.conninfo("demands", &format!("sslmode=require {files} {more}"));
        all.push(Case {
            node: format!("n{}", all.len()),
            server: "demands",
            conninfo,
            expected,
        });
    };
    add("ours.crt", "ours.key", "", Ok(true));
    add(
        "ours.crt",
        "ours.key",
        "ssl_max_protocol_version=TLSv1.2",
        Ok(true),
    );
    add(
        "",
        "",
        "",
        Err("FATAL 28000: connection requires a valid client certificate"),
    );
    add(
        "other.crt",
        "other.key",
        "",
        Err("the server does not accept our client certificate (TLS alert UnknownCA)"),
    );
    add(
        "ours.crt",
        "open.key",
        "",
        Err("open.key: others may read it (mode 0644); expected 0600"),
    );
    add("ours.crt", "none.key", "", Err("none.key: No such file"));
    add(
        "ours.crt",
        "other.key",
        "",
        Err("other.key: is not the key of /"),
    );
    add(
        "ours.crt",
        "locked.key",
        "",
        Err("locked.key: the key is encrypted, which is not supported"),
    );
    add(
        "none.crt",
        "ours.key",
        "",
        Err("connection requires a valid client certificate"),
    );
    check_all(&servers, &all);
}

#[test]
fn renewed_files_are_read_again_and_special_files_delay_nothing() {
    let Some(mut servers) = Servers::new() else {
        return;
    };
    let (known, unknown) = (Authority::new("Known CA"), Authority::new("Other CA"));
    let dir = servers.dir.path().to_owned();
    write(&dir, "root.crt", &unknown.pem);
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::File::create(dir.join("huge"))
        .and_then(|file| file.set_len(1 << 30))
        .unwrap();
    servers.start(
        "valid",
        |address| Some(known.issue("x", &[NAME, address])),
        SCRAM,
        "",
    );
    let node = |root: &str| {
        servers.conninfo(
            "valid",
            &format!("sslmode=verify-full sslrootcert={}", at(&dir, root)),
        )
    };
    let daemon = servers.watch(&[
        ("renewed", node("root.crt")),
        ("fifo", node("fifo")),
        ("huge", node("huge")),
    ]);
    assert!(
        complaint(&daemon, "renewed").contains("unknown issuer"),
        "{}",
        complaint(&daemon, "renewed")
    );
    assert!(
        complaint(&daemon, "fifo").contains("fifo: not a regular file"),
        "{}",
        complaint(&daemon, "fifo")
    );
    assert!(
        complaint(&daemon, "huge").contains("huge: is larger than"),
        "{}",
        complaint(&daemon, "huge")
    );
    write(&dir, "root.crt", &known.pem);
    wait_until("the new authorities count", SOON, || {
        connected(&daemon, "renewed") == true
    });
    assert_eq!(connected(&daemon, "fifo"), false);
}

#[test]
fn an_expired_certificate_is_no_failover_and_a_crash_is_one() {
    let Some(mut cluster) = Cluster::prepare(&["s1", "s2"]) else {
        return;
    };
    let authority = Authority::new("Known CA");
    let root = write(cluster.dir(), "root.crt", &authority.pem);
    let give = |server: &Server, issue: fn(&Authority, &str, &[&str]) -> Pair| {
        let pair = issue(&authority, "x", &[&server.host.address.to_string()]);
        write_for_server(&server.data, "server.crt", &pair.certificate);
        write_for_server(&server.data, "server.key", &pair.key);
    };
    for server in cluster.servers() {
        give(server, Authority::issue);
        append(&server.data.join("postgresql.conf"), "ssl = on\n");
        let hba = "host all postgres 0.0.0.0/0 trust\nhost replication postgres 0.0.0.0/0 trust\n";
        write_for_server(&server.data, "pg_hba.conf", &format!("{hba}{SCRAM}\n"));
    }
    cluster.start_all();
    let verified = |name: &str| {
        let tls = format!(
            "sslmode=verify-full sslrootcert={} channel_binding=require",
            root.display()
        );
        json!(format!(
            "{} {tls} application_name={name}",
            conninfo(&cluster[name])
        ))
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        for name in ["p", "s1", "s2"] {
            config["remote_conns"][name] = verified(name);
        }
    });
    assert_eq!(outcome(&fleet["s1"], &cluster["s2"], "s2"), Ok(true));
    give(&cluster["p"], Authority::issue_expired);
    cluster["p"].query("SELECT pg_reload_conf()");
    wait_until("nobody accepts the primary any more", SOON, || {
        cluster["p"].disconnect_daemons();
        ["p", "s1", "s2", "o"]
            .iter()
            .all(|name| connected(&fleet[name], "p") == false)
    });
    fleet.nobody_promotes_for(LIMIT + 2.0);
    fleet["s1"].wait_alert("authentication_error", "certificate has expired");
    give(&cluster["p"], Authority::issue);
    cluster["p"].query("SELECT pg_reload_conf()");
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    let (winner, _) = fleet.wait_promotion();
    wait_until("the winner takes writes", SOON, || {
        !cluster[winner].is_in_recovery()
    });
    cluster[winner].insert_rows(1);
    wait_until("everybody knows the new primary", SOON, || {
        ["s1", "s2", "o"]
            .iter()
            .all(|name| fleet[name].current_primary().as_deref() == Some(winner))
    });
    assert_eq!(fleet.promoted(), [winner]);
}
