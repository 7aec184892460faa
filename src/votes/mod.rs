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
//! - **V1** it is new to the list of voters (`joining`), the lists do not go together (`list`, rule L3), or
//!   its server is of another cluster (`system`).
//! - **V2** t is lower than its own term, or the same, in which another attempt has its vote
//!   (`term`).
//! - **V3** it has promised to vote for nobody but another candidate until later (`promised`); or it
//!   was restarted, and may have promised so before (`quarantine`).
//! - **V4** its own server is a standby that it would promote, and is ahead of c (`behind`). Of a c that
//!   it has just reached as the primary: on a later timeline.
//! - **V5** it has reached a primary other than c's node itself within two poll intervals
//!   (`sighted`).
//! - **V6** `ask_vote` is answered, and changes nothing. `vote` is written down first, then promised,
//!   then answered. While a write is under way, or has failed, the answer is `busy`.
//! - **V7** `renew` in its own term by the attempt that has its vote, not released since: it promises
//!   anew, also after the promise has run out.
//! - **V8** `renew` in a later term, or in the same one by a candidate that has not our vote while this daemon
//!   does not hold it: its sender can only renew what a majority has given it. It is written down like a
//!   vote; our own attempt and any promise to another are over.
//! - **V9** every other renewal is refused, of a lower term always. `ask_renew` is answered, and changes
//!   nothing; it is refused while another is promised.
//! - **V10** `release` by the attempt that has its vote ends the promise. The term is renewed no more, and
//!   the next vote is reserved for the successor that it names for 10 s: without regard to V4 and V5.
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
//! The **holder** of a term is whoever has won it, where leases are in force ([`Timers::hold`]):
//! - **C4** the lease counts from the clock before the first byte of the attempt was sent. If too little
//!   of it is left, the term is released. Else the term is written down as held, the guard gets its order, and
//!   only then the command is run.
//! - **H1** it begins a round of renewals at each interval. A majority of answers to one round moves the
//!   end of the lease to one lease after that round began, never back.
//! - **H2** `fence_timeout` before the end of the lease the server is fenced, whatever comes in then; and at
//!   once when another renews a later term, which by a clock that has not stood still comes after that.
//! - **H3** without a lease it sends `ask_renew` only, and `renew` once a majority would take it.
//! - **H5**, **C7** a server that is given up is fenced first, and its term released after that.
//! - **H6** before a release the record is cleared, and neither a lease nor a round counts any more.
//! - **S3** a server that was stopped as planned is released like that too, for a successor that has all
//!   that it has written. That is repeated to whoever has not taken it.
//! - **S4** the successor asks at once, and again after each `vote_timeout`, while the next votes are
//!   reserved for it. What it has not won it releases for itself. It defers to nobody, and does not
//!   step aside for it.
//!
//! The promise of a voter is one part in 32 longer than the lease: two clocks whose rates are each wrong
//! by up to 1.5 % agree that the lease ends first.
//!
//! **Lists** of voters take the place of each other, while the cluster votes. Each has a generation:
//! - **L1** a voter takes the list of the configuration if that is one generation later than its own, its
//!   own is known to be sealed, and a majority of the new list is known to vote already. Any other it takes
//!   only when a voter reports that it is accepted, and never an earlier one. Whoever is new votes for nobody
//!   before that. What is taken is written down before it counts.
//! - **L2** a round is counted by what its sender knew when it began: a sealed list by a majority of its
//!   voters, any other by that and a majority of the former voters.
//! - **L3** a request goes with a voter of the same list, with one of the generation before, and with one
//!   of the generation after until that knows its own list to be accepted.
//! - **L4** a list is accepted once a majority of the former voters has answered one round with it, sealed
//!   once a majority of both lists has answered one knowing that. Who answers has granted the round, or is
//!   bound to nobody. Every message bears both. A sealed list elects in terms only that are later than any
//!   of these answers: in the earlier ones the list before may have elected somebody.

mod candidacy;
mod candidate;
mod challenge;
mod changes;
mod counted;
mod counts;
mod handing;
mod holder;
mod list;
#[cfg(test)]
mod list_model_tests;
#[cfg(test)]
mod list_world;
mod mac;
mod member;
mod message;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod model_world;
mod next_list;
mod output;
mod promises;
mod record;
mod requests;
mod roll;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod stories_tests;
mod survey;
mod tally;
mod tenure;
mod voter;

pub use candidate::{Candidate, MAX_DEFERRALS, Standing, Timers};
pub use challenge::{Challenges, CheckedChallenge};
pub use counts::ElectionCounts;
pub use holder::{Holder, HolderLeft, LeaseTimers, Stage};
pub use list::{ListId, VoterList};
pub use mac::{Mac, answer_mac, is_answers_mac, is_requests_mac, request_mac};
pub use member::{Member, Peer, Resumed};
pub use message::{Answer, Kind, Position, Refusal, Request};
pub use next_list::ListTrouble;
pub use output::Output;
pub use promises::PromisesLeft;
pub use record::{Mandate, Nonce, Record};
pub use roll::{FormerVoters, ListNews, ListStage, Roll};
pub use tally::{NotGranted, Tally};
pub use voter::{ExchangeId, OwnServer, SaveId, Voter, promise_of};
