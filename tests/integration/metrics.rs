//! Metrics: what a statsd receives.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::postgres::which;
use crate::harness::receivers::Inbox;
use crate::harness::run_dir::Ended;
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

/// One daemon, on the standby, with this statsd. It promotes nothing.
fn measured(cluster: &Cluster, statsd: &Value) -> Fleet {
    let mut fleet = Fleet::prepare(cluster, |_, config| {
        config["statsd"] = statsd.clone();
        config["failover_on_disconnect"] = json!(false);
        config["observers"] = json!({});
        config["poll_timeout"] = json!(5.0);
    });
    fleet["s1"].start();
    wait_until("the primary is known", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("p")
    });
    fleet
}

#[test]
fn lag_and_what_is_not_considered_are_measured() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let inbox = Inbox::udp();
    let tags = json!({"app": "pglookout", "forged": "x:1|c\nfailover,node=y"});
    let fleet = measured(
        &cluster,
        &json!({"host": "localhost", "port": inbox.port().to_string(), "tags": tags}),
    );
    let gauge = inbox.wait_for("pg.replication_lag");
    let value = gauge
        .strip_prefix("pg.replication_lag,forged=x_1_c_failover_node_y,app=pglookout:")
        .unwrap();
    let value = value.strip_suffix("|g").unwrap();
    assert!(
        value.contains('.') && value.parse::<f64>().is_ok_and(|lag| lag < 60.0),
        "{gauge}"
    );
    cluster["p"].kill_nine_all();
    inbox.wait_for(
        "failover_decision_on_disconnect_not_taken,forged=x_1_c_failover_node_y,app=pglookout:1|c",
    );
    wait_until("something is in the state file's way", SOON, || {
        let path = fleet["s1"].path("state.json");
        let _ = fs::remove_file(&path);
        fs::create_dir(path).is_ok()
    });
    inbox.wait_for("exception,where=json_state_file_path,exception=file,");
}

#[test]
fn a_receiver_that_comes_and_goes_costs_nothing_and_misses_nothing_while_it_is_there() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let inbox = Inbox::udp();
    let port = inbox.port();
    drop(inbox);
    let mut fleet = measured(&cluster, &json!({"host": "127.0.0.1", "port": port}));
    for _ in 0..2 {
        fleet.nobody_promotes_for(1.5);
        let late = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        late.set_read_timeout(Some(SOON)).unwrap();
        let mut buffer = [0; 512];
        let length = late.recv(&mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"pg.replication_lag:"));
    }
    assert!(
        !fleet["s1"].log().contains("statsd"),
        "{}",
        fleet["s1"].log()
    );
}

/// A real receiver: collectd, which writes what it has understood to a file for each metric.
struct Collectd {
    _process: Ended,
    values: PathBuf,
}

impl Collectd {
    fn start(cluster: &Cluster, port: u16) -> Option<Self> {
        let program = or_skip(which("collectd").ok_or("there is no collectd".to_owned()))?;
        let dir = cluster.dir().join("collectd");
        fs::create_dir(&dir).unwrap();
        let config = dir.join("collectd.conf");
        let text = format!(
            "Hostname \"h\"\nFQDNLookup false\nInterval 1\nPIDFile \"{dir}/pid\"\n\
             TypesDB \"/usr/share/collectd/types.db\"\nLoadPlugin statsd\nLoadPlugin csv\n\
             <Plugin statsd>\nHost \"127.0.0.1\"\nPort \"{port}\"\nCounterSum true\n</Plugin>\n\
             <Plugin csv>\nDataDir \"{dir}\"\n</Plugin>\n",
            dir = dir.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg("-C")
            .arg(config)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let _process = Ended(command.stderr(Stdio::null()).spawn().unwrap());
        Some(Self {
            _process,
            values: dir.join("h/statsd"),
        })
    }

    /// The last value of a metric, by its kind and name.
    fn value(&self, metric: &str) -> Option<f64> {
        let files = fs::read_dir(&self.values).ok()?.flatten();
        let named = |file: &fs::DirEntry| {
            let name = file.file_name().into_string().unwrap_or_default();
            name.strip_prefix(metric)
                .is_some_and(|date| date.starts_with("-20"))
        };
        let text = fs::read_to_string(files.into_iter().find(named)?.path()).ok()?;
        text.lines().last()?.split_once(',')?.1.parse().ok()
    }
}

#[test]
fn a_real_receiver_understands_them() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let port = Inbox::udp().port();
    let Some(collectd) = Collectd::start(&cluster, port) else {
        return;
    };
    let fleet = measured(&cluster, &json!({"host": "127.0.0.1", "port": port}));
    wait_until("it knows the gauge", SOON, || {
        collectd
            .value("gauge-pg.replication_lag")
            .is_some_and(|lag| (0.0..60.0).contains(&lag))
    });
    cluster["p"].kill_nine_all();
    wait_until("it has counted", SOON, || {
        collectd
            .value("derive-failover_decision_on_disconnect_not_taken")
            .is_some_and(|count| count >= 2.0)
    });
    fleet["s1"].reload_text("{");
    wait_until("trouble is counted", SOON, || {
        collectd.value("derive-exception,where=reload,exception=configuration") == Some(1.0)
    });
}
