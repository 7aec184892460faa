//! What is shown of which facts; see `cluster::scenario`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::cluster::scenario::{Polled, at, config as configured, polled};
use crate::config;
use crate::lookout::{Alert, Event, GivenTurn, Look, Lookout, Memory};
use crate::time::WallTime;
use crate::votes::ElectionCounts;

/// After these facts and a decision at 20 s, of the daemon of s2 or another.
fn status_with(settings: &str, facts: &str, maintenance: bool) -> Status {
    let start = at(0.0);
    let config = Arc::new(configured(settings));
    let mut lookout = Lookout::with_given_turns(config, &Memory::default(), start);
    let mut turn = |event, now| {
        lookout.turn([event], maintenance, now, &mut Vec::new());
    };
    let facts = facts.split(';').map(str::trim);
    for fact in facts.filter(|fact| !fact.is_empty()) {
        let (now, polled) = polled(fact);
        let probe = None;
        turn(
            match polled {
                Polled::Node(node, outcome) => Event::NodeProbed {
                    node,
                    probe,
                    outcome,
                },
                Polled::Observer(observer, outcome) => Event::ObserverProbed {
                    observer,
                    probe,
                    outcome,
                },
            },
            now,
        );
        turn(Event::Turn(GivenTurn::Decision(Look::Regular)), now);
    }
    let now = at(20.0);
    turn(Event::Turn(GivenTurn::Decision(Look::Regular)), now);
    let map = lookout.node_map(now.mono);
    Status::new(&View {
        lookout: &lookout,
        map: &map,
        alerts: &[],
        pause_file: None,
        configuration: &Configuration::default(),
        now,
    })
}

fn status(facts: &str) -> Status {
    status_with("", facts, false)
}

/// Everybody is there.
const WELL: &str = "19 p primary 0/50 timeline=2; 19 s1 standby 0/50 9 timeline=2; 19 s2 standby 0/4F 9 timeline=2; \
    19 o1 at 19: p=up@19; 19 o2 at 19: p=up@19";

fn node<'a>(status: &'a Status, name: &str) -> &'a Node {
    status.nodes.iter().find(|node| node.name == name).unwrap()
}

#[track_caller]
fn check(status: &Status, cluster: &str, failover: &str, problems: &[&str], severity: u8) {
    let shown = |word: String, sentence: &str| format!("{word}: {sentence}");
    let found = shown(
        format!("{:?}", status.cluster.state),
        &status.cluster.sentence,
    );
    assert_eq!(found, cluster);
    let found = shown(
        format!("{:?}", status.failover.state),
        &status.failover.sentence,
    );
    assert_eq!(found, failover);
    assert_eq!(status.problems, problems);
    assert_eq!(status.severity(), severity);
}

#[test]
fn a_healthy_cluster() {
    let status = status(WELL);
    check(
        &status,
        "Healthy: primary p on timeline 2, 2 standbys",
        "Ready: would promote s1; 4 of 5 votes, 3 required; limit 120 s",
        &[],
        0,
    );
    assert_eq!(status.failover.candidate.as_deref(), Some("s1"));
    // The age of the last transaction is no lag where everything is replayed.
    let (s1, s2) = (node(&status, "s1"), node(&status, "s2"));
    assert_eq!((s1.lag_bytes, s1.lag_seconds), (Some(0), Some(0.0)));
    assert_eq!((s2.lag_bytes, s2.lag_seconds), (Some(1), Some(9.0)));
    assert_eq!((s1.own, s2.own, s1.polled), (false, true, Some(1.0)));
    assert_eq!(s1.place.as_deref(), Some("preferred candidate"));
    assert_eq!(node(&status, "p").address, "p:5432");
    let seen = &node(&status, "p").seen;
    assert_eq!(seen.get("o1"), Some(&true), "{seen:?}");
    assert_eq!(seen.get("s2"), Some(&true), "{seen:?}");
}

#[test]
fn nothing_is_reported_before_everybody_was_polled() {
    let status = status("19 p primary 0/50");
    check(
        &status,
        "Starting: not every node and observer has been polled yet",
        "Starting: ",
        &[],
        1,
    );
}

#[test]
fn a_lost_primary_is_a_countdown() {
    let status = status(&format!(
        "{WELL}; 19.5 p unreachable; 19.5 o1 at 19: p=lost@19,19; 19.5 o2 at 19: p=lost@19,19"
    ));
    check(
        &status,
        "NoPrimary: primary p is not reached, last reached 1.0 s ago (unreachable: as scripted), at 0/50",
        "Countdown: s1 will be promoted unless a primary is reached before",
        &["primary p is not reached: unreachable: as scripted"],
        2,
    );
    assert_eq!(status.failover.seconds, Some(119.0));
}

#[test]
fn who_would_not_promote_is_passed_over() {
    let facts = WELL.replace("0/4F", "0/50");
    let maintained = status_with("", &facts, true);
    assert_eq!(maintained.failover.candidate.as_deref(), Some("s1"));
    assert_eq!(
        maintained.problems,
        ["maintenance: pglookout on s2 does not promote it"]
    );
    assert_eq!(maintained.cluster.state, Health::Degraded);
    let nobody = status_with(r#""never_promote_these_nodes": ["s1"]"#, &facts, true);
    check(
        &nobody,
        "Degraded: primary p on timeline 2, 2 standbys",
        "Blocked: the daemons of all candidates step aside: s2",
        &["maintenance: pglookout on s2 does not promote it"],
        2,
    );
}

#[test]
fn a_missing_quorum_blocks() {
    let facts = WELL.replace(
        "19 o1 at 19: p=up@19; 19 o2 at 19: p=up@19",
        "19 o1 unreachable; 19 o2 unreachable",
    );
    let status = status(&facts);
    check(
        &status,
        "Degraded: primary p on timeline 2, 2 standbys",
        "Blocked: no quorum: 2 of 5 votes, 3 required",
        &[
            "observer o1 does not answer: unreachable: as scripted",
            "observer o2 does not answer: unreachable: as scripted",
        ],
        2,
    );
}

/// What a lost server showed at its last answer is older than what others show now.
#[test]
fn a_daemon_is_as_the_server_that_saw_it_last_shows_it() {
    let status = status(
        "9 p primary 0/50 shows=s1:ok+1@0; 19 p unreachable; 19 s1 standby 0/50 shows=s1:ok+2@0.4; \
         19 s2 standby 0/50 shows=s1:wants@0/50+1@0.5",
    );
    let shown = status
        .daemons
        .iter()
        .map(|it| (it.name.as_str(), it.pause.as_str()));
    assert_eq!(shown.collect::<Vec<_>>(), [("s1", "2")]);
}

#[test]
fn several_primaries_and_old_ones() {
    let two = status(&format!("{WELL}; 19.5 s1 primary 0/60 timeline=3"));
    assert_eq!(two.cluster.state, Health::SeveralPrimaries);
    assert_eq!(two.cluster.sentence, "primaries: p (observer o1), s1");
    assert_eq!(two.failover.state, Readiness::Blocked);
    assert_eq!(two.severity(), 2);
    // s2 does not follow the new primary.
    let facts = "10 p primary 0/50 timeline=2; 10 s1 standby 0/50 timeline=2; 10 s2 standby 0/50 timeline=2; \
        10 o1 unreachable; 10 o2 unreachable; 11 p unreachable; 12 s1 primary 0/60 timeline=3; 19 s1 primary 0/70 timeline=3; \
        19 s2 standby 0/50 timeline=2; 19 p unreachable; 19 o1 unreachable; 19 o2 unreachable";
    let status = status(facts);
    assert_eq!(node(&status, "s2").standing, Standing::OldTimeline);
    assert_eq!(node(&status, "p").standing, Standing::Superseded);
    assert_eq!(status.cluster.primary.as_deref(), Some("s1"));
    assert_eq!(
        status.problems[..2],
        [
            "p was the primary before: rewind or rebuild it as a standby before it is started",
            "s2 does not follow the primary: it is on an older timeline, see its primary_conninfo and its log; or it has \
             made no checkpoint since, pg_monitor would show that"
        ]
    );
    let mut s2 = node(&status, "s2").clone();
    s2.upstream = Some("p".to_owned());
    assert_eq!(
        problem::of_node(&s2).unwrap(),
        "s2 does not follow the primary: it is on an older timeline and streams from p, see its primary_conninfo and \
         its log"
    );
}

/// While voters elect, `failover_quorum` is not asked.
#[test]
fn where_voters_elect_so_many_are_required() {
    let voting = r#""vote_directory": "/v", "voting": {"main": {"generation": 1, "secret_file": "/s",
        "voters": {"p": "http://p", "s1": "http://s1", "s2": "http://s2"}}}"#;
    let status = status_with(voting, WELL, false);
    let expected = "would promote s1; 2 of 3 voters required; limit 120 s";
    assert_eq!(status.failover.sentence, expected);
}

#[test]
fn an_observer_knows_no_votes() {
    let status = status_with(
        r#""own_db": null, "observers": {}"#,
        WELL.split("; 19 o1").next().unwrap(),
        false,
    );
    check(
        &status,
        "Healthy: primary p on timeline 2, 2 standbys",
        "Ready: would promote s1; limit 120 s",
        &[],
        0,
    );
    assert_eq!(status.node, None);
}

#[test]
fn a_status_is_read_again_whatever_the_version() {
    let status = status(WELL);
    let read: Status = serde_json::from_slice(&status.to_json()).unwrap();
    assert_eq!(read, status);
    let odd = r#"{"cluster": {"state": "on_fire"}, "nodes": [{"role": "arbiter", "standing": "?"}], "new": 1}"#;
    let read: Status = serde_json::from_str(odd).unwrap();
    assert_eq!(read.cluster.state, Health::Unknown);
    assert_eq!(
        (read.nodes[0].role, read.nodes[0].standing),
        (Role::Unknown, Standing::Unknown)
    );
    assert_eq!(read.severity(), 2);
}

#[test]
fn every_metric_belongs_to_its_family_and_is_escaped() {
    let mut status = status(WELL);
    status.nodes[0].name = "p\"\\\n".to_owned();
    status.alerts.push(StandingAlert::from(&RaisedAlert {
        alert: Alert::FailoverStuck,
        at: WallTime::from_unix_micros(0),
        text: String::new(),
    }));
    let elections = Elections {
        cluster: "main".to_owned(),
        term: Some(3),
        counts: ElectionCounts {
            attempts: [("won", 1)].into(),
            not_granted: [("behind", 2)].into(),
            requests: [("granted", 4)].into(),
            renewals: [("renewed", 5)].into(),
            least_left: Some(Duration::from_millis(7_500)),
        },
        fence_in: Some(12.5),
    };
    status.voter_lists = vec![VoterLists {
        cluster: "main".to_owned(),
        generation: 2,
        stage: "taken".to_owned(),
        voters: [("o".to_owned(), false), ("p".to_owned(), true)].into(),
        change_waits_for: None,
    }];
    let page = |elections| metrics(&status, &Counts::default(), elections, Usage::default());
    let without = page(None);
    for word in [
        "vote_file",
        "voters",
        "voter_",
        "election",
        "vote_requests",
        "lease",
        "fence_in",
    ] {
        assert!(!without.contains(word), "{word} is in\n{without}");
    }
    let page = page(Some(&[elections]));
    for line in [
        r#"pglookout_node_up{node="p\"\\\n"} 1"#,
        r#"pglookout_node_lag_bytes{node="s2"} 1"#,
        r#"pglookout_alert{alert="failover_stuck"} 1"#,
        r#"pglookout_cluster_state{state="healthy"} 1"#,
        r#"pglookout_failover_candidate{node="s1"} 1"#,
        "pglookout_can_failover 1",
        r#"pglookout_alert{alert="voters_disagree"} 0"#,
        r#"pglookout_voter_usable{cluster="main"} 1"#,
        r#"pglookout_election_term{cluster="main"} 3"#,
        r#"pglookout_voter_list_generation{cluster="main"} 2"#,
        r#"pglookout_voter_list_stage{cluster="main",stage="taken"} 1"#,
        r#"pglookout_voter_list_stage{cluster="main",stage="sealed"} 0"#,
        r#"pglookout_voter_has_list{cluster="main",voter="o"} 0"#,
        r#"pglookout_voter_has_list{cluster="main",voter="p"} 1"#,
        r#"pglookout_elections_total{cluster="main",result="won"} 1"#,
        r#"pglookout_election_refusals_total{cluster="main",reason="behind"} 2"#,
        r#"pglookout_vote_requests_total{cluster="main",result="granted"} 4"#,
        r#"pglookout_lease_renewals_total{cluster="main",result="renewed"} 5"#,
        r#"pglookout_fence_in_seconds{cluster="main"} 12.5"#,
        r#"pglookout_fence_in_least_seconds{cluster="main"} 7.5"#,
    ] {
        assert!(
            page.lines().any(|it| it == line),
            "{line} is not in\n{page}"
        );
    }
    let mut families = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let family = rest.split(' ').next().unwrap();
            assert!(!families.contains(&family), "{family} twice");
            families.push(family);
        } else if !line.starts_with('#') {
            assert!(line.starts_with(families.last().unwrap()), "{line}");
        }
    }
}

#[test]
fn polls_and_decisions_are_counted() {
    let mut counts = Counts::default();
    let now = at(0.0);
    let (_, polled) = polled("1 p unreachable");
    let Polled::Node(node, outcome) = polled else {
        panic!("a node");
    };
    let probe = crate::lookout::ProbeId(1);
    counts.effect(
        &crate::lookout::Effect::ProbeNode {
            node: node.clone(),
            probe,
            session: Arc::from(""),
        },
        now.mono,
    );
    counts.event(
        &Event::NodeProbed {
            node: node.clone(),
            probe: Some(probe),
            outcome,
        },
        at(2.0).mono,
    );
    let failed = counts.nodes[&node].failed;
    assert_eq!((failed.count, failed.time.as_secs()), (1, 2));
    assert_eq!(counts.nodes[&node].succeeded.count, 0);
}

#[test]
fn the_lag_of_half_an_hour_is_kept() {
    let status = status(WELL);
    let mut history = LagHistory::default();
    for sample in 0..200 {
        let now = at(f64::from(sample) * 10.0);
        history.sample(&status.nodes, now.mono, now.wall);
    }
    let page: serde_json::Value = serde_json::from_slice(&history.to_json()).unwrap();
    assert_eq!(page["lag_bytes"]["s2"].as_array().unwrap().len(), 180);
    assert_eq!(page["lag_bytes"]["s2"][179], 1);
    history.sample(&[], at(0.0).mono, at(0.0).wall);
    let page: serde_json::Value = serde_json::from_slice(&history.to_json()).unwrap();
    assert_eq!(page["lag_bytes"], serde_json::json!({}));
}

/// Names of the events that these statuses bring one after the other, a second apart.
fn events(watcher: &mut Watcher, statuses: &[&Status], from: f64) -> Vec<String> {
    let patience = Patiences {
        polls: Duration::from_secs(2),
        limit: Duration::from_secs(5),
    };
    let mut found = Vec::new();
    for (number, status) in (0_u32..).zip(statuses) {
        let now = at(from + f64::from(number)).mono;
        for event in watcher.follow(status, patience, now) {
            let subject = event.subject.unwrap_or_default();
            found.push(format!("{} {subject}", event.event).trim_end().to_owned());
        }
    }
    found
}

#[test]
fn conditions_are_reported_when_they_begin_and_end() {
    let well = status(WELL);
    let lost = status(&format!(
        "{WELL}; 19.5 s1 unreachable; 19.6 p unreachable; 19.5 o1 at 19: p=lost@19,19; 19.5 o2 at 19: p=lost@19,19"
    ));
    let mut watcher = Watcher::default();
    assert_eq!(events(&mut watcher, &[&well, &well], 0.0), [""; 0]);
    // The primary's loss at once, a standby's once it has lasted, each once.
    assert_eq!(events(&mut watcher, &[&lost], 2.0), ["primary_lost"]);
    assert_eq!(
        events(&mut watcher, &[&lost, &lost, &lost], 3.0),
        ["node_lost s1"]
    );
    assert_eq!(
        events(&mut watcher, &[&well], 6.0),
        ["primary_back", "node_back s1"]
    );
    // What was over before it was reported never was.
    assert_eq!(
        events(&mut watcher, &[&lost, &well], 7.0),
        ["primary_lost", "primary_back"]
    );
    let starting = status("19 p primary 0/50");
    assert_eq!(events(&mut watcher, &[&starting], 9.0), [""; 0]);
}

#[test]
fn the_steps_of_a_failover_are_reported() {
    let mut well = status(WELL);
    let mut watcher = Watcher::default();
    assert_eq!(events(&mut watcher, &[&well], 0.0), [""; 0]);
    let own = well.nodes.iter_mut().find(|node| node.own).unwrap();
    own.daemon.as_mut().unwrap().state = "promoting".to_owned();
    let promoting = well.clone();
    assert_eq!(
        events(&mut watcher, &[&promoting, &promoting], 1.0),
        ["failover_started"]
    );
    let own = well.nodes.iter_mut().find(|node| node.own).unwrap();
    (own.role, own.connected) = (Role::Primary, true);
    well.cluster.primary = Some("s2".to_owned());
    let found = events(&mut watcher, &[&well, &well], 3.0);
    assert_eq!(found, ["failover_done", "primary_changed s2"]);
}

#[test]
fn every_name_of_an_event_can_be_filtered() {
    let mut names: Vec<_> = events::event_names().collect();
    let mut known = config::EVENT_NAMES.to_vec();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
}
