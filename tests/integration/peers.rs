//! What others get: healthy nodes beside dead ones, and readers of `/state.json`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::blackhole::Blackhole;
use crate::harness::daemon::HTTP_PORT;
use crate::harness::http::request;
use crate::harness::vitals::longest_unasked;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn unreachable_hosts_and_unknown_names_do_not_delay_other_nodes() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let hole = Blackhole::open("hole", 5432).unwrap();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["remote_conns"]["hole"] =
            json!(format!("host={} user=pglookout", hole.host.address));
        config["remote_conns"]["nowhere"] = json!("host=nowhere.invalid user=pglookout");
        config["poll_timeout"] = json!(5.0);
    });
    fleet.start_all();
    for name in ["p", "s1"] {
        wait_until("the healthy are reached", SOON, || {
            fleet["s1"].state()[name]["connection"] == true
        });
    }
    let longest = longest_unasked(&fleet["s1"], &["p", "s1"], Duration::from_secs(7));
    assert!(
        longest < Duration::from_secs(2),
        "somebody was not asked for {longest:?}"
    );
    let state = fleet["s1"].state();
    assert_eq!(
        (
            &state["hole"]["connection"],
            &state["nowhere"]["connection"]
        ),
        (&json!(false), &json!(false))
    );
}

/// `2024-04-30T12:34:56.789012Z`, or without the fraction.
fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let (shape, fraction) = text.split_at_checked(19).unwrap_or_default();
    let digits = |text: &str| {
        text.bytes()
            .map(|b| if b.is_ascii_digit() { b'0' } else { b })
            .collect::<Vec<_>>()
    };
    let fraction_is_fine = match digits(fraction).as_slice() {
        b"Z" | b".000000Z" => fraction != ".000000Z",
        _ => false,
    };
    digits(shape) == b"0000-00-00T00:00:00" && fraction_is_fine
}

/// `Tue, 30 Apr 2024 12:34:56 GMT`
fn is_http_date(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_alphabetic() {
                'a'
            } else {
                c
            }
        })
        .collect();
    shape == "aaa, 00 aaa 0000 00:00:00 aaa" && text.ends_with(" GMT")
}

#[test]
fn serves_what_readers_of_a_mixed_fleet_rely_on() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    for target in ["/state.json", "/state.json?from=elsewhere"] {
        let answer = fleet["s1"].get(target).unwrap();
        assert_eq!(answer.status, 200);
        assert!(is_http_date(answer.header("Date").unwrap()), "{answer:?}");
        assert_eq!(
            answer.header("Content-Length"),
            Some(answer.body.len().to_string().as_str())
        );
        let state: Value = serde_json::from_str(&answer.body).unwrap();
        let nodes = state.as_object().unwrap();
        assert_eq!(nodes.keys().collect::<Vec<_>>(), ["p", "s1"]);
        for node in nodes.values() {
            assert!(
                node["connection"].is_boolean() && is_timestamp(&node["fetch_time"]),
                "{node}"
            );
            assert!(is_timestamp(&node["db_time"]), "{node}");
        }
        let (p, s1) = (&nodes["p"], &nodes["s1"]);
        assert_eq!(
            (&p["pg_is_in_recovery"], &s1["pg_is_in_recovery"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(
            (
                &p["pg_last_xlog_receive_location"],
                &p["replication_time_lag"]
            ),
            (&Value::Null, &Value::Null)
        );
        for position in [
            &p["pg_last_xlog_replay_location"],
            &s1["pg_last_xlog_receive_location"],
        ] {
            assert!(
                position.as_str().is_some_and(|lsn| lsn.contains('/')),
                "{state}"
            );
        }
        assert!(answer.body.starts_with("{\n    \""), "indented by 4");
    }
    let ask = |method, target| request(&fleet["s1"].host, HTTP_PORT, method, target).unwrap();
    let head = ask("HEAD", "/state.json");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(
        head.header("Content-Length")
            .is_some_and(|length| length != "0")
    );
    assert_eq!(ask("POST", "/check").status, 204);
    assert_eq!(
        (ask("GET", "/elsewhere").status, ask("GET", "/check").status),
        (404, 405)
    );
}
