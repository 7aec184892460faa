//! Promotion by votes, on real servers with real daemons: a majority elects one, less than that nobody,
//! and a vote outlives the voter's process.

use std::fs;
use std::io::{Read, Write};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Account;
use crate::harness::voting::{self, votes, votes_command};
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

const VOTERS: [&str; 4] = ["p", "s1", "s2", OBSERVER];

/// Daemons that vote, their vote files made; not started yet. `voters`: of them.
pub(crate) fn prepare(cluster: &Cluster, voters: &[&str], dry: bool) -> Fleet {
    let mut fleet = Fleet::prepare(cluster, |_, _| ());
    voting::set_up(cluster, &mut fleet, voters, dry);
    for name in voters {
        let again = votes_command(&fleet[name], &["init"]);
        assert!(text(&again).contains("made once"), "{}", text(&again));
    }
    fleet
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// The record in the vote file.
pub(crate) fn record(daemon: &Daemon) -> Value {
    let file = fs::read(daemon.path("votes").join("main.votes")).unwrap();
    serde_json::from_slice::<Value>(&file).unwrap()["votes"].clone()
}

/// Voters are asked at the start and every half minute; not all may have run at the start.
fn wait_voters_answer(fleet: &mut Fleet, names: &[&str]) {
    for name in names {
        fleet[name].stop();
        fleet[name].start();
        wait_until(&format!("{name} has answers of all voters"), SOON, || {
            let page = fleet[name].get("/votes.json").map(|answer| answer.body);
            let page: Value = serde_json::from_str(&page.unwrap_or_default()).unwrap_or_default();
            let peers = page["main"]["peers"].as_object();
            peers.is_some_and(|peers| {
                let is_well = |peer: &Value| peer["why"] != "no_answer" && peer["why"] != "list";
                peers.len() == names.len() - 1 && peers.values().all(is_well)
            })
        });
    }
}

#[test]
fn one_standby_is_promoted_after_a_majority_has_voted() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = prepare(&cluster, &VOTERS, false);
    fleet.start_all();
    fleet.wait_settled();
    wait_voters_answer(&mut fleet, &VOTERS);
    let shown = votes_command(&fleet["s1"], &[]);
    assert!(
        text(&shown).contains("s1 is one of 4 voters, 3 elect; list 1"),
        "{}",
        text(&shown)
    );
    // An observer cannot know what is fenced.
    for (name, told) in [
        ("s1", "no lease, no fence"),
        (OBSERVER, "on the database hosts"),
    ] {
        let guarantees = votes(&fleet[name])["guarantees"].to_string();
        assert!(guarantees.contains(told), "{name}: {guarantees}");
    }
    cluster[PRIMARY].kill_nine_all();
    let (winner, _) = fleet.wait_promotion();
    let winner = winner.to_owned();
    wait_until("the new primary takes writes", SOON, || {
        !cluster[&winner].is_in_recovery()
    });
    fleet.nobody_promotes_for(4.0);
    assert_eq!(fleet.promoted(), [winner.as_str()]);
    let voted = VOTERS.iter().filter(|name| {
        let record = record(&fleet[name]);
        record["voted_for"]["candidate"] == winner.as_str()
    });
    assert!(
        voted.count() >= 3,
        "{:?}",
        VOTERS.map(|name| record(&fleet[name]))
    );
    let term = record(&fleet[&winner])["term"].as_u64().unwrap();
    let told = fs::read_to_string(fleet[&winner].path("terms")).unwrap();
    assert_eq!(told.trim(), format!("PGLOOKOUT_TERM={term}"));
    let log = fleet[&winner].log();
    assert!(log.contains(&format!("elected in term {term}")), "{log}");
    let state = fleet[&winner].state_file();
    assert_eq!(state["votes"]["main"]["voted_for"], winner.as_str());
    // What was recorded is decided again when it is replayed.
    voting::replays(&fleet, &VOTERS);
    // A voter keeps its vote, whatever happens to its process.
    let name = if winner == "s1" { "s2" } else { "s1" };
    let before = record(&fleet[name]);
    fleet[name].kill_nine();
    fleet[name].start();
    assert_eq!(record(&fleet[name]), before);
    wait_until("it votes on", SOON, || {
        let page = fleet[name].get("/votes.json").map(|answer| answer.body);
        page.is_ok_and(|page| {
            let page: Value = serde_json::from_str(&page).unwrap_or_default();
            page["main"]["term"] == before["term"] && page["main"]["unusable"].is_null()
        })
    });
}

#[test]
fn without_a_majority_nobody_is_promoted_and_the_reason_is_explained() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let voters = ["p", "s1", "s2"];
    let mut fleet = prepare(&cluster, &voters, false);
    // By the old rule these would do.
    fleet["s1"].config["failover_quorum"] = json!("half");
    fleet.start_all();
    fleet.wait_settled();
    wait_voters_answer(&mut fleet, &voters);
    fleet["p"].kill_nine();
    fleet["s2"].kill_nine();
    cluster[PRIMARY].kill_nine_all();
    cluster["s2"].kill_nine_all();
    wait_until("s1 asks, and is refused", SOON, || {
        fleet["s1"]
            .log()
            .contains("not elected: 1 of 3 voters in term 1, 2 are needed")
    });
    fleet.nobody_promotes_for(4.0);
    assert_eq!(record(&fleet["s1"])["term"], 0, "nothing was voted on");
    let explained = fleet["s1"]
        .host
        .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own)
        .arg("explain")
        .arg(fleet["s1"].config_path())
        .output()
        .unwrap();
    let explained = text(&explained);
    let reasons = [
        "does not answer",
        "others go first after attempts that failed",
        "asking for votes",
    ];
    assert!(
        reasons.iter().any(|reason| explained.contains(reason)),
        "{explained}"
    );
    let shown = votes_command(&fleet["s1"], &[]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown).contains("does not answer"), "{}", text(&shown));
    // One voter comes back: that is a majority.
    fleet["p"].start();
    fleet.wait_promotion();
    assert_eq!(fleet.promoted(), ["s1"]);
}

#[test]
fn a_voter_without_its_file_or_lock_votes_for_nobody_and_reports_it() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = prepare(&cluster, &["p", "s1", "s2"], true);
    let file = fleet["s1"].path("votes").join("main.votes");
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() / 2]).unwrap();
    fleet.start_all();
    fleet["s1"].wait_alert("vote_file_unusable", "torn");
    fleet["s2"].wait_alert("voters_disagree", "s1 has no usable vote file");
    let shown = votes_command(&fleet["s1"], &[]);
    assert!(
        text(&shown).contains("votes for nobody"),
        "{}",
        text(&shown)
    );
    fs::write(&file, &content).unwrap();
    wait_until("it votes again by itself", SOON, || {
        !fleet["s1"].has_alert("vote_file_unusable")
    });
    // Another process has the directory.
    fleet["s2"].stop();
    let directory = fs::File::open(fleet["s2"].path("votes")).unwrap();
    directory.lock().unwrap();
    fleet["s2"].start();
    fleet["s2"].wait_alert("vote_file_unusable", "another pglookout");
    drop(directory);
    wait_until("it has the lock, and votes", SOON, || {
        !fleet["s2"].has_alert("vote_file_unusable")
    });
    // Whoever does not know the secret learns nothing and holds nobody up.
    let ask = |fields: &str, body: &[u8]| {
        let (host, limit) = (cluster.host("s1"), Duration::from_secs(3));
        let mut stream = host.connect(HTTP_PORT, limit).unwrap();
        let length = body.len();
        let head = format!(
            "POST /vote HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.get(9..12).map(str::to_owned)
    };
    let mac = format!("Pglookout-Mac: {}\r\n", "0a".repeat(32));
    for (fields, body, status) in [
        ("", "{}".to_owned(), "401"),
        (mac.as_str(), "{}".to_owned(), "401"),
        (mac.as_str(), "x".repeat(2049), "413"),
    ] {
        assert_eq!(ask(fields, body.as_bytes()).as_deref(), Some(status));
    }
}

/// What a daemon shows, writes and runs is what it was before there were votes.
#[test]
fn without_voting_nothing_is_seen_of_it() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let record = fleet["s1"].path("record.jsonl");
    fleet["s1"].config["flight_recorder"] = json!(record);
    let config = fleet["s1"].config.to_string();
    fleet["s1"].write_config(&config);
    fleet.start_all();
    fleet.wait_settled();
    let daemon = &fleet["s1"];
    let page = |path: &str| daemon.get(path).unwrap().body;
    let shown = [
        page("/metrics"),
        daemon.state_file().to_string(),
        fs::read_to_string(&record).unwrap(),
        daemon.log(),
    ];
    for text in shown {
        for word in [
            "voting",
            "vote_",
            "voters_disagree",
            "voter_usable",
            "election_",
            "elections_",
            "lease_time",
            "\"term\"",
            "step_aside",
        ] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    assert!(daemon.state_file().get("votes").is_none());
    // As of any path that is none, whatever the method and the length of the body.
    let head = |answer: String| {
        let lines = answer.lines().filter(|line| !line.contains("Date"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (method, length) in [("GET", 0), ("POST", 3), ("POST", 2049), ("PUT", 3)] {
        let answer = |path: &str| head(raw(daemon, method, path, length));
        let (vote, votes, none) = (answer("/vote"), answer("/votes.json"), answer("/none"));
        assert!(none[0].contains("404"), "{none:?}");
        assert_eq!((&vote, &votes), (&none, &none), "{method}");
    }
    wait_until("only files are read in a child", SOON, || {
        let (pid, mut names) = (daemon.pid(), Vec::new());
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        for child in children.split_whitespace() {
            // One that writes the state file comes and goes.
            names.extend(fs::read_to_string(format!("/proc/{child}/comm")));
        }
        names == ["pglookout-files\n"]
    });
}

/// The whole answer.
fn raw(daemon: &Daemon, method: &str, path: &str, length: usize) -> String {
    let mut stream = daemon
        .host
        .connect(HTTP_PORT, Duration::from_secs(3))
        .unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = vec![b'x'; length];
    stream
        .write_all(&[head.as_bytes(), &body].concat())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
