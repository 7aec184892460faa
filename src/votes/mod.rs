//! Votes that last: at most one daemon of a cluster is elected in each term, so that at most one
//! promotion begins in it. Pure: the clock and whatever is random come in as values.
//!
//! Each voter keeps a [`Record`] on its disk: the highest term in which it has voted, and for whom.
//! It is Raft's election without Raft's log; the log is PostgreSQL's. What has to hold for that: a
//! record that was written is never lost unnoticed nor put back to an older state, and whoever knows
//! the cluster's secret keeps to the rules. The network may lose, delay, repeat and reorder.
//!
//! # The rules
//!
//! A **voter** is asked for its vote in term t by candidate c. It refuses for the first of these
//! reasons, else it grants:
//! - **V1** the lists of voters differ (`list`), or its server is of another cluster (`system`).
//! - **V2** t is lower than its own term, or the same, in which another attempt has its vote
//!   (`term`).
//! - **V3** it has promised to vote for nobody but another candidate until later (`promised`); or it
//!   was restarted, and may have promised so before (`quarantine`).
//! - **V4** its own server is a standby that it would promote, and is ahead of c (`behind`).
//! - **V5** it has reached a primary other than c's node itself within two poll intervals
//!   (`sighted`).
//! - **V6** `ask_vote` is answered, and changes nothing. `vote` is written down first, then promised,
//!   then answered. While a write is under way, or has failed, the answer is `busy`.
//! - **V10** `release` by the attempt that has its vote ends the promise.
//!
//! A **candidate** is a daemon whose decision is to promote its node:
//! - **C1** the decision ranks the standbys: whoever is not first waits for the others.
//! - **C2** it asks every voter with `ask_vote`, in the highest term that it knows and one more. If a
//!   voter that is willing and ahead refuses, that one goes first, twice in an outage.
//! - **C3** with a majority it writes its own vote down, and only then asks with `vote`. No term is
//!   asked for twice.
//! - **C4** it is elected by a majority of answers to this very attempt.
//! - **C5** otherwise it drops the attempt, releases it, and tries again after a random time. After
//!   four attempts in a row it steps aside. What was won is released where no command is run for it.
//! - **C6** a daemon is willing if it has polled its own standby, has a failover command, no
//!   maintenance file, may promote its node and has not stepped aside.
//!
//! Not here yet: renewals of what was promised, leases, fencing, and changes of the list of voters.

mod candidate;
mod challenge;
mod counts;
mod list;
mod mac;
mod member;
mod message;
#[cfg(test)]
mod model_tests;
mod record;
#[cfg(test)]
mod scene;
mod voter;

pub use candidate::{Candidate, MAX_DEFERRALS, NotGranted, Standing, Tally, Timers};
pub use challenge::{Challenges, CheckedChallenge};
pub use counts::ElectionCounts;
pub use list::{ListId, VoterList};
pub use mac::{MAC_BYTES, Mac, answer_mac, is_answers_mac, is_requests_mac, request_mac};
pub use member::{Member, Output, Peer, Resumed};
pub use message::{Answer, Kind, Position, Refusal, Request};
pub use record::{Mandate, Nonce, Record};
pub use voter::{ExchangeId, OwnServer, SaveId, Voter};
