//! Schedules from seeds.

use std::time::Duration;

use super::plan::{Death, Deed, Ending, Lie, Plan, Step};
use super::random::Dice;
use super::setup::Setup;
use super::{HostId, Micros, Refusal, SECOND};
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
        let mut dice = Dice::new(seed);
        let split = dice.percent(15);
        let mut config = self.config(&mut dice);
        if split {
            config.quorum = QuorumRule::Majority;
        }
        let mut setup = Setup::new(&config, 0);
        setup.primary = dice.below(setup.node_count());
        setup.is_busy = dice.percent(50);
        let limit = setup.longest(|config| config.failover_lag);
        let length = limit + 4 * SECOND + dice.between(0, 4 * SECOND);
        let steps = if split {
            one_split(&setup, length, &mut dice)
        } else {
            faults(&setup, length, &mut dice)
        };
        let ending = match dice.below(8) {
            0..=2 => Ending::Abrupt,
            3..=5 => Ending::Healed,
            _ => Ending::CleanDeath(death(&mut dice)),
        };
        Plan {
            seed,
            setup,
            steps,
            length,
            ending,
        }
    }

    fn config(&self, dice: &mut Dice) -> Config {
        let mut config = self.template.clone();
        let nodes = [2, 3, 3, 3, 3, 4, 4, 5][dice.below(8)];
        let observers = [0, 0, 0, 1, 1, 1, 2, 2][dice.below(8)];
        config
            .nodes
            .retain(|name, _| NODES.iter().take(nodes).any(|kept| *kept == name.as_str()));
        config.observers.retain(|name, _| {
            OBSERVERS
                .iter()
                .take(observers)
                .any(|kept| *kept == name.as_str())
        });
        config.poll_interval = Duration::from_millis([1000, 2000, 2000][dice.below(3)]);
        config.check_interval = Duration::from_millis([1000, 2000, 3000][dice.below(3)]);
        config.poll_timeout = Duration::from_millis([400, 900][dice.below(2)]);
        config.failover_lag = Duration::from_secs([4, 6, 6, 9][dice.below(4)]);
        config.warning_lag = config
            .failover_lag
            .min(Duration::from_secs([2, 3][dice.below(2)]));
        config.missing_primary_timeout = Duration::from_millis([1000, 2500][dice.below(2)]);
        config.failover_pause = Duration::from_millis([0, 0, 1500][dice.below(3)]);
        config.failover_on_disconnect = !dice.percent(8);
        config.poll_observers_on_warning_only = dice.percent(6);
        config.failover_command_timeout = dice.percent(30).then_some(Duration::from_secs(5));
        config.quorum = if dice.percent(35) {
            QuorumRule::Majority
        } else {
            QuorumRule::Half
        };
        if dice.percent(10) {
            config
                .never_promote
                .extend(dice.one_of(NODES).map(NodeName::from));
        }
        if dice.percent(25) {
            let priority = |name: &str| (NodeName::from(name), 1);
            config
                .failover_priorities
                .extend(dice.one_of(NODES).map(priority));
        }
        config
    }

    /// A schedule of this seed on a cluster of the operator's own.
    pub fn plan_on(&self, setup: &Setup, seed: u64) -> Plan {
        let mut dice = Dice::new(seed);
        let limit = setup.longest(|config| config.failover_lag);
        let polls = 4 * setup.longest(|config| config.poll_interval);
        let length = limit + polls + dice.between(0, polls);
        let setup = setup.clone();
        let steps = faults(&setup, length, &mut dice);
        Plan {
            seed,
            setup,
            steps,
            length,
            ending: Ending::Healed,
        }
    }
}

/// The network splits once; who is alone dies or not.
fn one_split(setup: &Setup, length: Micros, dice: &mut Dice) -> Vec<Step> {
    let hosts = setup.hosts();
    let at = dice.between(3 * SECOND, 4 * SECOND);
    let group = u32::try_from(dice.between(1, (1 << hosts) - 2)).unwrap_or(1);
    let mut steps = vec![Step {
        at,
        deed: Deed::Split(group),
    }];
    if dice.percent(70) {
        let at = dice.between(5 * SECOND / 2, 5 * SECOND);
        steps.push(Step {
            at,
            deed: Deed::Dies(setup.primary, death(dice)),
        });
    }
    for _ in 0..dice.below(4) {
        let at = dice.between(3 * SECOND, length);
        let host = dice.below(hosts);
        let node = dice.below(setup.node_count());
        let deed = match dice.below(6) {
            0 | 1 => Deed::Restarts(host),
            2 => clock(host, dice),
            3 => Deed::Check(host),
            4 => Deed::Pauses(node, true),
            _ => commands(node, dice),
        };
        steps.push(Step { at, deed });
    }
    sorted(steps)
}

fn faults(setup: &Setup, length: Micros, dice: &mut Dice) -> Vec<Step> {
    let mut steps = Vec::new();
    // Most of what can go wrong does so around the loss of a primary.
    if dice.percent(75) {
        let at = dice.between(SECOND, length / 3);
        let deed = match dice.below(4) {
            0 => Deed::Isolate(setup.primary),
            1 => Deed::Split(u32::try_from(dice.between(1, 1 << setup.hosts())).unwrap_or(1)),
            _ => Deed::Dies(setup.primary, death(dice)),
        };
        steps.push(Step { at, deed });
    }
    // Slow promotions of databases that answer slowly: what is learnt meanwhile is older than the
    // success, and a daemon may end in the middle of it.
    if dice.percent(8) {
        let (delay, takes) = (
            dice.between(300_000, 800_000),
            dice.between(SECOND, 9 * SECOND),
        );
        let killed = Deed::Restarts(dice.below(setup.node_count()));
        steps.push(Step {
            at: dice.between(length / 2, length),
            deed: killed,
        });
        for node in 0..setup.node_count() {
            steps.push(Step {
                at: 0,
                deed: Deed::Slow(node, node, delay),
            });
            steps.push(Step {
                at: 0,
                deed: Deed::Commands(node, Some(0), takes),
            });
        }
    }
    // A primary that hangs for a moment while the daemons are stopped: their answers of before are
    // stale when they wake.
    if dice.percent(5) {
        let (at, gone) = (
            dice.between(SECOND, length / 2),
            dice.between(SECOND / 10, 2 * SECOND),
        );
        steps.push(Step {
            at,
            deed: Deed::Dies(setup.primary, Death::Hang),
        });
        for host in 0..setup.hosts() {
            steps.push(Step {
                at: at + gone,
                deed: Deed::Stops(host, dice.between(2 * SECOND, length)),
            });
        }
        steps.push(Step {
            at: at + gone + dice.between(0, 2 * SECOND),
            deed: Deed::Starts(setup.primary),
        });
    }
    for _ in 0..dice.below(8) {
        let at = dice.between(0, length);
        let (deed, undone) = fault(setup, dice);
        steps.push(Step { at, deed });
        if let Some(deed) = undone.filter(|_| dice.percent(70)) {
            let at = at + dice.between(SECOND / 10, length / 2);
            steps.push(Step {
                at: at.min(length),
                deed,
            });
        }
    }
    sorted(steps)
}

/// A fault, and what ends it.
fn fault(setup: &Setup, dice: &mut Dice) -> (Deed, Option<Deed>) {
    let (host, other) = (dice.below(setup.hosts()), dice.below(setup.hosts()));
    let (node, upstream) = (
        dice.below(setup.node_count()),
        dice.below(setup.node_count()),
    );
    let observer = dice.one_of(
        &setup
            .observers
            .iter()
            .map(|(_, host)| *host)
            .collect::<Vec<_>>(),
    );
    match dice.below(29) {
        0 | 1 => (
            Deed::Way(host, other, true),
            Some(Deed::Way(host, other, false)),
        ),
        2 => (Deed::Isolate(host), Some(Deed::Mend)),
        3 => (
            Deed::Split(u32::try_from(dice.between(1, 1 << setup.hosts())).unwrap_or(1)),
            Some(Deed::Mend),
        ),
        4 => {
            // Also to one's own database, which may answer slowly.
            let other = if dice.percent(50) { host } else { other };
            (
                Deed::Slow(host, other, dice.between(1, 900_000)),
                Some(Deed::Slow(host, other, 0)),
            )
        }
        5 => (
            Deed::Lossy(host, other, dice.between(10, 90)),
            Some(Deed::Lossy(host, other, 0)),
        ),
        6..=8 => (Deed::Dies(node, death(dice)), Some(Deed::Starts(node))),
        9 => {
            let refusal = if dice.percent(50) {
                Refusal::Login
            } else {
                Refusal::Slots
            };
            (
                Deed::Refuses(node, Some(refusal)),
                Some(Deed::Refuses(node, None)),
            )
        }
        10 => (Deed::Pauses(node, true), Some(Deed::Pauses(node, false))),
        11 | 12 => (Deed::Follows(node, upstream), None),
        13 | 14 => (clock(host, dice), None),
        15 | 16 => (Deed::Restarts(host), None),
        17 => (Deed::Reboots(host), None),
        18 => (Deed::Daemon(host, false), Some(Deed::Daemon(host, true))),
        19 | 20 => match observer {
            Some(observer) => (
                Deed::Lies(observer, Some(lie(node, dice))),
                Some(Deed::Lies(observer, None)),
            ),
            None => (Deed::Lost(host, node), None),
        },
        21 => (commands(node, dice), None),
        22 => (
            Deed::Maintenance(node, true),
            Some(Deed::Maintenance(node, false)),
        ),
        23 => (Deed::Check(host), Some(Deed::Lost(host, node))),
        24 => (
            Deed::Configured(host, node, false),
            Some(Deed::Configured(host, node, true)),
        ),
        25 => (Deed::LosesSlot(node), Some(Deed::Follows(node, upstream))),
        26 => (Deed::Forgets(host), None),
        27 => (
            Deed::Stops(host, dice.between(SECOND / 10, 9 * SECOND)),
            None,
        ),
        _ => match dice.percent(50) {
            true => (Deed::Gone(host, node), None),
            false => {
                let most = 4 * setup.longest(|config| config.poll_interval);
                (
                    Deed::Interval(host, (dice.between(1, 4) * SECOND).min(most)),
                    None,
                )
            }
        },
    }
}

fn death(dice: &mut Dice) -> Death {
    [Death::Crash, Death::HostDown, Death::Hang][dice.below(3)]
}

fn lie(node: usize, dice: &mut Dice) -> Lie {
    match dice.below(5) {
        0 => Lie::Primary(node),
        1 => Lie::AllStandbys,
        2 => Lie::AllGone,
        3 => Lie::Frozen,
        _ => Lie::Date([-90, -7, -3, 3, 7, 90][dice.below(6)]),
    }
}

fn clock(host: HostId, dice: &mut Dice) -> Deed {
    Deed::StepsClock(host, [-3600, -30, -6, -2, 2, 6, 30, 3600][dice.below(8)])
}

fn commands(host: HostId, dice: &mut Dice) -> Deed {
    let status = [Some(0), Some(1), Some(0), None][dice.below(4)];
    Deed::Commands(host, status, dice.between(1, 9 * SECOND))
}

fn sorted(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| step.at);
    steps
}

const NODES: &[&str] = &["a", "b", "c", "d", "e"];
const OBSERVERS: &[&str] = &["o1", "o2"];
const TEMPLATE: &str = r#"{"remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c", "d": "host=d", "e": "host=e"},
    "observers": {"o1": "http://o1:15000", "o2": "http://o2:15000"}, "failover_command": "promote",
    "replication_catchup_timeout": 5}"#;
