//! A core for tests that votes in a cluster: the voters are p, s1 and s2.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::cluster::{Identity, Lsn};
use crate::config::{ClusterName, CommandLine, Environment, FenceSettings, VoterName, parse};
use crate::time::WallTime;
use crate::votes::{Answer, Mandate, Nonce, Record, Refusal, Request, SaveId, VoterList};

pub(super) struct World {
    pub(super) lookout: Lookout,
    pub(super) seconds: f64,
    pub(super) effects: Vec<Effect>,
}

impl World {
    /// The primary p was lost, and its last sign of life is long enough ago.
    pub(super) fn start(more: &str) -> Self {
        Self::of(config(more))
    }

    /// The same with leases: fenced 3 s before their end, renewed every 2.5 s.
    pub(super) fn with_leases(own: &str) -> Self {
        let mut config = config("");
        config.own_db = Some(own.into());
        let voting = config.voting.as_mut().unwrap();
        voting.fence = Some(FenceSettings {
            command: CommandLine {
                argv: vec!["fence".to_owned()],
            },
            timeout: Duration::from_secs(3),
            renew: Duration::from_millis(2_500),
            unfence: None,
            watchdog: None,
        });
        let cluster = voting.clusters.values_mut().next().unwrap();
        cluster.own = own.into();
        Self::of(config)
    }

    pub(super) fn of(config: Config) -> Self {
        let mut world = Self {
            lookout: Lookout::with_given_turns(Arc::new(config), &Memory::default(), now(0.0)),
            seconds: 0.0,
            effects: Vec::new(),
        };
        world.polled("p", Some(primary()));
        world.polled("s1", Some(standby()));
        world.polled("s2", Some(standby()));
        world.decide(Look::Regular);
        world
    }

    /// Another process of the same daemon, which knows what this one has remembered.
    pub(super) fn restarted(self) -> Self {
        let (config, now) = (self.lookout.config().clone(), now(self.seconds));
        let memory = self.lookout.memory(now);
        Self {
            lookout: Lookout::with_given_turns(config, &memory, now),
            effects: Vec::new(),
            ..self
        }
    }

    /// Its vote file was read.
    pub(super) fn with_record(more: &str) -> Self {
        let mut world = Self::start(more);
        world.file_read(None);
        world
    }

    /// `held`: the term that it holds, by its own vote.
    pub(super) fn file_read(&mut self, held: Option<u64>) -> Vec<Effect> {
        let mut record = Record::new(VoterList {
            generation: 1,
            names: ["p", "s1", "s2"].map(VoterName::from).into(),
        });
        if let Some(term) = held {
            (record.term, record.held_term) = (term, term);
            let own = self.lookout.config().own_db.as_ref().unwrap();
            record.voted_for = Some(Mandate {
                candidate: own.as_str().into(),
                nonce: Nonce(3),
            });
            record.promise = Duration::from_millis(20_625);
        }
        self.event(Event::VoteFileRead {
            cluster: cluster(),
            found: Ok(record),
            seed: 7,
            resumed: None,
        })
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Effect> {
        let from = self.effects.len();
        self.lookout
            .turn([event], false, now(self.seconds), &mut self.effects);
        self.effects[from..].to_vec()
    }

    pub(super) fn polled(&mut self, node: &str, role: Option<RoleReport>) {
        self.polled_as(node, role, Identity::default());
    }

    pub(super) fn polled_as(&mut self, node: &str, role: Option<RoleReport>, identity: Identity) {
        let outcome = role.map(|role| NodeReport {
            db_time: now(self.seconds).wall,
            role,
            identity,
            daemons: None,
        });
        let outcome = outcome.ok_or(ProbeFailure::Unreachable {
            reason: "gone".to_owned(),
        });
        self.event(Event::NodeProbed {
            node: node.into(),
            probe: None,
            outcome,
        });
    }

    pub(super) fn decide(&mut self, look: Look) -> (&'static str, Vec<Effect>) {
        let effects = self.event(Event::Turn(GivenTurn::Decision(look)));
        let verdict = &self.lookout.last_round().unwrap().decision.verdict;
        (verdict.reason(), effects)
    }

    /// Everything up to the verdict on fresh facts, and after the announcement.
    pub(super) fn lose_primary(&mut self) -> (&'static str, Vec<Effect>) {
        self.lose_primary_seeing(None)
    }

    /// The same, with this answer of s2.
    pub(super) fn lose_primary_seeing(
        &mut self,
        s2: Option<RoleReport>,
    ) -> (&'static str, Vec<Effect>) {
        self.polled("p", None);
        self.polled("s1", Some(standby()));
        self.polled("s2", s2);
        self.decide(Look::Regular);
        let (reason, effects) = self.decide(Look::Fresh);
        if reason != "announced" {
            return (reason, effects);
        }
        self.decide(Look::Announced)
    }

    pub(super) fn answer(&mut self, request: &Request, refusal: Option<Refusal>) -> Vec<Effect> {
        let answer = Answer {
            cluster: cluster(),
            from: request.to.clone(),
            to: request.from.clone(),
            kind: request.kind,
            nonce: request.nonce,
            refusal,
            wait: None,
            term: 0,
            voted_for: None,
            position: None,
            willing: false,
            fences: None,
            list: request.list.clone(),
            news: request.news.clone(),
            is_free: false,
        };
        self.event(Event::VoteAnswered {
            cluster: cluster(),
            voter: request.to.clone(),
            of: (request.nonce, request.kind),
            outcome: Ok(answer),
        })
    }

    pub(super) fn saved(&mut self, id: SaveId, done: bool) -> Vec<Effect> {
        self.event(Event::VoteSaved {
            cluster: cluster(),
            id,
            done,
        })
    }

    /// Asked, granted by p, own vote written: the requests for votes.
    pub(super) fn ask(&mut self) -> Vec<Request> {
        self.seconds = 60.0;
        self.ask_in_term(1, SaveId(1))
    }

    pub(super) fn ask_in_term(&mut self, term: u64, save: SaveId) -> Vec<Request> {
        let (reason, effects) = self.lose_primary();
        assert_eq!(reason, "primary_unreachable");
        assert!(commands(&effects).is_empty());
        let asked = requests(&effects);
        assert_eq!(asked.len(), 2);
        let effects = self.answer(&asked[0], None);
        let id = effects.iter().find_map(|effect| match effect {
            Effect::SaveVote { id, record, .. } if record.term == term => Some(*id),
            _ => None,
        });
        assert_eq!(id, Some(save));
        assert!(requests(&effects).is_empty());
        requests(&self.saved(save, true))
    }
}

fn config(more: &str) -> Config {
    let text = format!(
        r#"{{"remote_conns": {{"p": "host=p", "s1": "host=s1", "s2": "host=s2"}}, "own_db": "s1",
        "failover_command": "promote", "max_failover_replication_time_lag": 10, "db_poll_interval": 2,
        "warning_replication_time_lag": 5, "poll_timeout": 1, "vote_directory": "/v",
        "voting": {{"main": {{"generation": 1, "secret_file": "/s",
        "voters": {{"p": "http://p", "s1": "http://s1", "s2": "http://s2"}}{more}}}}}}}"#
    );
    parse(&text, &Environment::default()).unwrap().config
}

pub(super) fn cluster() -> ClusterName {
    ClusterName::from("main")
}

pub(super) fn now(seconds: f64) -> Now {
    let since = Duration::from_secs_f64(1_000.0 + seconds);
    Now {
        mono: Monotonic::from_duration(since),
        wall: WallTime::from_unix_micros(1_700_000_000_000_000) + since,
    }
}

pub(super) fn primary() -> RoleReport {
    RoleReport::Primary {
        lsn: Some(Lsn::from_bytes(80)),
        slots: Vec::new(),
    }
}

pub(super) fn standby() -> RoleReport {
    let at = Some(Lsn::from_bytes(80));
    RoleReport::Standby {
        receive: at,
        replay: at,
        last_replay: None,
    }
}

pub(super) fn requests(effects: &[Effect]) -> Vec<Request> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::SendVote(request) => Some(request.clone()),
        _ => None,
    });
    sent.collect()
}

pub(super) fn commands(effects: &[Effect]) -> Vec<&[String]> {
    effects
        .iter()
        .filter_map(|effect| Some(effect.command()?.1))
        .collect()
}
