//! Schedules from seeds.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{Death, Fault, Lie, Refusal, Step};
use super::plan::{Ending, Plan};
use super::rng::Rng;
use super::scenarios::{death, scenario};
use super::setup::{PresenceSetup, Setup};
use super::voting::with_votes;
use super::{HostId, Micros, NodeId, SECOND};
use crate::config::{self, Config, Environment, NodeName, QuorumRule};

/// Makes schedules.
#[derive(Debug)]
pub struct Generator {
    template: Config,
}

impl Default for Generator {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a text of our own")]
        let template = config::parse(TEMPLATE, &Environment::default())
            .expect("the template is good")
            .config;
        Self { template }
    }
}

impl Generator {
    /// The schedule of this seed, on a cluster drawn from it as well.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let split = rng.percent(15);
        let mut config = self.config(&mut rng);
        if split {
            config.quorum = QuorumRule::Majority;
        }
        let mut setup = Setup::new(&config, 0);
        setup.primary = rng.below(setup.node_count());
        setup.is_busy = rng.percent(50);
        setup.presence = presence(&mut rng);
        if rng.percent(40) {
            self.follow(&mut setup);
        }
        if rng.percent(12) {
            differ(&mut setup, split, &mut rng);
        }
        let limit = setup.longest(|config| config.failover_lag);
        let length = limit + 4 * SECOND + rng.between(0, 4 * SECOND);
        let steps = if split {
            one_split(&setup, length, &mut rng)
        } else {
            faults(&setup, length, &mut rng)
        };
        let steps = with_pauses(steps, &setup, length, seed);
        let ending = match rng.below(8) {
            0 | 1 => Ending::Abrupt,
            2 | 3 => Ending::Waited,
            4 | 5 => Ending::Healed,
            _ => Ending::CleanDeath(death(&mut rng)),
        };
        let mut plan = Plan {
            seed,
            setup,
            steps,
            length,
            ending,
        };
        with_votes(&mut plan, split);
        plan
    }

    /// Standbys follow a new primary by themselves.
    fn follow(&self, setup: &mut Setup) {
        for config in &mut setup.configs {
            let config = Arc::make_mut(config);
            if config.own_db.is_some() {
                config.follow.clone_from(&self.template.follow);
            }
        }
    }

    fn config(&self, rng: &mut Rng) -> Config {
        let mut config = self.template.clone();
        let nodes = [2, 3, 3, 3, 3, 4, 4, 5][rng.below(8)];
        let observers = [0, 0, 0, 1, 1, 1, 2, 2][rng.below(8)];
        config
            .nodes
            .retain(|name, _| NODES.iter().take(nodes).any(|kept| *kept == name.as_str()));
        config.observers.retain(|name, _| {
            OBSERVERS
                .iter()
                .take(observers)
                .any(|kept| *kept == name.as_str())
        });
        config.poll_interval = Duration::from_millis([1000, 2000, 2000][rng.below(3)]);
        config.check_interval = Duration::from_millis([1000, 2000, 3000][rng.below(3)]);
        config.poll_timeout = Duration::from_millis([400, 900][rng.below(2)]);
        config.failover_lag = Duration::from_secs([4, 6, 6, 9][rng.below(4)]);
        config.warning_lag = config
            .failover_lag
            .min(Duration::from_secs([2, 3][rng.below(2)]));
        config.missing_primary_timeout = Duration::from_millis([1000, 2500][rng.below(2)]);
        config.failover_pause = Duration::from_millis([0, 0, 1500][rng.below(3)]);
        config.failover_on_disconnect = !rng.percent(8);
        config.poll_observers_on_warning_only = rng.percent(6);
        config.failover_command_timeout = rng.percent(30).then_some(Duration::from_secs(5));
        config.quorum = if rng.percent(35) {
            QuorumRule::Majority
        } else {
            QuorumRule::Half
        };
        if rng.percent(10) {
            config
                .never_promote
                .extend(rng.one_of(NODES).map(NodeName::from));
        }
        if rng.percent(25) {
            let priority = |name: &str| (NodeName::from(name), 1);
            config
                .failover_priorities
                .extend(rng.one_of(NODES).map(priority));
        }
        config
    }

    /// A schedule of this seed on a cluster of the operator's own.
    pub(super) fn plan_on(&self, setup: &Setup, seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let limit = setup.longest(|config| config.failover_lag);
        let polls = 4 * setup.longest(|config| config.poll_interval);
        let length = limit + polls + rng.between(0, polls);
        let setup = setup.clone();
        let steps = faults(&setup, length, &mut rng);
        Plan {
            seed,
            setup,
            steps,
            length,
            ending: Ending::Healed,
        }
    }
}

/// Files that differ from host to host in one of the settings on which daemons should agree. In some
/// schedules not in the quorum.
fn differ(setup: &mut Setup, has_one_quorum: bool, rng: &mut Rng) {
    let kind = rng.below(4);
    for config in &mut setup.configs {
        if rng.percent(50) {
            continue;
        }
        let config = Arc::make_mut(config);
        let node = rng.one_of(NODES).map(NodeName::from);
        match kind {
            0 if !has_one_quorum => {
                config.quorum = match config.quorum {
                    QuorumRule::Half => QuorumRule::Majority,
                    QuorumRule::Majority => QuorumRule::Half,
                }
            }
            0 | 1 => config.failover_lag = Duration::from_secs([4, 6, 9, 12][rng.below(4)]),
            2 => config.failover_priorities = node.map(|node| (node, 2)).into_iter().collect(),
            _ => config.never_promote = node.into_iter().collect(),
        }
    }
}

/// Most fleets show everything; some nothing, some only here and there.
fn presence(rng: &mut Rng) -> PresenceSetup {
    let some = |rng: &mut Rng| u32::try_from(rng.between(0, 127)).unwrap_or_default();
    let all = PresenceSetup {
        identity: !rng.percent(15),
        ..PresenceSetup::ALL
    };
    match rng.below(10) {
        0 => PresenceSetup { daemons: 0, ..all },
        1 => PresenceSetup {
            daemons: some(rng),
            ..all
        },
        2 => PresenceSetup {
            servers: some(rng),
            ..all
        },
        _ => all,
    }
}

/// The network splits once; who is alone dies or not.
fn one_split(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let hosts = setup.hosts();
    let at = rng.between(3 * SECOND, 4 * SECOND);
    let group = u32::try_from(rng.between(1, (1 << hosts) - 2)).unwrap_or(1);
    let mut steps = vec![Step {
        at,
        fault: Fault::Split(group),
    }];
    if rng.percent(70) {
        let at = rng.between(5 * SECOND / 2, 5 * SECOND);
        steps.push(Step {
            at,
            fault: Fault::Dies(setup.primary, death(rng)),
        });
    }
    for _ in 0..rng.below(4) {
        let at = rng.between(3 * SECOND, length);
        let host = rng.below(hosts);
        let node = rng.below(setup.node_count());
        let fault = match rng.below(6) {
            0 | 1 => Fault::Restarts(host),
            2 => clock(host, rng),
            3 => Fault::Check(host),
            4 => Fault::Pauses(node, true),
            _ => commands(node, rng),
        };
        steps.push(Step { at, fault });
    }
    sorted(steps)
}

/// An operator pauses the cluster, and resumes it or not, on whatever host. Drawn apart, so that a
/// schedule without a pause is what it was before there were any.
fn with_pauses(mut steps: Vec<Step>, setup: &Setup, length: Micros, seed: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed ^ 0x70_6175_7365);
    if !rng.percent(6) {
        return steps;
    }
    let mut at = rng.between(SECOND / 2, length);
    let times = rng.below(3) + 1;
    for pauses in [true, false, true].into_iter().take(times) {
        let fault = Fault::SetsPause(rng.below(setup.node_count()), pauses);
        steps.push(Step { at, fault });
        at += rng.between(SECOND / 10, length / 2);
    }
    sorted(steps)
}

fn faults(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    // Most of what can go wrong does so around the loss of a primary.
    if rng.percent(75) {
        let at = rng.between(SECOND, length / 3);
        let fault = match rng.below(4) {
            0 => Fault::Isolate(setup.primary),
            1 => Fault::Split(u32::try_from(rng.between(1, 1 << setup.hosts())).unwrap_or(1)),
            _ => Fault::Dies(setup.primary, death(rng)),
        };
        steps.push(Step { at, fault });
    }
    if rng.percent(8) {
        steps.extend(slow_promotions(setup, length, rng));
    }
    if rng.percent(5) {
        steps.extend(stopped_while_primary_hangs(setup, length, rng));
    }
    let within = |step: &Step| step.at <= length;
    steps.extend(scenario(setup, length, rng).into_iter().filter(within));
    for _ in 0..rng.below(8) {
        let at = rng.between(0, length);
        let (fault, undone) = fault(setup, rng);
        steps.push(Step { at, fault });
        if let Some(fault) = undone.filter(|_| rng.percent(70)) {
            let at = at + rng.between(SECOND / 10, length / 2);
            steps.push(Step {
                at: at.min(length),
                fault,
            });
        }
    }
    sorted(steps)
}

/// Slow promotions of databases that answer slowly: what is learnt meanwhile is older than the
/// success, and a daemon may end in the middle of it.
fn slow_promotions(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let delay = rng.between(300_000, 800_000);
    let takes = rng.between(SECOND, 9 * SECOND);
    let fault = Fault::Restarts(rng.below(setup.node_count()));
    let at = rng.between(length / 2, length);
    let slow = |node| {
        [
            Fault::Slow(node, node, delay),
            Fault::Commands(node, Some(0), takes),
        ]
    };
    let slow = (0..setup.node_count()).flat_map(slow);
    std::iter::once(Step { at, fault })
        .chain(slow.map(|fault| Step { at: 0, fault }))
        .collect()
}

/// A primary that hangs for a moment while the daemons are stopped: their answers of before are
/// stale when they wake.
fn stopped_while_primary_hangs(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let at = rng.between(SECOND, length / 2);
    let stopped = at + rng.between(SECOND / 10, 2 * SECOND);
    let mut steps = vec![Step {
        at,
        fault: Fault::Dies(setup.primary, Death::Hang),
    }];
    for host in 0..setup.hosts() {
        steps.push(Step {
            at: stopped,
            fault: Fault::Stops(host, rng.between(2 * SECOND, length)),
        });
    }
    steps.push(Step {
        at: stopped + rng.between(0, 2 * SECOND),
        fault: Fault::Starts(setup.primary),
    });
    steps
}

/// A fault, and what ends it.
fn fault(setup: &Setup, rng: &mut Rng) -> (Fault, Option<Fault>) {
    let (host, other) = (rng.below(setup.hosts()), rng.below(setup.hosts()));
    let (node, upstream) = (rng.below(setup.node_count()), rng.below(setup.node_count()));
    let observers: Vec<_> = setup.observers.iter().map(|(_, host)| *host).collect();
    let observer = rng.one_of(&observers);
    match rng.below(29) {
        kind @ 0..=5 => network_fault(kind, setup, host, other, rng),
        kind @ (6..=12 | 25) => database_fault(kind, node, upstream, rng),
        13 | 14 => (clock(host, rng), None),
        15 | 16 => (Fault::Restarts(host), None),
        17 => (Fault::Reboots(host), None),
        18 => (Fault::Daemon(host, false), Some(Fault::Daemon(host, true))),
        19 | 20 => match observer {
            Some(observer) => (
                Fault::Lies(observer, Some(lie(node, rng))),
                Some(Fault::Lies(observer, None)),
            ),
            None => (Fault::Lost(host, node), None),
        },
        21 => (commands(node, rng), None),
        22 => (
            Fault::Maintenance(node, true),
            Some(Fault::Maintenance(node, false)),
        ),
        23 => (Fault::Check(host), Some(Fault::Lost(host, node))),
        24 => (
            Fault::Configured(host, node, false),
            Some(Fault::Configured(host, node, true)),
        ),
        26 => (Fault::Forgets(host), None),
        27 => (
            Fault::Stops(host, rng.between(SECOND / 10, 9 * SECOND)),
            None,
        ),
        _ if rng.percent(50) => (Fault::Gone(host, node), None),
        _ => {
            let most = 4 * setup.longest(|config| config.poll_interval);
            let interval = (rng.between(1, 4) * SECOND).min(most);
            (Fault::Interval(host, interval), None)
        }
    }
}

fn network_fault(
    kind: usize,
    setup: &Setup,
    host: HostId,
    other: HostId,
    rng: &mut Rng,
) -> (Fault, Option<Fault>) {
    match kind {
        0 | 1 => (
            Fault::Path(host, other, true),
            Some(Fault::Path(host, other, false)),
        ),
        2 => (Fault::Isolate(host), Some(Fault::Mend)),
        3 => (
            Fault::Split(u32::try_from(rng.between(1, 1 << setup.hosts())).unwrap_or(1)),
            Some(Fault::Mend),
        ),
        4 => {
            // Also to one's own database, which may answer slowly.
            let other = if rng.percent(50) { host } else { other };
            (
                Fault::Slow(host, other, rng.between(1, 900_000)),
                Some(Fault::Slow(host, other, 0)),
            )
        }
        _ => (
            Fault::Lossy(host, other, rng.between(10, 90)),
            Some(Fault::Lossy(host, other, 0)),
        ),
    }
}

fn database_fault(
    kind: usize,
    node: NodeId,
    upstream: NodeId,
    rng: &mut Rng,
) -> (Fault, Option<Fault>) {
    match kind {
        6..=8 => (Fault::Dies(node, death(rng)), Some(Fault::Starts(node))),
        9 => {
            let refusal = match rng.percent(50) {
                true => Refusal::Login,
                false => Refusal::Slots,
            };
            (
                Fault::Refuses(node, Some(refusal)),
                Some(Fault::Refuses(node, None)),
            )
        }
        10 => (Fault::Pauses(node, true), Some(Fault::Pauses(node, false))),
        11 => (Fault::Follows(node, upstream), None),
        12 if rng.percent(50) => (Fault::Repoints(node, upstream), None),
        12 => {
            let hosts = u32::try_from(rng.between(1, 127)).unwrap_or_default();
            (
                Fault::OutOfSlots(node, hosts),
                Some(Fault::OutOfSlots(node, 0)),
            )
        }
        _ => (Fault::LosesSlot(node), Some(Fault::Follows(node, upstream))),
    }
}

fn lie(node: usize, rng: &mut Rng) -> Lie {
    match rng.below(5) {
        0 => Lie::Primary(node),
        1 => Lie::AllStandbys,
        2 => Lie::AllGone,
        3 => Lie::Frozen,
        _ => Lie::Date([-90, -7, -3, 3, 7, 90][rng.below(6)]),
    }
}

fn clock(host: HostId, rng: &mut Rng) -> Fault {
    Fault::StepsClock(host, [-3600, -30, -6, -2, 2, 6, 30, 3600][rng.below(8)])
}

fn commands(host: HostId, rng: &mut Rng) -> Fault {
    let status = [Some(0), Some(1), Some(0), None][rng.below(4)];
    Fault::Commands(host, status, rng.between(1, 9 * SECOND))
}

fn sorted(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| step.at);
    steps
}

const NODES: &[&str] = &["a", "b", "c", "d", "e"];
const OBSERVERS: &[&str] = &["o1", "o2"];
const TEMPLATE: &str = r#"{"remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c", "d": "host=d", "e": "host=e"},
    "observers": {"o1": "http://o1:15000", "o2": "http://o2:15000"}, "failover_command": "promote",
    "replication_catchup_timeout": 5, "autofollow": true, "pg_data_directory": "/data",
    "pg_start_command": "start", "pg_stop_command": "stop", "primary_conninfo_template": "host=a user=r"}"#;
