//! Announce, then look; see `scene`.

use super::super::scene::*;

/// Both standbys show our announcement, and what else s1's server shows.
fn shown(others: &str) -> String {
    let ours = "shows=s2:wants@0/50@0";
    format!(
        "5 p primary; 299 p unreachable; 299 s1 standby 0/40 {ours}{others}; 299 s2 standby {ours}"
    )
}

const ANNOUNCED: &str = "300 fresh announced@298";

#[test]
fn who_would_promote_announces_it_first() {
    check("", &shown(""), "300 fresh", "announce announced");
    check("", &shown(""), ANNOUNCED, "promote primary_unreachable");
    // Where no server shows sessions there is nothing to announce.
    check("", LOST, "300 fresh", "promote primary_unreachable");
    // Nothing will be promoted without a command.
    let empty = r#""failover_command": """#;
    check(
        empty,
        &shown(""),
        "300 fresh",
        "promote primary_unreachable",
    );
}

#[test]
fn every_server_has_to_show_the_announcement() {
    let one = |s1: &str| {
        format!(
            "5 p primary; 299 p unreachable; 299 s2 standby shows=s2:wants@0/50@0; 299 s1 standby{s1}"
        )
    };
    check("", &one(" shows=s2:ok@0"), ANNOUNCED, "announce not_shown");
    check("", &one(" shows=-"), ANNOUNCED, "announce not_shown");
    check("", &one(""), ANNOUNCED, "promote primary_unreachable");
    // An answer from before may show an announcement that was withdrawn.
    check(
        "",
        &shown(""),
        "300 fresh announced@299.5",
        "announce not_shown",
    );
}

#[test]
fn another_that_promotes_is_given_way_whatever_the_order() {
    for moment in ["300 fresh", ANNOUNCED] {
        check("", &shown(",s1:promoting@0"), moment, "hold other_promotes");
        check("", &shown(",s0:promoting@0"), moment, "hold other_promotes");
    }
    // A session that was not used for three polls is nobody's.
    check(
        "",
        &shown(",s1:promoting@13.9"),
        ANNOUNCED,
        "hold other_promotes",
    );
    check(
        "",
        &shown(",s1:promoting@14"),
        ANNOUNCED,
        "promote primary_unreachable",
    );
}

#[test]
fn another_that_has_announced() {
    let preferred = r#""failover_priorities": {"s1": 3}"#;
    for (settings, other, expected) in [
        ("", "s1:wants@0/60", "hold other_announced"),
        ("", "s1:wants@0/40", "announce others_announced"),
        ("", "s1:wants@0/50", "announce others_announced"),
        ("", "s3:wants@0/50", "hold other_announced"),
        (preferred, "s1:wants@0/50", "hold other_announced"),
        (preferred, "s1:wants@0/4F", "announce others_announced"),
        // Without a position its node's last known one counts; of an unknown node, none does.
        ("", "s1:wants", "announce others_announced"),
        ("", "s9:wants", "hold other_announced"),
    ] {
        check(
            settings,
            &shown(&format!(",{other}@0")),
            ANNOUNCED,
            expected,
        );
    }
}

#[test]
fn between_daemons_with_different_settings_priorities_are_left_out() {
    // s1 may prefer itself just so: one of the two has to withdraw.
    let s1_first = r#""failover_priorities": {"s1": 3}"#;
    let s2_first = r#""failover_priorities": {"s2": 3}"#;
    for settings in [s1_first, s2_first] {
        for (other, expected) in [
            ("s1:wants@0/50", "announce others_announced"),
            ("s3:wants@0/50", "hold other_announced"),
            ("s1:wants@0/51", "hold other_announced"),
        ] {
            let other = format!(",{other}@0#12345678");
            check(settings, &shown(&other), ANNOUNCED, expected);
        }
    }
}

/// s1 is reached by the observer only, whose answer this is.
fn relayed(answer: &str) -> String {
    format!(
        "5 p primary; 6 s1 standby; 299 p unreachable; 299 s1 unreachable; \
         299 s2 standby shows=s2:wants@0/50@0; {answer}"
    )
}

#[test]
fn what_a_server_showed_before_it_was_lost_grows_old_though_the_clock_of_the_observer_goes_back() {
    let shown = |at: &str| {
        format!("280 o1 at 280: p=lost@280,5 s1=standby@280,0/50|shows=s1:promoting@0; {at}")
    };
    let lost = "p=lost@99,5 s1=gone@100,0/50|shows=s1:promoting@0";
    let facts = relayed(&shown(&format!("299 o1 at 100: {lost}")));
    check(
        ONE_OBSERVER,
        &facts,
        ANNOUNCED,
        "promote primary_unreachable",
    );
}

#[test]
fn an_observer_relays_what_servers_show() {
    let answer = |s1: &str| {
        relayed(&format!(
            "300 o1 at 300: p=lost@299,5 s1=standby@300,0/50|shows={s1}"
        ))
    };
    let promote = "promote primary_unreachable";
    check(ONE_OBSERVER, &answer("-"), ANNOUNCED, promote);
    check(
        ONE_OBSERVER,
        &answer("s1:promoting@0"),
        ANNOUNCED,
        "hold other_promotes",
    );
    check(
        ONE_OBSERVER,
        &answer("s1:wants@0/60@0"),
        ANNOUNCED,
        "hold other_announced",
    );
    check(ONE_OBSERVER, &answer("s1:promoting@15"), ANNOUNCED, promote);
    // What a server showed that the observer has lost since grows old.
    let lost = |at: &str| {
        let p = format!("p=lost@300,{at}|shows=s1:promoting@0");
        relayed(&format!("300 o1 at 300: {p} s1=standby@300,0/50"))
    };
    let limit = format!(r#"{ONE_OBSERVER}, "max_failover_replication_time_lag": 10"#);
    check(&limit, &lost("280"), ANNOUNCED, promote);
    check(&limit, &lost("289"), ANNOUNCED, "hold other_promotes");
}

#[test]
fn an_older_relay_is_waited_for() {
    let answer = |date: &str, at: &str| {
        relayed(&format!(
            "300.5 o1 at {date}: p=lost@299,5 s1=standby@{at},0/50|shows=-"
        ))
    };
    let old = answer("300.5", "298");
    check(
        ONE_OBSERVER,
        &old,
        "300.5 fresh announced@298",
        "announce old_relay",
    );
    let later = answer("300.5", "298.1");
    check(
        ONE_OBSERVER,
        &later,
        "300.5 fresh announced@298",
        "promote primary_unreachable",
    );
    // A `Date` of whole seconds may be a second off.
    let whole = answer("300", "298.5");
    check(
        ONE_OBSERVER,
        &whole,
        "300.5 fresh announced@298",
        "announce old_relay",
    );
    // Not for longer than the limit.
    check(
        ONE_OBSERVER,
        &old,
        "300.5 fresh announced@180.5",
        "promote primary_unreachable",
    );
}
