//! What a daemon's part in the elections of a cluster wants done.

use super::{Answer, ExchangeId, Record, Request, SaveId};
use crate::config::VoterName;
use crate::time::Monotonic;

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask this voter.
    Send(Request),
    /// Answer this request.
    Answer(ExchangeId, Answer),
    /// Write the vote file; nothing that depends on it is sent before that has come back.
    Save(SaveId, Record),
    /// Its list of voters has come further, and that is written.
    ListMoved,
    /// This daemon is elected in this term, and may promote its node, once. With leases it may do so
    /// while it holds the term.
    Elected(u64),
    /// Its server, which is the primary already, holds this term from now on.
    Claimed(u64),
    /// The attempt is over, and was not won.
    Lost,
    /// Then the guard fences, unless it gets another order before; `None`: it has nothing to do.
    Guard(Option<Monotonic>),
    /// The lease of this term was not renewed in time: its server is to be fenced.
    LeaseLost(u64),
    /// This term is released.
    Left(u64),
    /// This holder has released its term for us, and the next votes are reserved (rule S4).
    Reserved(VoterName),
}
