use super::super::world::check;

#[test]
fn everybody_keeps_a_beat_of_their_own() {
    check(
        r#""observers": {"o1": "http://o1"}"#,
        "0 s1 standby in 3\n0 p primary in 12\n21 end",
        "ask",
        "0 ask p
         0 ask s1
         0 ask s2
         0 ask o1
         5 ask s1
         5 ask s2
         5 ask o1
         10 ask s1
         10 ask s2
         10 ask o1
         12 ask p
         15 ask s1
         15 ask s2
         15 ask o1
         20 ask s1
         20 ask s2
         20 ask o1",
    );
}

#[test]
fn a_slow_node_is_asked_again_as_soon_as_it_has_reported() {
    check(
        "",
        "0 p primary in 12\n40 end",
        "ask p",
        "0 ask p\n12 ask p\n24 ask p\n36 ask p",
    );
    check("", "0 p silent\n40 end", "ask p", "0 ask p");
}

#[test]
fn nobody_is_asked_more_often_than_the_spacing_allows() {
    check(
        "",
        "20.5 p lost\n20.52 p lost\n20.54 check\n20.55 p lost\n20.56 check\n20.75 end",
        "ask p",
        "20.5 ask p
         20.6 ask p",
    );
}

#[test]
fn who_polls_fast_is_spaced_by_half_an_interval() {
    check(
        r#""db_poll_interval": 0.1"#,
        "20.51 p lost\n20.52 check\n20.56 end",
        "ask p",
        "20.55 ask p",
    );
}

#[test]
fn a_shorter_interval_holds_from_the_reload_on() {
    check(
        r#""db_poll_interval": 60"#,
        "10 reload \"db_poll_interval\": 4\n19 end",
        "ask p",
        "10 ask p\n14 ask p\n18 ask p",
    );
}

#[test]
fn who_is_new_is_asked_at_once_and_who_has_left_no_more() {
    check(
        "",
        r#"21 reload "remote_conns": {"p": "host=p", "s2": "host=s2", "n": "host=n"}, "observers": {"o": "http://o"}
           21 n standby
           21 o sees p
           24 end"#,
        "ask",
        "21 ask n
         21 ask p
         21 ask s2
         21 ask o",
    );
}
