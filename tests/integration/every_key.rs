//! Every key of the configuration takes effect by SIGHUP, one after the other on one running
//! daemon: what is set, and how it shows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::fleet::{conninfo, script_command};
use crate::harness::postgres::{PASSWORD, USER};
use crate::harness::receivers::{Counter, Inbox};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};
use crate::house::quoted;

/// A daemon on the standby s1, with s2 and the primary p beside it.
struct World {
    cluster: Cluster,
    fleet: Fleet,
    observer: Counter,
    covered: RefCell<BTreeSet<String>>,
    /// Length of the log before the last reload.
    log_before: Cell<usize>,
}

impl World {
    fn start() -> Option<Self> {
        let cluster = Cluster::start(&["s1", "s2"])?;
        let mut fleet = Fleet::prepare(&cluster, |_, _| ());
        let notify = cluster.dir().join("notify");
        let daemon = &mut fleet["s1"];
        daemon.config["observers"] = json!({});
        daemon.config["poll_timeout"] = json!(5);
        daemon.config["max_failover_replication_time_lag"] = json!(1000);
        for name in ["p", "s1", "s2"] {
            daemon.config["remote_conns"][name] = json!(watched(&cluster, name, ""));
        }
        // Nobody listens there: commands must not see it.
        daemon
            .variables
            .push(("NOTIFY_SOCKET".to_owned(), notify.display().to_string()));
        daemon.start();
        wait_until("the primary is known", SOON, || {
            fleet["s1"].current_primary().as_deref() == Some("p")
        });
        let (covered, log_before) = (RefCell::default(), Cell::default());
        Some(Self {
            cluster,
            fleet,
            observer: Counter::start(),
            covered,
            log_before,
        })
    }

    fn daemon(&self) -> &Daemon {
        &self.fleet["s1"]
    }

    /// What was logged since the last reload.
    fn log(&self) -> String {
        self.daemon().log().split_off(self.log_before.get())
    }

    /// Reloads with these keys changed, waits until the change is logged by name, and then until it
    /// shows.
    #[track_caller]
    fn apply(&mut self, set: Value, shows: impl Fn(&Self) -> bool) {
        let keys: Vec<String> = set.as_object().unwrap().keys().cloned().collect();
        let config = self.fleet["s1"].config.as_object_mut().unwrap();
        config.extend(set.as_object().unwrap().clone());
        config.retain(|_, value| !value.is_null());
        self.log_before.set(self.daemon().log().len());
        self.daemon().reload();
        let begin = "configuration reloaded; changed: ";
        let logged = |world: &Self| {
            world
                .log()
                .lines()
                .find_map(|line| Some(line.split_once(begin)?.1.to_owned()))
        };
        wait_until(&format!("{keys:?} is logged as changed"), SOON, || {
            logged(self).is_some()
        });
        let changed: BTreeSet<String> = logged(self)
            .unwrap()
            .split(", ")
            .map(str::to_owned)
            .collect();
        assert!(
            keys.iter().all(|key| changed.contains(key)),
            "set {keys:?}, changed {changed:?}"
        );
        self.covered.borrow_mut().extend(changed);
        wait_until(&format!("{set} shows"), SOON, || shows(self));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.daemon().path(name)
    }

    /// A command that writes a line to this file, and then does `more`.
    fn noting(&self, name: &str, more: &str) -> Value {
        let script = format!("env >> '{}'\n{more}\n", self.path(name).display());
        script_command(self.daemon(), &format!("{name}.sh"), &script)
    }

    fn notes(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The backend of the daemon's connection to a server.
    fn backend(&self, server: &str) -> String {
        self.cluster[server]
            .query("SELECT pid FROM pg_stat_activity WHERE application_name = 'watched'")
    }
}

/// How the daemon reaches a server, with more keywords.
fn watched(cluster: &Cluster, server: &str, more: &str) -> String {
    format!(
        "{} application_name=watched {more}",
        conninfo(&cluster[server])
    )
}

/// Votes on one daemon alone: nobody answers it, and it says so.
fn voting(world: &mut World) {
    let (secret, votes) = (world.path("secret"), world.path("votes"));
    fs::write(&secret, "0123456789".repeat(4)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(&votes).unwrap();
    fs::set_permissions(&votes, fs::Permissions::from_mode(0o700)).unwrap();
    let voters =
        json!({"p": "http://127.0.0.1:1", "s1": "http://127.0.0.1:2", "s2": "http://127.0.0.1:3"});
    let main = json!({"generation": 1, "voters": voters, "secret_file": secret, "dry": true});
    let keys = json!({"voting": {"main": main.clone()}, "vote_directory": votes, "vote_timeout": 1, "lease_time": 5,
        "election_stagger": 1, "step_aside_time": 9});
    world.apply(keys.clone(), |world| {
        let page = world.daemon().get("/votes.json").map(|answer| answer.body);
        page.is_ok_and(|page| page.contains("main.votes"))
    });
    // With leases it says that it has none.
    let mut leased = main.clone();
    leased["dry"] = json!(false);
    let leases = json!({"voting": {"main": leased}, "lease_time": 6, "fence_command": "false", "fence_timeout": 1,
        "lease_renew_interval": 1, "demote_command": "false", "demote_timeout": 9, "switchover_max_lag": 4096,
        "watchdog_device": world.path("no-device"), "unfence_command": "false",
        "pg_start_command": "false"});
    world.apply(leases.clone(), |world| {
        let page = world.daemon().get("/votes.json").map(|answer| answer.body);
        page.is_ok_and(|page| {
            page.contains("this daemon holds no term") && page.contains("there is no lease yet")
        })
    });
    let none = [&keys, &leases].map(|keys| keys.as_object().unwrap().keys());
    let none = none.into_iter().flatten();
    let none = none.map(|key| (key.clone(), Value::Null));
    world.apply(Value::Object(none.collect()), |world| {
        world
            .daemon()
            .get("/votes.json")
            .is_ok_and(|answer| answer.status == 404)
    });
}

/// Nothing changes for a while.
fn is_still<T: PartialEq>(of: impl Fn() -> T) -> bool {
    let before = of();
    pause(1200);
    of() == before
}

fn receives(inbox: &Inbox, beginning: &str) -> bool {
    inbox
        .drain()
        .iter()
        .any(|datagram| datagram.starts_with(beginning))
}

#[test]
fn every_key_takes_effect_on_reload() {
    let Some(mut world) = World::start() else {
        return;
    };
    let backends = [world.backend("p"), world.backend("s1")];
    logging(&mut world);
    metrics(&mut world);
    files(&mut world);
    listening(&mut world);
    asking(&mut world);
    assert_eq!(
        [world.backend("p"), world.backend("s1")],
        backends,
        "nothing of their own settings has changed"
    );
    assert_eq!(world.observer.connections(), 1);
    connections(&mut world, &backends);
    following(&mut world);
    lagging(&mut world);
    notified(&mut world);
    voting(&mut world);
    deciding(&mut world);
    let keys = quoted("src/config/render.rs", "fn keys(", "\n}\n");
    let keys: BTreeSet<String> = keys.into_iter().collect();
    assert_eq!(*world.covered.borrow(), keys);
    assert!(
        !world.daemon().log().contains(PASSWORD),
        "the password is in the log"
    );
}

fn logging(world: &mut World) {
    world.apply(json!({"log_level": "DEBUG"}), |world| {
        world.log().contains("\tDEBUG\t")
    });
    let (local, udp) = (Inbox::at(&world.path("syslog")), Inbox::udp());
    world.apply(json!({"syslog": true, "syslog_address": world.path("syslog"), "syslog_facility": "local2"}), |_| {
        receives(&local, "<151>pglookout[")
    });
    world.apply(json!({"syslog_facility": "local7"}), |_| {
        receives(&local, "<191>pglookout[")
    });
    world.apply(json!({"syslog_address": ["127.0.0.1", udp.port()]}), |_| {
        receives(&udp, "<191>pglookout[")
    });
    assert!(local.is_silent_for(Duration::from_secs(1)));
    world.apply(
        json!({"syslog": null, "syslog_address": null, "syslog_facility": null}),
        |_| udp.is_silent_for(Duration::from_secs(1)),
    );
    world.apply(json!({"log_level": "ERROR"}), |world| {
        is_still(|| world.log().len())
    });
    world.apply(json!({"log_level": "INFO"}), |world| {
        world.log().contains("log_level is \"INFO\" now")
    });
}

fn metrics(world: &mut World) {
    let [one, other] = [Inbox::udp(), Inbox::udp()];
    world.apply(
        json!({"statsd": {"host": "127.0.0.1", "port": one.port(), "tags": {"a": "1"}}}),
        |_| receives(&one, "pg.replication_lag,a=1:"),
    );
    world.apply(
        json!({"statsd": {"host": "127.0.0.1", "port": other.port(), "tags": {"a": "2"}}}),
        |_| receives(&other, "pg.replication_lag,a=2:"),
    );
    assert!(one.is_silent_for(Duration::from_secs(1)));
    world.apply(json!({"statsd": null}), |_| {
        other.is_silent_for(Duration::from_secs(1))
    });
}

fn files(world: &mut World) {
    let state = world.path("other.json");
    world.apply(json!({"json_state_file_path": state}), |_| {
        fs::read_to_string(&state).is_ok_and(|text| text.contains("\"current_master\": \"p\""))
    });
    world.apply(
        json!({"json_state_file_path": world.path("state.json")}),
        |_| true,
    );
    let record = world.path("record");
    fs::write(&record, "{\"timeline\": \"x\"}\n".repeat(10_000)).unwrap();
    world.apply(
        json!({"flight_recorder": record, "flight_recorder_max_bytes": 1 << 20}),
        |_| fs::metadata(&record).is_ok_and(|file| file.len() > 180_100),
    );
    world.apply(json!({"flight_recorder_max_bytes": 65_536}), |_| {
        fs::metadata(&record).is_ok_and(|file| file.len() < 65_536)
            && record.with_extension("1").exists()
    });
    world.apply(
        json!({"flight_recorder": null, "flight_recorder_max_bytes": null}),
        |_| is_still(|| fs::metadata(&record).unwrap().len()),
    );
}

fn listening(world: &mut World) {
    use crate::harness::daemon::HTTP_PORT;
    use crate::harness::http::request;
    use std::io::{Read, Write};
    let own = world.daemon().host.clone();
    let everywhere = crate::harness::host::Host {
        address: std::net::Ipv4Addr::LOCALHOST,
        ..own.clone()
    };
    let answers = |host: &crate::harness::host::Host, port| {
        request(host, port, "GET", "/state.json").is_ok_and(|answer| answer.status == 200)
    };
    let (taken, free) = (
        std::net::TcpListener::bind((own.address, 0)).unwrap(),
        HTTP_PORT + 1,
    );
    let mut client = own.connect(HTTP_PORT, SOON).unwrap();
    world.apply(json!({"http_port": free}), |_| {
        answers(&own, free) && !answers(&own, HTTP_PORT)
    });
    // Whoever was connected is still served.
    client
        .write_all(b"GET /state.json HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut begin = [0; 15];
    client.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    // A port that is taken leaves everything as it was.
    let used = taken.local_addr().unwrap().port();
    world.fleet["s1"].config["http_port"] = json!(used);
    world.log_before.set(world.daemon().log().len());
    world.daemon().reload();
    wait_until("the error is logged", SOON, || {
        world.log().contains("keeping the current listen address")
    });
    assert!(
        answers(&own, free)
            && world
                .log()
                .contains("configuration reloaded; changed: nothing"),
        "{}",
        world.log()
    );
    // Every interface and one of them overlap.
    world.fleet["s1"].config["http_port"] = json!(free);
    world.apply(json!({"http_address": ""}), |_| {
        answers(&everywhere, free) && answers(&own, free)
    });
    assert!(
        world.log().contains("on every interface, port"),
        "{}",
        world.log()
    );
    // No address to us, so it has to be looked up; a name to the resolver.
    world.apply(json!({"http_address": "127.1"}), |_| {
        answers(&everywhere, free) && !answers(&own, free)
    });
    world.apply(json!({"http_address": own.address}), |_| {
        answers(&own, free) && !answers(&everywhere, free)
    });
    world.apply(json!({"http_port": HTTP_PORT}), |_| {
        answers(&own, HTTP_PORT)
    });
}

fn asking(world: &mut World) {
    world.apply(json!({"observers": {"c": world.observer.url()}}), |world| {
        world.observer.requests() > 2
            && world.daemon().state_file()["observer_nodes"]["c"].is_object()
    });
    world.apply(json!({"poll_observers_on_warning_only": true}), |world| {
        is_still(|| world.observer.requests())
    });
    world.apply(json!({"poll_observers_on_warning_only": false}), |world| {
        !is_still(|| world.observer.requests())
    });
    world.apply(json!({"db_poll_interval": 1000}), |world| {
        is_still(|| world.observer.requests())
    });
    world.apply(json!({"db_poll_interval": 0.5}), |world| {
        !is_still(|| world.observer.requests())
    });
    world.apply(json!({"replication_state_check_interval": 1000}), |world| {
        is_still(|| world.daemon().decided_at())
    });
    world.apply(json!({"replication_state_check_interval": 0.5}), |world| {
        !is_still(|| world.daemon().decided_at())
    });
    world.apply(json!({"own_db": ""}), |world| {
        world.log().contains("observing: the primary is p")
    });
    world.apply(json!({"own_db": "s1"}), |world| {
        world.log().contains("primary p is reachable")
    });
}

fn connections(world: &mut World, [p, s1]: &[String; 2]) {
    world.apply(
        json!({"observers": {"c": world.observer.url() + "/below"}}),
        |world| world.observer.connections() == 2,
    );
    let mut nodes = world.daemon().config["remote_conns"].clone();
    nodes["p"] = json!(watched(&world.cluster, "p", "keepalives_idle=77"));
    world.apply(json!({"remote_conns": nodes}), |world| {
        let backend = world.backend("p");
        !backend.is_empty() && backend != *p && backend.parse::<u32>().is_ok()
    });
    assert!(
        world
            .log()
            .contains("remote_conns.p.keepalives_idle is 77 now (before: not set)"),
        "{}",
        world.log()
    );
    assert_eq!(world.backend("s1"), *s1);
    world.observer.silent.store(true, Ordering::Relaxed);
    world.apply(
        json!({"poll_timeout": 6, "cluster_monitor_health_timeout_seconds": 1.5}),
        |world| world.log().contains("no complete poll cycle for 1."),
    );
    world.apply(json!({"poll_timeout": 0.3}), |world| {
        // The last one that had more time, and the next one, which has not.
        pause(6500);
        world.log().contains("observer c: timed out")
            && !world.log().contains("no complete poll cycle")
            || is_still(|| world.log().matches("no complete poll cycle").count())
    });
    world.observer.silent.store(false, Ordering::Relaxed);
    wait_until("it answers again", SOON, || {
        world.log().contains("observer c: answers again")
    });
    world.apply(json!({"poll_timeout": 1, "observers": {}}), |_| true);
    world.apply(
        json!({"next_passwords": {USER: PASSWORD.to_owned() + "2"}}),
        |world| {
            let change = format!("next_passwords.{USER} is a secret now (before: not set)");
            world.log().contains(&change)
        },
    );
    world.apply(json!({"next_passwords": null}), |_| true);
}

fn following(world: &mut World) {
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    for (name, text) in [
        ("PG_VERSION", "15\n"),
        ("standby.signal", ""),
        ("postgresql.auto.conf", ""),
    ] {
        fs::write(data.join(name), text).unwrap();
    }
    let settings = || fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
    let (stop, start) = (world.noting("stopped", ""), world.noting("started", ""));
    world.apply(
        json!({"autofollow": true, "pg_data_directory": world.path("nowhere"), "pg_stop_command": stop,
            "pg_start_command": start, "primary_conninfo_template": "user=one"}),
        |world| world.log().contains("cannot follow the new primary yet") && world.log().contains("/nowhere"),
    );
    world.apply(json!({"pg_data_directory": data}), |world| {
        settings().contains("user=one")
            && !world.notes("started").is_empty()
            && !world.notes("stopped").is_empty()
    });
    let (stop, start) = (
        world.noting("stopped_otherwise", ""),
        world.noting("started_otherwise", ""),
    );
    world.apply(
        json!({"primary_conninfo_template": "user=two", "pg_stop_command": stop, "pg_start_command": start}),
        |world| {
            settings().contains("user=two")
                && !world.notes("stopped_otherwise").is_empty()
                && !world.notes("started_otherwise").is_empty()
        },
    );
    let off = [
        "autofollow",
        "pg_data_directory",
        "pg_stop_command",
        "pg_start_command",
        "primary_conninfo_template",
    ];
    world.apply(
        off.iter()
            .map(|key| ((*key).to_owned(), Value::Null))
            .collect(),
        |_| true,
    );
}

fn lagging(world: &mut World) {
    let alerts = world.path("other_alerts");
    fs::create_dir(&alerts).unwrap();
    let delay = alerts.join("replication_delay_warning");
    let command = world.noting("warned", "");
    // Under no limit at all a standby counts as catching up.
    world.apply(
        json!({"warning_replication_time_lag": 0, "alert_file_dir": alerts, "over_warning_limit_command": command}),
        |_| is_still(|| delay.exists()) && !delay.exists(),
    );
    world.apply(json!({"replication_catchup_timeout": 0}), |world| {
        delay.exists() && !world.notes("warned").is_empty()
    });
    assert!(
        !world.notes("warned").contains("NOTIFY_SOCKET"),
        "a command could speak in our name"
    );
    world.apply(json!({"warning_replication_time_lag": 900}), |_| {
        !delay.exists()
    });
}

/// A standby that goes and comes back; the maintenance file is there for a moment for each of both
/// filters.
fn notified(world: &mut World) {
    let command = world.noting("events", "");
    let file = world.path("kept_up");
    let was = world.daemon().config["maintenance_mode_file"].clone();
    let in_maintenance = |world: &World| {
        let state = world.daemon().get("/status.json").unwrap().body;
        state.contains("maintenance: pglookout on s1")
    };
    let filter = json!(["lag_ok"]);
    world.apply(
        json!({"event_command": command, "event_filter": filter, "maintenance_mode_file": file}),
        |_| true,
    );
    for _ in 0..2 {
        for is_there in [true, false] {
            match is_there {
                true => fs::write(&file, "").unwrap(),
                false => fs::remove_file(&file).unwrap(),
            }
            wait_until("the status shows it", SOON, || {
                in_maintenance(world) == is_there
            });
            pause(1200);
        }
        if world.daemon().config["event_filter"] == filter {
            assert_eq!(world.notes("events"), "", "nothing passes the filter");
            world.apply(json!({"event_filter": ["info"]}), |_| true);
        }
    }
    wait_until("the end of maintenance is an event", SOON, || {
        let notes = world.notes("events");
        notes.contains("PGLOOKOUT_EVENT=maintenance_off") && notes.contains("PGLOOKOUT_SUBJECT=s1")
    });
    world.apply(json!({"maintenance_mode_file": was}), |_| true);
    // What they do on a primary has a test of its own.
    let fence = json!({"isolated_primary_command": "false", "isolated_primary_timeout": 900});
    world.apply(fence, |_| true);
}

/// The primary has been shut down: both standbys have received the same.
fn deciding(world: &mut World) {
    let reports = |text: &'static str| move |world: &World| world.log().contains(text);
    let ran = |name: &'static str| move |world: &World| !world.notes(name).is_empty();
    world.log_before.set(world.daemon().log().len());
    world.cluster["p"].stop_fast();
    wait_until("the outage is noticed", SOON, || {
        world.log().contains("ago, the limit is 1000.000 s")
    });
    world.apply(
        json!({"failover_on_disconnect": false}),
        reports("p is unreachable, but failover_on_disconnect is false"),
    );
    world.apply(
        json!({"failover_on_disconnect": true, "max_failover_replication_time_lag": 1}),
        reports("not promoting: the preferred candidate is s2 "),
    );
    world.apply(
        json!({"never_promote_these_nodes": ["s1", "s2"]}),
        reports("no reachable standby with a recent poll may be"),
    );
    fs::write(world.path("closed"), "").unwrap();
    world.apply(
        json!({"never_promote_these_nodes": null, "failover_priorities": {"s1": 1},
            "maintenance_mode_file": world.path("closed")}),
        reports("/closed exists"),
    );
    // The original knows no priorities.
    world.apply(
        json!({"failover_ranking": "original"}),
        reports("the preferred candidate is s2"),
    );
    world.apply(
        json!({"failover_ranking": "furthest"}),
        reports("/closed exists"),
    );
    // Two standbys of two, one observer of three, and the primary: 3 of 6.
    let observers =
        json!({"c": world.observer.url(), "d": "http://127.0.0.1:1", "e": "http://127.0.0.1:2"});
    world.apply(
        json!({"maintenance_mode_file": world.path("open"), "failover_quorum": "majority", "observers": observers}),
        reports("3 of 6 votes, 4 required"),
    );
    let refusing = world.noting("refused", "exit 3");
    world.apply(
        json!({"failover_quorum": "half", "failover_command": refusing}),
        ran("refused"),
    );
    let slow = world.noting("slow", "exec sleep 1000");
    world.apply(
        json!({"failover_command": slow, "failover_command_timeout": 0.5}),
        reports("failover_command exceeded its time limit"),
    );
    let other = world.noting("gone", "exit 3");
    world.apply(
        json!({"failover_command": other, "failover_command_timeout": null, "max_failover_replication_time_lag": 1000}),
        reports("the limit is 1000.000 s"),
    );
    assert_eq!(world.notes("gone"), "");
    world.apply(json!({"known_gone_nodes": ["p"]}), ran("gone"));
    let mut nodes = world.daemon().config["remote_conns"].clone();
    nodes.as_object_mut().unwrap().remove("p");
    let last = world.noting("removed", "exit 3");
    world.apply(
        json!({"remote_conns": nodes, "known_gone_nodes": null, "missing_master_from_config_timeout": 77,
            "failover_command": last}),
        reports("a missing primary is waited for 77.000 s"),
    );
    world.apply(
        json!({"missing_master_from_config_timeout": 0, "failover_sleep_time": 1000}),
        ran("removed"),
    );
    wait_until("the pause begins", SOON, || {
        world.log().contains("pausing after failover_command")
    });
}
