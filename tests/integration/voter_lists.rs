//! Changes of the list of voters with real daemons: three voters become three others, by editing the
//! configuration of one host after the other.

use serde_json::{Value, json};

use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::voting::{equip, replays, urls, votes_command};
use crate::harness::{Cluster, Fleet, SOON, wait_until};
use crate::votes::{record, text};

const SERVERS: [&str; 5] = [PRIMARY, "s1", "s2", "s3", "s4"];

/// Every server that is no voter is never promoted.
fn set_list(cluster: &Cluster, fleet: &mut Fleet, name: &str, list: (u64, &[&str])) {
    let others = SERVERS.iter().filter(|server| !list.1.contains(server));
    let config = &mut fleet[name].config;
    config["never_promote_these_nodes"] = json!(others.collect::<Vec<_>>());
    config["voting"]["main"]["generation"] = json!(list.0);
    config["voting"]["main"]["voters"] = urls(cluster, list.1);
}

/// The operator edits one host, and reloads.
fn edit(cluster: &Cluster, fleet: &mut Fleet, name: &str, list: (u64, &[&str])) {
    set_list(cluster, fleet, name, list);
    fleet[name].reload();
}

/// The vote file is made, and the daemon started; what the operator is told.
fn start(cluster: &Cluster, fleet: &mut Fleet, name: &str, list: (u64, &[&str])) -> String {
    equip(cluster, fleet, name, list, false);
    set_list(cluster, fleet, name, list);
    fleet[name].write_config(&fleet[name].config.to_string());
    let made = votes_command(&fleet[name], &["init"]);
    fleet[name].start();
    text(&made)
}

/// The host of a new voter.
fn join(cluster: &Cluster, fleet: &mut Fleet, name: &str, list: (u64, &[&str])) {
    let made = start(cluster, fleet, name, list);
    let generation = list.0;
    let expected = format!("votes once another voter reports that list {generation} is accepted");
    assert!(made.contains(&expected), "{made}");
}

fn page(fleet: &Fleet, name: &str) -> Value {
    let page = fleet[name].get("/votes.json").map(|answer| answer.body);
    let page: Value = serde_json::from_str(&page.unwrap_or_default()).unwrap_or_default();
    page["main"].clone()
}

fn wait_stage(fleet: &Fleet, names: &[&str], generation: u64, stage: &str) {
    for name in names {
        let what = format!("{name} knows list {generation} to be {stage}");
        wait_until(&what, SOON, || {
            let page = page(fleet, name);
            page["generation"] == generation && page["list"] == stage
        });
    }
}

#[test]
fn three_voters_become_three_others_and_one_is_elected_in_between() {
    let Some(mut cluster) = Cluster::start(&SERVERS[1..]) else {
        return;
    };
    let first = [PRIMARY, "s1", "s2"];
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    for name in first {
        let made = start(&cluster, &mut fleet, name, (1, &first));
        assert!(made.contains("it has voted for nobody yet"), "{made}");
    }
    wait_stage(&fleet, &first, 1, "sealed");
    // The primary's daemon gives way to the observer: one host after the other, the new one last.
    let second = ["s1", "s2", OBSERVER];
    for name in first {
        edit(&cluster, &mut fleet, name, (2, &second));
    }
    join(&cluster, &mut fleet, OBSERVER, (2, &second));
    wait_stage(&fleet, &["s1", "s2", OBSERVER, PRIMARY], 2, "sealed");
    let shown = text(&votes_command(&fleet["s1"], &[]));
    assert!(
        shown.contains("s1 is one of 3 voters, 2 elect; list 2, sealed"),
        "{shown}"
    );
    let log = fleet[PRIMARY].log();
    assert!(
        log.contains("list 2 is sealed, without this daemon"),
        "{log}"
    );
    fleet[PRIMARY].stop();
    // A list that was skipped, or taken back, is none.
    edit(&cluster, &mut fleet, "s1", (4, &second));
    fleet["s1"].wait_alert("voters_disagree", "expected generation 3");
    edit(&cluster, &mut fleet, "s1", (1, &first));
    fleet["s1"].wait_alert("voters_disagree", "never taken back");
    edit(&cluster, &mut fleet, "s1", (2, &second));
    wait_until("the alert ends", SOON, || {
        !fleet["s1"].has_alert("voters_disagree")
    });
    // s1 gives way to s3: the new one first.
    let third = ["s2", OBSERVER, "s3"];
    join(&cluster, &mut fleet, "s3", (3, &third));
    for name in [OBSERVER, "s2", "s1"] {
        edit(&cluster, &mut fleet, name, (3, &third));
    }
    wait_stage(&fleet, &["s2", OBSERVER, "s3"], 3, "sealed");
    // s2 gives way to s4. In the middle of that the primary fails, and a daemon crashes.
    let last = [OBSERVER, "s3", "s4"];
    edit(&cluster, &mut fleet, "s2", (4, &last));
    wait_stage(&fleet, &["s2"], 4, "taken");
    let metrics = fleet["s2"].get("/metrics").unwrap().body;
    for line in [
        r#"pglookout_voter_list_generation{cluster="main"} 4"#,
        r#"pglookout_voter_list_stage{cluster="main",stage="taken"} 1"#,
        r#"pglookout_voter_has_list{cluster="main",voter="s3"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    wait_until("the status shows who has another list", SOON, || {
        let status = fleet["s2"].get("/status.json").map(|answer| answer.body);
        let status: Value = serde_json::from_str(&status.unwrap_or_default()).unwrap_or_default();
        let list = &status["voter_lists"][0];
        let missing = list["change_waits_for"].as_str().unwrap_or_default();
        list["generation"] == 4 && list["stage"] == "taken" && missing.contains("s3 has list 3")
    });
    assert_eq!(
        record(&fleet["s2"])["former_voters"]
            .as_object()
            .map(|it| it.len()),
        Some(3)
    );
    fleet["s2"].kill_nine();
    fleet["s2"].start();
    wait_stage(&fleet, &["s2"], 4, "taken");
    cluster[PRIMARY].kill_nine_all();
    let (winner, _) = fleet.wait_promotion();
    assert_eq!(winner, "s3");
    // The rest is edited.
    for name in [OBSERVER, "s3"] {
        edit(&cluster, &mut fleet, name, (4, &last));
    }
    join(&cluster, &mut fleet, "s4", (4, &last));
    wait_stage(&fleet, &last, 4, "sealed");
    assert_eq!(fleet.promoted(), ["s3"]);
    let file = record(&fleet["s3"]);
    assert_eq!(
        (&file["former_voters"], &file["list"]),
        (&Value::Null, &Value::Null)
    );
    let term = file["term"].as_u64().unwrap();
    assert!(term > 0 && record(&fleet["s3"])["voted_for"]["candidate"] == "s3");
    // What was recorded is decided again when it is replayed.
    replays(&fleet, &["s1", "s2", "s3", "s4", OBSERVER]);
}
