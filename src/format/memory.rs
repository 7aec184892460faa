//! What a later process must know, as it is written into the state file and into the header of a
//! timeline, and as it is read from there: one type, both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::moment::{micros_of, moment, seconds, since};
use crate::config::{NodeName, ObserverName};
use crate::lookout::{
    Contact, FailoverOutcome, Memory, PastFailover, PastPrimary, PastSwitchover, Process,
};
use crate::time::{Monotonic, Now, WallTime, timestamp};

/// The memory. Each part stands for itself: what cannot be read takes nothing else along.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemoryForm {
    /// Of the machine, where monotonic times are absolute: they count in this boot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) boot_id: Option<String>,
    /// The state file has it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    primary: Option<String>,
    /// `None`: the file does not contain it.
    #[serde(default, alias = "primary_contacts")]
    contacts: Option<Readable<BTreeMap<String, Readable<Moment>>>>,
    #[serde(default)]
    standbys: Option<Readable<BTreeSet<String>>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restart_owed: bool,
    #[serde(default)]
    failover: Option<Readable<FailoverForm>>,
    #[serde(default)]
    failover_failed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saved: Option<Readable<Moment>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    primaries: Option<Readable<BTreeSet<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded: Option<Readable<BTreeMap<String, String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diverged: Option<Readable<BTreeMap<String, String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_primary: Option<Readable<PrimaryForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witnesses: Option<Readable<BTreeMap<String, BTreeSet<String>>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    went_first: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lag_warning: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    failover_stuck: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    diverged_standby: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    primary_flapping: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    primary_not_writing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Readable<Vec<Change>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<Readable<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    switchover: Option<Readable<SwitchoverForm>>,
    /// Keys of a newer version, or mistakes.
    #[serde(flatten, skip_serializing)]
    others: BTreeMap<String, IgnoredAny>,
}

/// A part that may be odd.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Readable<T> {
    Good(T),
    #[serde(skip_serializing)]
    Odd(IgnoredAny),
}

#[derive(Debug, Serialize, Deserialize)]
struct FailoverForm {
    primary: Option<String>,
    #[serde(with = "OutcomeOfFailover")]
    outcome: FailoverOutcome,
    #[serde(flatten)]
    at: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<Readable<ProcessForm>>,
}

/// How the remembered failover command ended.
#[derive(Serialize, Deserialize)]
#[serde(remote = "FailoverOutcome", rename_all = "snake_case")]
enum OutcomeOfFailover {
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// The last primary that answered.
#[derive(Debug, Serialize, Deserialize)]
struct PrimaryForm {
    node: String,
    lsn: Option<String>,
    timeline: Option<u32>,
    since: Moment,
    at: Moment,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SwitchoverForm {
    id: String,
    to: String,
    term: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProcessForm {
    pid: u32,
    started: u64,
}

/// A moment on both clocks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Moment {
    /// Of the state file.
    Absolute {
        /// Seconds of the machine's monotonic clock.
        #[serde(default, deserialize_with = "number")]
        monotonic: Option<f64>,
        #[serde(with = "iso")]
        seen: WallTime,
    },
    /// Of a timeline: seconds from its start, by either clock.
    Relative { t: Option<f64>, wall: f64 },
}

/// What the moments of a memory are measured from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clocks {
    /// The machine's own, in this boot or another.
    Absolute { same_boot: bool },
    /// Those of a timeline that starts then.
    Since(Now),
}

impl MemoryForm {
    /// `primary`: is it to be told here.
    pub(super) fn of(
        memory: &Memory,
        clocks: Clocks,
        boot_id: Option<&str>,
        primary: bool,
    ) -> Self {
        let contacts = memory.contacts.iter();
        let failover = memory.failover.as_ref();
        let primary = memory.primary.as_ref().filter(|_| primary);
        Self {
            boot_id: boot_id.map(str::to_owned),
            primary: primary.map(ToString::to_string),
            contacts: Some(Readable::Good(
                contacts
                    .map(|(node, contact)| {
                        let at = clocks.write(contact.mono, contact.wall);
                        (node.to_string(), Readable::Good(at))
                    })
                    .collect(),
            )),
            standbys: Some(Readable::Good(
                memory.standbys.iter().map(NodeName::to_string).collect(),
            )),
            restart_owed: memory.restart_owed,
            failover: failover.map(|last| FailoverForm::of(last, clocks)),
            failover_failed: memory.failover_failed,
            saved: memory.saved.as_ref().map(|at| clocks.contact(at)),
            primaries: part(texts(&memory.primaries)),
            superseded: part(pairs(&memory.superseded)),
            diverged: part(pairs(&memory.diverged)),
            last_primary: memory.last_primary.as_ref().map(|last| {
                Readable::Good(PrimaryForm {
                    node: last.node.to_string(),
                    lsn: last.lsn.map(|lsn| lsn.to_string()),
                    timeline: last.timeline,
                    since: clocks.write(last.since.mono, last.since.wall),
                    at: clocks.write(last.at.mono, last.at.wall),
                    earlier: (!last.earlier.is_zero()).then_some(last.earlier.as_secs_f64()),
                })
            }),
            witnesses: part(witnesses(&memory.witnesses)),
            went_first: memory.went_first.as_ref().map(NodeName::to_string),
            lag_warning: memory.lag_warning,
            failover_stuck: memory.failover_stuck,
            diverged_standby: memory.diverged_standby,
            primary_flapping: memory.primary_flapping,
            primary_not_writing: memory.primary_not_writing,
            // Nothing is decided by them: a timeline needs none.
            changes: match clocks {
                Clocks::Absolute { .. } => part(memory.changes.iter().map(Change::from).collect()),
                Clocks::Since(_) => None,
            },
            pause: memory.pause.shown().map(Readable::Good),
            switchover: memory.switchover.as_ref().map(SwitchoverForm::of),
            others: BTreeMap::new(),
        }
    }

    /// The memory; keys that cannot be read are named in `odd`. Without contacts or standbys in the
    /// file, those are `None`.
    pub(super) fn read(self, clocks: Clocks, odd: &mut Vec<String>) -> Read {
        let contacts = self.contacts.and_then(|it| it.good("contacts", odd));
        let contacts = contacts.map(|contacts| {
            let moments = contacts.into_iter().filter_map(|(node, at)| {
                let key = format!("contacts.{node}");
                let (mono, wall) = clocks.read(at.good(&key, odd)?, &key, odd)?;
                Some((node.as_str().into(), Contact { mono, wall }))
            });
            moments.collect()
        });
        let standbys = self.standbys.and_then(|it| it.good("standbys", odd));
        let failover = self.failover.and_then(|it| it.good("failover", odd));
        let primaries = self.primaries.and_then(|it| it.good("primaries", odd));
        let superseded = self.superseded.and_then(|it| it.good("superseded", odd));
        let diverged = self.diverged.and_then(|it| it.good("diverged", odd));
        let last = self
            .last_primary
            .and_then(|it| it.good("last_primary", odd));
        let witnesses = self.witnesses.and_then(|it| it.good("witnesses", odd));
        let changes = self.changes.and_then(|it| it.good("changes", odd));
        let changes = changes.unwrap_or_default().into_iter();
        let pause = self.pause.and_then(|it| it.good("pause", odd));
        let pause = pause.and_then(|mark| mark.parse().ok());
        let saved = self.saved.and_then(|it| it.good("saved", odd));
        let saved = saved.and_then(|at| clocks.read(at, "saved", odd));
        Read {
            others: self.others.into_keys().collect(),
            has_contacts: contacts.is_some(),
            has_standbys: standbys.is_some(),
            memory: Memory {
                primary: self.primary.as_deref().map(NodeName::from),
                contacts: contacts.unwrap_or_default(),
                standbys: standbys
                    .unwrap_or_default()
                    .iter()
                    .map(|node| node.as_str().into())
                    .collect(),
                // After a boot every server of the machine was started anew.
                restart_owed: self.restart_owed && clocks.is_same_boot(),
                failover: failover.and_then(|last| last.read(clocks, odd)),
                failover_failed: self.failover_failed,
                saved: saved.map(|(mono, wall)| Contact { mono, wall }),
                primaries: names(primaries.unwrap_or_default()),
                superseded: successors(superseded.unwrap_or_default()),
                diverged: diverged
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|(node, proof)| Some((node.as_str().into(), proof.parse().ok()?)))
                    .collect(),
                last_primary: last.and_then(|last| last.read(clocks, odd)),
                witnesses: witnesses
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(observer, seen)| (observer.as_str().into(), names(seen)))
                    .collect(),
                went_first: self.went_first.as_deref().map(NodeName::from),
                lag_warning: self.lag_warning,
                failover_stuck: self.failover_stuck,
                diverged_standby: self.diverged_standby,
                primary_flapping: self.primary_flapping,
                primary_not_writing: self.primary_not_writing,
                changes: changes.filter_map(Change::read).collect(),
                pause: pause.unwrap_or_default(),
                switchover: SwitchoverForm::read(self.switchover, clocks, odd),
            },
        }
    }
}

/// What was read of a memory.
pub(super) struct Read {
    pub(super) memory: Memory,
    pub(super) has_contacts: bool,
    pub(super) has_standbys: bool,
    /// Keys that are not known.
    pub(super) others: Vec<String>,
}

/// A part that is written only if there is something to it.
fn part<T: Default + PartialEq>(value: T) -> Option<Readable<T>> {
    (value != T::default()).then_some(Readable::Good(value))
}

fn witnesses(
    seen: &BTreeMap<ObserverName, BTreeSet<NodeName>>,
) -> BTreeMap<String, BTreeSet<String>> {
    let seen = seen.iter();
    seen.map(|(observer, nodes)| (observer.to_string(), texts(nodes)))
        .collect()
}

fn texts(names: &BTreeSet<NodeName>) -> BTreeSet<String> {
    names.iter().map(NodeName::to_string).collect()
}

fn names(texts: BTreeSet<String>) -> BTreeSet<NodeName> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn successors(texts: BTreeMap<String, String>) -> BTreeMap<NodeName, NodeName> {
    let pairs = texts.iter();
    pairs
        .map(|(node, by)| (node.as_str().into(), by.as_str().into()))
        .collect()
}

fn pairs<T: ToString>(map: &BTreeMap<NodeName, T>) -> BTreeMap<String, String> {
    let pairs = map.iter();
    pairs
        .map(|(node, value)| (node.to_string(), value.to_string()))
        .collect()
}

impl PrimaryForm {
    fn read(self, clocks: Clocks, odd: &mut Vec<String>) -> Option<PastPrimary> {
        let mut contact = |at| {
            let (mono, wall) = clocks.read(at, "last_primary", odd)?;
            Some(Contact { mono, wall })
        };
        Some(PastPrimary {
            since: contact(self.since)?,
            at: contact(self.at)?,
            node: self.node.as_str().into(),
            lsn: self.lsn.and_then(|lsn| lsn.parse().ok()),
            timeline: self.timeline,
            earlier: Duration::try_from_secs_f64(self.earlier.unwrap_or_default())
                .unwrap_or_default(),
        })
    }
}

impl SwitchoverForm {
    fn of(past: &PastSwitchover) -> Readable<Self> {
        Readable::Good(Self {
            id: past.id.to_string(),
            to: past.to.to_string(),
            term: past.term,
        })
    }

    /// After a boot nobody waits for it, and its server is down by something else.
    fn read(
        form: Option<Readable<Self>>,
        clocks: Clocks,
        odd: &mut Vec<String>,
    ) -> Option<PastSwitchover> {
        let form = form.filter(|_| clocks.is_same_boot())?;
        let form = form.good("switchover", odd)?;
        Some(PastSwitchover {
            id: form.id.parse().ok()?,
            to: form.to.as_str().into(),
            term: form.term,
        })
    }
}

impl FailoverForm {
    fn of(last: &PastFailover, clocks: Clocks) -> Readable<Self> {
        let process = last.process;
        Readable::Good(Self {
            primary: last.primary.as_ref().map(NodeName::to_string),
            outcome: last.outcome,
            at: clocks.write(last.mono, last.wall),
            process: process
                .map(|Process { pid, started }| Readable::Good(ProcessForm { pid, started })),
        })
    }

    fn read(self, clocks: Clocks, odd: &mut Vec<String>) -> Option<PastFailover> {
        let (mono, wall) = clocks.read(self.at, "failover", odd)?;
        // Another boot has other processes.
        let process = self.process.filter(|_| clocks.is_same_boot());
        let process = process.and_then(|process| process.good("failover.process", odd));
        Some(PastFailover {
            primary: self.primary.as_deref().map(NodeName::from),
            outcome: self.outcome,
            mono,
            wall,
            process: process.map(|ProcessForm { pid, started }| Process { pid, started }),
        })
    }
}

impl<T> Readable<T> {
    fn good(self, key: &str, odd: &mut Vec<String>) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Odd(_) => {
                odd.push(format!("memory.{key}"));
                None
            }
        }
    }
}

impl Clocks {
    fn contact(self, at: &Contact) -> Readable<Moment> {
        Readable::Good(self.write(at.mono, at.wall))
    }

    fn write(self, mono: Option<Monotonic>, wall: WallTime) -> Moment {
        match self {
            Self::Absolute { .. } => Moment::Absolute {
                monotonic: mono.map(Monotonic::as_secs_f64),
                seen: wall,
            },
            Self::Since(start) => {
                let t = |at| seconds(micros_of(at).saturating_sub(micros_of(start.mono)));
                Moment::Relative {
                    t: mono.map(t),
                    wall: since(start.wall, wall),
                }
            }
        }
    }

    fn read(
        self,
        at: Moment,
        key: &str,
        odd: &mut Vec<String>,
    ) -> Option<(Option<Monotonic>, WallTime)> {
        match (self, at) {
            (Self::Absolute { same_boot }, Moment::Absolute { monotonic, seen }) => {
                let mono = monotonic.filter(|_| same_boot).and_then(rounded);
                Some((mono, seen))
            }
            (Self::Since(start), Moment::Relative { t, wall }) => {
                let mono = t.map(|t| moment(start.mono, t));
                Some((mono, super::moment::at(start.wall, wall)))
            }
            (Self::Absolute { .. }, Moment::Relative { .. })
            | (Self::Since(_), Moment::Absolute { .. }) => {
                odd.push(format!("memory.{key}"));
                None
            }
        }
    }

    fn is_same_boot(self) -> bool {
        match self {
            Self::Absolute { same_boot } => same_boot,
            Self::Since(_) => true,
        }
    }
}

/// To the microsecond, as the clock is read.
fn rounded(seconds: f64) -> Option<Monotonic> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    let micros = u64::try_from(exact.saturating_add(HALF_A_MICROSECOND).as_micros()).ok()?;
    Some(Monotonic::from_duration(Duration::from_micros(micros)))
}

const HALF_A_MICROSECOND: Duration = Duration::from_nanos(500);

/// A number, or `None` for anything else.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Readable::<f64>::deserialize(deserializer)? {
        Readable::Good(number) => Some(number),
        Readable::Odd(_) => None,
    })
}

mod iso {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(
        time: &WallTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        timestamp::format(*time).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<WallTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an ISO timestamp"))
    }
}
