//! What is written down and read back, one type for each fact and both directions: state file,
//! `/state.json`, `/decisions.json`, timelines, recovery settings; and the names of alert files and
//! metrics. Beside the mirror of the configuration file the only room that writes master and xlog. It
//! makes and reads text; files and connections are other rooms' business.

mod change;
mod control_file;
mod decision;
mod event;
#[cfg(test)]
mod fixtures;
mod layout;
mod memory;
mod moment;
mod names;
mod node;
mod pause_file;
mod presence;
pub mod recovery;
mod report;
mod state_file;
mod switchover_event;
mod switchover_file;
mod timeline;
mod timeline_reader;
mod vote_event;
mod vote_file;
mod vote_message;
mod vote_resumed;
mod votes_lists;
mod votes_page;

pub use change::Change;
pub use control_file::{CONTROL_BYTES, read_control};
pub use decision::{
    Ballot, Decision, DecisionFigures, Evidence, Lag, MissingVote, Primary, Standby, decisions_json,
};
pub use event::{Recording, write_event, write_turn};
pub use moment::since;
pub use names::{alert_file, alert_files, metric_line};
pub use node::{Observed, read_state_json, state_json};
pub use pause_file::{MAX_PAUSE_FILE_BYTES, PauseFile};
pub use state_file::{MAX_STATE_FILE_BYTES, Origin, Recalled, StateFile, state_file};
pub use switchover_file::{LIFETIME, MAX_SWITCHOVER_FILE_BYTES, SwitchoverFile};
pub use timeline::{CheckLine, Clocks, Decided, Follow, Line, Step, Timeline, header};
pub use timeline_reader::{FormatError, MAX_LINE_BYTES, Reader, read};
pub use vote_file::{MAX_VOTE_FILE_BYTES, VoteFile};
pub use vote_message::{read_vote_answer, read_vote_request, vote_answer, vote_request};
pub use votes_lists::missing_for_change;
pub use votes_page::{
    ClusterVotes, OPEN, PeerVotes, SwitchoverStep, SwitchoverVotes, VotesPage, votes_json,
    votes_page,
};
