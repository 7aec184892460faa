//! One bad day of a cluster: whom the daemon talks to, what happens to them at random, and what was
//! counted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::observer::{Mood, Observer};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::fleet::{note_time, script_command};
use crate::harness::host::Host;
use crate::harness::players::{Moment, Player, Role, Trouble};
use crate::harness::run_dir::TestDir;
use crate::harness::vitals::Holdings;
use crate::harness::{Daemon, SOON, pause, wait_until};

/// `db_poll_interval`; an hour of polls at the default interval is five seconds of these.
const POLL_INTERVAL: f64 = 0.005;
const CHECK_INTERVAL: f64 = 0.01;

/// A daemon beside `s1`, everybody whom it knows, and what goes wrong.
pub(super) struct Day {
    pub(super) daemon: Daemon,
    random: fastrand::Rng,
    players: Vec<Player>,
    observer: Observer,
    clients: Vec<TcpStream>,
    /// When whose trouble is over.
    healing: Vec<(Instant, Whom)>,
    promoted: PathBuf,
    promoted_at: Option<Instant>,
    counts: BTreeMap<&'static str, u64>,
    _dir: TestDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Server(usize),
    Observer,
    Maintenance,
}

impl Day {
    pub(super) fn begin(seed: u64) -> Self {
        let dir = TestDir::new();
        let roles = [
            ("p", Role::Primary),
            ("s1", Role::Standby),
            ("s2", Role::Standby),
        ];
        let players: Vec<Player> = roles
            .iter()
            .map(|(name, role)| Player::start(name, *role))
            .collect();
        let observer = Observer::start(&players);
        let nodes: Value = players
            .iter()
            .map(|player| (player.host.name.clone(), json!(player.conninfo())))
            .collect();
        let config = json!({
            "remote_conns": nodes, "own_db": "s1", "observers": { "o": observer.url() },
            "db_poll_interval": POLL_INTERVAL, "replication_state_check_interval": CHECK_INTERVAL,
            "poll_timeout": 0.2, "max_failover_replication_time_lag": 0.3, "warning_replication_time_lag": 0.2,
            "missing_master_from_config_timeout": 0.1, "failover_command_timeout": 0.5, "failover_priorities": { "s1": 1 },
        });
        let mut daemon = Daemon::prepare(Host::on_loopback("s1"), dir.path(), config);
        let promoted = daemon.path("promoted");
        let script = format!(
            "[ ! -e '{1}' ] || exit 1\n[ ! -e '{2}' ] || exec sleep 60\ntouch '{0}'\n",
            promoted.display(),
            daemon.path("fails").display(),
            daemon.path("hangs").display(),
        );
        let script = format!("{}{script}", note_time(&daemon.promotions_path()));
        daemon.config["failover_command"] = script_command(&daemon, "promote", &script);
        daemon.config["flight_recorder"] = json!(daemon.path("record"));
        daemon.config["flight_recorder_max_bytes"] = json!(256 << 20);
        daemon.start();
        Self {
            daemon,
            random: fastrand::Rng::with_seed(seed),
            players,
            observer,
            clients: Vec::new(),
            healing: Vec::new(),
            promoted,
            promoted_at: None,
            counts: BTreeMap::new(),
            _dir: dir,
        }
    }

    /// Faults for so long, and until every node but the primary, who is away for much of the time,
    /// has received so many polls.
    fn go_on(&mut self, time: Duration, polls: u64) {
        self.daemon.reload();
        let (begun, before) = (Instant::now(), self.polls());
        while begun.elapsed() < time
            || self
                .polls()
                .iter()
                .zip(&before)
                .skip(1)
                .any(|(now, before)| now - before < polls)
        {
            assert!(
                begun.elapsed() < time * 4 + SOON,
                "polled too seldom: {before:?}, now {:?}",
                self.polls()
            );
            assert!(self.daemon.is_running(), "{}", self.daemon.log());
            self.heal();
            self.go_wrong();
            pause(10 + self.random.u64(..50));
        }
    }

    /// Faults as [`Day::go_on`] has them, and what the daemon holds once all is well again.
    pub(super) fn rest_after(&mut self, time: Duration, polls: u64) -> Holdings {
        self.go_on(time, polls);
        self.come_to_rest();
        Holdings::of(&self.daemon)
    }

    /// All is well again, and everybody knows.
    fn come_to_rest(&mut self) {
        self.healing
            .iter_mut()
            .for_each(|(until, _)| *until = Instant::now());
        self.promoted_at = self.promoted_at.map(|at| {
            at.checked_sub(REIGN)
                .expect("a clock that has run for a while")
        });
        self.clients.clear();
        for name in ["fails", "hangs"] {
            let _ = fs::remove_file(self.daemon.path(name));
        }
        // In no hurry, so that nothing is under way at most times.
        let mut quiet = self.daemon.config.clone();
        quiet["db_poll_interval"] = json!(1.0);
        quiet["replication_state_check_interval"] = json!(1.0);
        self.daemon.reload_text(&quiet.to_string());
        wait_until("all is well again", 3 * SOON, || {
            self.heal();
            let state = self.daemon.state();
            let names = ["p", "s1", "s2"];
            let roles = names.map(|name| {
                (
                    state[name]["connection"].clone(),
                    state[name]["pg_is_in_recovery"].clone(),
                )
            });
            roles
                == [
                    (json!(true), json!(false)),
                    (json!(true), json!(true)),
                    (json!(true), json!(true)),
                ]
                && state
                    .as_object()
                    .is_some_and(|state| state.len() == names.len())
                && self.daemon.current_primary().as_deref() == Some("p")
                && Holdings::of(&self.daemon).children.is_empty()
        });
        pause(1_500);
    }

    /// Polls that came to each server, and to the observer.
    fn polls(&self) -> Vec<u64> {
        self.players
            .iter()
            .map(Player::polls)
            .chain([self.observer.answers()])
            .collect()
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn heal(&mut self) {
        let now = Instant::now();
        let (over, lasting) = std::mem::take(&mut self.healing)
            .into_iter()
            .partition(|(until, _)| *until <= now);
        self.healing = lasting;
        for (_, whom) in over.into_iter().collect::<Vec<_>>() {
            match whom {
                Whom::Server(at) => {
                    self.players[at].set_trouble(None);
                    self.players[at].set_role(if at == 0 {
                        Role::Primary
                    } else {
                        Role::Standby
                    });
                }
                Whom::Observer => self.observer.set_mood(Mood::Fine),
                Whom::Maintenance => _ = fs::remove_file(self.daemon.path("maintenance")),
            }
        }
        // The own server does what the failover command requested; after a while the old primary is
        // it again.
        if self.promoted_at.is_none() && self.promoted.exists() {
            self.promoted_at = Some(now);
            self.players[1].set_role(Role::Primary);
            self.players[0].set_role(Role::Standby);
            self.count("promotions");
        }
        if self.promoted_at.is_some_and(|at| at.elapsed() > REIGN) {
            fs::remove_file(&self.promoted).expect("the mark of a promotion");
            self.promoted_at = None;
            self.players[0].set_role(Role::Primary);
            self.players[1].set_role(Role::Standby);
        }
    }

    fn go_wrong(&mut self) {
        match self.random.u64(..32) {
            0..=14 => self.trouble_a_server(),
            15 if self.random.u64(..2) == 0 => self.lose_the_primary(),
            15 | 16 => self.confuse_the_roles(),
            17 | 18 => self.upset_the_observer(),
            19 | 20 => self.reload(),
            21..=25 => self.come_as_a_client(),
            26 | 27 => {
                self.count("checks requested");
                assert_eq!(self.daemon.post_check(), 204);
            }
            28 => self.begin_maintenance(),
            _ => self.change_the_command(),
        }
    }

    fn trouble_a_server(&mut self) {
        let (at, trouble) = (
            self.random.u64(..3) as usize,
            self.random.choice(TROUBLES).unwrap(),
        );
        let time = 10 + self.random.u64(..190);
        self.trouble(at, trouble, time);
        self.count("troubles of servers");
    }

    /// For longer than the limit, and what an observer's dates are cut off by, which is up to a
    /// second.
    fn lose_the_primary(&mut self) {
        let time = 1_600 + self.random.u64(..1_000);
        self.healing.retain(|(_, whom)| *whom != Whom::Server(0));
        self.trouble(0, Trouble::Refused, time);
        self.count("primaries lost");
    }

    fn trouble(&mut self, at: usize, trouble: Trouble, milliseconds: u64) {
        if self
            .healing
            .iter()
            .all(|(_, whom)| *whom != Whom::Server(at))
        {
            self.players[at].set_trouble(Some(trouble));
            self.heal_after(Whom::Server(at), milliseconds);
        }
    }

    fn confuse_the_roles(&mut self) {
        let at = self.random.u64(..3) as usize;
        if self.promoted_at.is_none()
            && self
                .healing
                .iter()
                .all(|(_, whom)| *whom != Whom::Server(at))
        {
            self.players[at].set_role(if at == 0 {
                Role::Standby
            } else {
                Role::Primary
            });
            let time = 10 + self.random.u64(..100);
            self.heal_after(Whom::Server(at), time);
            self.count("roles changed");
        }
    }

    fn upset_the_observer(&mut self) {
        let mood = self
            .random
            .choice([
                Mood::Broken,
                Mood::Garbage,
                Mood::Slow,
                Mood::Silent,
                Mood::Gone,
            ])
            .unwrap();
        self.observer.set_mood(mood);
        let time = 50 + self.random.u64(..300);
        self.heal_after(Whom::Observer, time);
        self.count("moods of the observer");
    }

    fn begin_maintenance(&mut self) {
        fs::write(self.daemon.path("maintenance"), "").expect("the maintenance file");
        let time = 50 + self.random.u64(..200);
        self.heal_after(Whom::Maintenance, time);
        self.count("maintenances");
    }

    fn heal_after(&mut self, whom: Whom, milliseconds: u64) {
        self.healing
            .push((Instant::now() + Duration::from_millis(milliseconds), whom));
    }

    fn reload(&mut self) {
        let mut config = self.daemon.config.clone();
        match self.random.u64(..6) {
            // Nobody knows this name.
            0 => config["remote_conns"]["stranger"] = json!("host=nobody.invalid user=x"),
            1 => {
                config["remote_conns"]["dead"] =
                    json!(format!("host={} port=1 user=x", self.observer.host.address))
            }
            2 => config["log_level"] = json!("DEBUG"),
            3 => config["observers"]["o2"] = json!(format!("http://nobody.invalid:{HTTP_PORT}")),
            4 => config = json!("not an object"),
            _ => {}
        }
        self.daemon.write_config(&config.to_string());
        self.daemon.signal(Signal::SIGHUP);
        self.count("reloads");
    }

    /// Clients that ask, ask for half of something, or only come; the oldest of those who stay
    /// leaves.
    fn come_as_a_client(&mut self) {
        self.count("HTTP clients");
        let target = self
            .random
            .choice(["/state.json", "/decisions.json", "/nothing"])
            .unwrap();
        if self.random.u64(..3) == 0 {
            let status = self
                .daemon
                .get(target)
                .expect("an answer in good time")
                .status;
            assert_eq!(status, if target == "/nothing" { 404 } else { 200 });
            return;
        }
        let mut stream = self
            .daemon
            .host
            .connect(HTTP_PORT, SOON)
            .expect("a connection");
        let printed: &[u8] = self
            .random
            .choice([
                b"".as_slice(),
                b"GET /sta",
                b"GET /decisions.json HTTP/1.1\r\nHost: x\r\n\r\n",
                b"POST /check HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
                b"\0\xff\r\n\r\n",
            ])
            .unwrap();
        let _ = stream.write_all(printed);
        self.clients.push(stream);
        if self.clients.len() > 20 {
            self.clients.remove(0);
        }
    }

    /// From now on it fails, hangs, or works.
    fn change_the_command(&mut self) {
        for name in ["fails", "hangs"] {
            let path = self.daemon.path(name);
            let _ = match self.random.u64(..3) {
                0 => fs::write(path, ""),
                _ => fs::remove_file(path),
            };
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = fs::read_to_string(self.daemon.path("record")).unwrap_or_default();
        let (mut reports, mut decisions) = (BTreeMap::new(), BTreeMap::new());
        for line in record.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of the record");
            let word = |key: &str| line[key].as_str().map(str::to_owned);
            if let Some(whom) = word("node").or_else(|| word("observer")) {
                *reports.entry(whom).or_insert(0) += 1;
            }
            if let Some(verdict) = word("verdict") {
                *decisions.entry(verdict).or_insert(0) += 1;
            }
        }
        let connections: u64 = self.players.iter().map(Player::connections).sum();
        writeln!(
            f,
            "reports of polls, failures among them: {reports:?}; heard by p, s1, s2 and o: {:?}",
            self.polls()
        )?;
        writeln!(
            f,
            "{} decisions: {decisions:?}",
            decisions.values().sum::<u64>()
        )?;
        write!(
            f,
            "{connections} connections to servers; {} commands run",
            self.daemon.promotions().len()
        )?;
        self.counts
            .iter()
            .try_for_each(|(what, count)| write!(f, "; {count} {what}"))
    }
}

const TROUBLES: [Trouble; 12] = [
    Trouble::Refused,
    Trouble::ResetAt(Moment::Login),
    Trouble::ResetAt(Moment::Question),
    Trouble::ResetAt(Moment::Answer),
    Trouble::SilentAt(Moment::Login),
    Trouble::SilentAt(Moment::Question),
    Trouble::SilentAt(Moment::Answer),
    Trouble::Slow,
    // The password is wrong; no connection slot is left; the server is starting.
    Trouble::Turned("28P01"),
    Trouble::Turned("53300"),
    Trouble::Turned("57P03"),
    Trouble::Garbage,
];
/// For so long our own server is the primary after a promotion.
const REIGN: Duration = Duration::from_millis(300);
