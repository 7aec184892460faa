//! What must never be, as the judge finds it.

use std::fmt;

use pglookout::simulation::{HostId, Micros, NodeId, SECOND, Setup};

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A promotion while this was known of a primary, so long ago.
    PrimaryLived(HostId, Kind, Micros),
    /// A promotion while this primary answered whoever asked.
    Reachable(HostId, NodeId),
    /// A promotion on facts from before its cause.
    StaleFacts(HostId),
    /// A promotion of a server that lacks the history of this last primary.
    OlderHistory(HostId, NodeId),
    /// A promotion though this standby is further ahead and willing.
    FurtherAhead(HostId, NodeId),
    /// A second promotion while the first one ran, and both daemons reach this server.
    TwoBesideAServer(HostId, HostId, NodeId),
    /// Two standbys replaced one primary, though a majority was asked for.
    TwoInOneOutage(HostId, HostId),
    /// An observer ran the failover command.
    ObserverPromotes(HostId),
    /// A server was made to follow a primary that is none, or is not reached.
    Follows(HostId, NodeId),
    /// A server was stopped in the middle of its promotion.
    StopsPromoting(HostId),
    /// A server was promoted, or stopped, though its daemon knew that the cluster was paused.
    Paused(HostId),
    /// No decision for so long.
    EndlessWait(HostId, Micros),
    /// The core asks to be called again and again at one time.
    ClockStandsStill,
    /// A majority with this willing standby was connected all the time, and nobody was promoted.
    Nobody(HostId),
    /// Everything was healed, and this daemon names another primary, or none.
    NoAgreement(HostId, Option<NodeId>),
    /// The primary died, and so many promotions were begun instead of so many.
    Promotions(usize, usize),
    /// The primary died, and the promotion came so late: when, and what was allowed.
    Late(Micros, Micros),
    /// Two promotions by election in this term, or one of them twice.
    TwoWinners(HostId, HostId, u64),
    /// A promotion without the votes of a majority, where voters elect.
    NotElected(HostId),
    /// A promotion by votes whose promises are over.
    ElectedLate(HostId, u64),
    /// What was won in this term was released, and its promotion has begun.
    ReleasesWon(HostId, u64),
    /// A vote of a process that could not read what was voted before.
    VotesWithoutFile(HostId),
    /// A vote for another, though this primary was reached just now.
    VotesAgainst(HostId, NodeId),
    /// A vote that was given and not written before, or not for so long.
    GrantUnwritten(HostId, u64),
    /// Votes that were asked for before the own one was written.
    AsksUnwritten(HostId, u64),
    /// A vote for another candidate than was promised for so long still.
    PromiseBroken(HostId, HostId, Micros),
    /// A vote file that was written over with a lower term, or with another vote in the same one.
    RecordGoesBack(HostId, u64),
    /// A vote while the primary lives and nothing is wrong.
    VotesInCalm(HostId, u64),
    /// Two servers took commits at the same time.
    TwoWriters(NodeId, NodeId),
    /// A server was fenced while nothing was wrong.
    FencesInCalm(HostId),
    /// Everything works, this daemon holds the last term, and its server was not started.
    NotStarted(HostId),
    /// All agree on this primary, and it holds no term.
    HoldsNothing(HostId),
    /// Everything works, and no server takes commits.
    NoWriter,
    /// A renewal of what was not won.
    RenewsUnwon(HostId, u64),
    /// A voter has renewed a term that it knew to be released.
    RenewsReleased(HostId, u64),
    /// A server is stopped for a switchover that is to change nothing, or that nobody can follow.
    DemotesInVain(HostId),
    /// A term is released for a successor, and that lacks what was written, or the server runs.
    HandsOverEarly(HostId, HostId),
    /// A switchover is over, and nothing was released for it.
    DoneWithoutRelease(HostId),
    /// A switchover is over, and the new primary lacks what the old one had written.
    LosesRows(HostId, NodeId),
    /// A switchover was given up, and its server takes no commits.
    AbortsWithoutWriter(HostId),
    /// A switchover does not end.
    SwitchesForEver(HostId),
    /// Everything works, every file has one list of voters, and this voter has another, or does not know it
    /// to be sealed.
    ListsDiffer(HostId),
    /// A promotion as a successor, and no holder has named it.
    SucceedsUnnamed(HostId),
}

/// How a primary was known to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It answered the daemon.
    Answered,
    /// It turned the daemon away.
    Refused,
    /// It answered an observer that the daemon has asked since.
    Sighted,
    /// WAL of it arrived at a standby.
    Received,
}

impl Violation {
    /// Whose daemons it is about; all that could promote, if it names nobody.
    pub(crate) fn hosts(&self, setup: &Setup) -> Vec<HostId> {
        match self {
            Self::PrimaryLived(host, ..)
            | Self::Reachable(host, _)
            | Self::StaleFacts(host)
            | Self::OlderHistory(host, _)
            | Self::FurtherAhead(host, _)
            | Self::ObserverPromotes(host)
            | Self::Follows(host, _)
            | Self::StopsPromoting(host)
            | Self::Paused(host)
            | Self::EndlessWait(host, _)
            | Self::NoAgreement(host, _) => vec![*host],
            Self::NotElected(host)
            | Self::ElectedLate(host, _)
            | Self::ReleasesWon(host, _)
            | Self::VotesWithoutFile(host)
            | Self::VotesAgainst(host, _)
            | Self::GrantUnwritten(host, _)
            | Self::AsksUnwritten(host, _)
            | Self::RecordGoesBack(host, _)
            | Self::FencesInCalm(host)
            | Self::NotStarted(host)
            | Self::HoldsNothing(host)
            | Self::RenewsUnwon(host, _)
            | Self::RenewsReleased(host, _)
            | Self::DemotesInVain(host)
            | Self::DoneWithoutRelease(host)
            | Self::AbortsWithoutWriter(host)
            | Self::SwitchesForEver(host)
            | Self::SucceedsUnnamed(host)
            | Self::ListsDiffer(host)
            | Self::VotesInCalm(host, _) => vec![*host],
            Self::TwoBesideAServer(a, b, _)
            | Self::TwoInOneOutage(a, b)
            | Self::TwoWinners(a, b, _)
            | Self::TwoWriters(a, b)
            | Self::HandsOverEarly(a, b)
            | Self::LosesRows(a, b)
            | Self::PromiseBroken(a, b, _) => vec![*a, *b],
            Self::ClockStandsStill
            | Self::Nobody(_)
            | Self::NoWriter
            | Self::Promotions(..)
            | Self::Late(..) => (0..setup.node_count()).collect(),
        }
    }

    /// Is it of the same kind: what a shrunken schedule must still show.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PrimaryLived(_, ours, _), Self::PrimaryLived(_, theirs, _)) => ours == theirs,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// A name for a table.
    pub(crate) fn name(&self) -> String {
        let debug = format!("{self:?}");
        let name = debug.split('(').next().unwrap_or_default();
        match self {
            Self::PrimaryLived(_, kind, _) => format!("{name} {kind:?}"),
            _ => name.to_owned(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrimaryLived(..)
            | Self::Reachable(..)
            | Self::StaleFacts(_)
            | Self::OlderHistory(..)
            | Self::FurtherAhead(..)
            | Self::TwoBesideAServer(..)
            | Self::TwoInOneOutage(..) => self.fmt_of_promotion(f),
            Self::ObserverPromotes(host) => write!(
                f,
                "host {host} is an observer, and runs the failover command"
            ),
            Self::Follows(host, node) => {
                write!(
                    f,
                    "host {host} follows {node}, which is superseded or not reached"
                )
            }
            Self::StopsPromoting(host) => {
                write!(f, "host {host} stops its server, which is being promoted")
            }
            Self::Paused(host) => {
                write!(f, "host {host} acts, and knows that the cluster is paused")
            }
            Self::EndlessWait(host, time) => write!(
                f,
                "host {host} has decided nothing for {} s",
                seconds(*time)
            ),
            Self::ClockStandsStill => {
                f.write_str("the core asks to be called at the same time again and again")
            }
            Self::Nobody(host) => write!(
                f,
                "a majority is connected, host {host} is willing, and nobody is promoted"
            ),
            Self::NoAgreement(host, primary) => {
                write!(
                    f,
                    "all is healed, and host {host} remembers {primary:?} as the primary"
                )
            }
            Self::Promotions(found, wanted) => {
                write!(
                    f,
                    "the primary died: {found} promotions were begun instead of {wanted}"
                )
            }
            Self::Late(at, allowed) => {
                write!(
                    f,
                    "the primary died: promoted after {} s, allowed {} s",
                    seconds(*at),
                    seconds(*allowed)
                )
            }
            Self::TwoWinners(..)
            | Self::NotElected(_)
            | Self::ElectedLate(..)
            | Self::ReleasesWon(..)
            | Self::VotesWithoutFile(_)
            | Self::VotesAgainst(..)
            | Self::GrantUnwritten(..)
            | Self::AsksUnwritten(..)
            | Self::PromiseBroken(..)
            | Self::RecordGoesBack(..)
            | Self::ListsDiffer(_)
            | Self::VotesInCalm(..) => self.fmt_of_election(f),
            Self::TwoWriters(..)
            | Self::FencesInCalm(_)
            | Self::NotStarted(_)
            | Self::HoldsNothing(_)
            | Self::NoWriter
            | Self::RenewsUnwon(..)
            | Self::RenewsReleased(..) => self.fmt_of_lease(f),
            Self::DemotesInVain(_)
            | Self::HandsOverEarly(..)
            | Self::DoneWithoutRelease(_)
            | Self::LosesRows(..)
            | Self::AbortsWithoutWriter(_)
            | Self::SwitchesForEver(_)
            | Self::SucceedsUnnamed(_) => self.fmt_of_switchover(f),
        }
    }
}

impl Violation {
    fn fmt_of_promotion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrimaryLived(host, kind, age) => {
                let age = seconds(*age);
                write!(
                    f,
                    "host {host} promotes, and a primary lived {age} s ago: {kind:?}"
                )
            }
            Self::Reachable(host, node) => {
                write!(
                    f,
                    "host {host} promotes, and the primary {node} answers all the time"
                )
            }
            Self::StaleFacts(host) => {
                write!(f, "host {host} promotes on facts from before the cause")
            }
            Self::OlderHistory(host, node) => {
                write!(
                    f,
                    "host {host} promotes a server of an older history than {node}"
                )
            }
            Self::FurtherAhead(host, node) => {
                write!(
                    f,
                    "host {host} promotes, and {node} is further ahead and willing"
                )
            }
            Self::TwoBesideAServer(a, b, server) => write!(
                f,
                "host {b} promotes while host {a} does, and both reach server {server}"
            ),
            Self::TwoInOneOutage(a, b) => write!(
                f,
                "hosts {a} and {b} both replace one primary in one outage"
            ),
            _ => Ok(()),
        }
    }

    fn fmt_of_lease(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoWriters(a, b) => {
                write!(f, "servers {a} and {b} both take commits")
            }
            Self::FencesInCalm(host) => {
                write!(f, "server {host} is fenced, and nothing is wrong with it")
            }
            Self::NotStarted(host) => write!(
                f,
                "all is healed, host {host} holds the last term, and its server stays down"
            ),
            Self::HoldsNothing(host) => {
                write!(f, "all is healed, and the primary {host} holds no term")
            }
            Self::NoWriter => f.write_str("all is healed, and no server takes commits"),
            Self::RenewsUnwon(host, term) => {
                write!(f, "host {host} renews term {term}, which it has not won")
            }
            Self::RenewsReleased(host, term) => write!(
                f,
                "host {host} renews term {term}, which it knows to be released"
            ),
            _ => Ok(()),
        }
    }

    fn fmt_of_switchover(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DemotesInVain(host) => {
                write!(f, "host {host} stops its server, and nobody can follow it")
            }
            Self::HandsOverEarly(host, to) => write!(
                f,
                "host {host} releases its term for {to}, which lacks something, or is not needed yet"
            ),
            Self::DoneWithoutRelease(host) => {
                write!(
                    f,
                    "host {host} has ended a switchover, and released nothing"
                )
            }
            Self::LosesRows(host, to) => write!(
                f,
                "host {host} has ended a switchover, and {to} lacks what was written"
            ),
            Self::AbortsWithoutWriter(host) => write!(
                f,
                "host {host} has given a switchover up, and its server takes no commits"
            ),
            Self::SwitchesForEver(host) => {
                write!(f, "the switchover of host {host} does not end")
            }
            Self::SucceedsUnnamed(host) => {
                write!(f, "host {host} succeeds a holder that has not named it")
            }
            _ => Ok(()),
        }
    }

    fn fmt_of_election(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoWinners(a, b, term) => {
                write!(
                    f,
                    "hosts {a} and {b} both promote as elected in term {term}"
                )
            }
            Self::NotElected(host) => {
                write!(f, "host {host} promotes without the votes of a majority")
            }
            Self::ElectedLate(host, term) => write!(
                f,
                "host {host} promotes as elected in term {term}, and its voters are free again"
            ),
            Self::ReleasesWon(host, term) => write!(
                f,
                "host {host} releases term {term}, in which it has begun to promote"
            ),
            Self::VotesAgainst(host, node) => {
                write!(
                    f,
                    "host {host} votes for another, and has just reached primary {node}"
                )
            }
            Self::VotesWithoutFile(host) => {
                write!(f, "host {host} votes, and could not read its vote file")
            }
            Self::GrantUnwritten(host, term) => {
                write!(
                    f,
                    "host {host} gives a vote in term {term} that it has not written"
                )
            }
            Self::AsksUnwritten(host, term) => write!(
                f,
                "host {host} asks for votes in term {term} before it has written its own"
            ),
            Self::PromiseBroken(host, other, left) => write!(
                f,
                "host {host} votes for another, and host {other} has its promise for {} s more",
                seconds(*left)
            ),
            Self::RecordGoesBack(host, term) => write!(
                f,
                "host {host} writes a vote in term {term} over a later one, or over another of that term"
            ),
            Self::ListsDiffer(host) => {
                write!(
                    f,
                    "host {host} does not have the list of voters that all have"
                )
            }
            Self::VotesInCalm(host, term) => write!(
                f,
                "host {host} votes in term {term}, and nothing is wrong with the primary"
            ),
            _ => Ok(()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for printing; a schedule lasts seconds"
)]
fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}
