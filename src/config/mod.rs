//! The configuration as the rest of the daemon sees it: resolved, every default applied, every
//! value checked.
//!
//! What the operator typed and what was resolved are two types: `file` mirrors the JSON object and
//! turns it into [`Config`] with errors that name key, value and expectation. No room above reads
//! the file, the environment or the clock; all three come in as values.

mod addresses;
mod change;
mod connection_string;
mod conninfo;
mod document;
mod encryption;
mod environment;
mod events;
mod file;
mod hosts;
mod keywords;
mod name;
mod nodes;
mod observer_url;
mod passfile;
mod problem;
mod reader;
mod render;
mod require_auth;
mod resolve;
mod secret;
mod service_file;
mod services;
mod settings;
mod source;
mod votes;
mod voting;

pub use change::{Change, changes};
pub use conninfo::{ChannelBinding, ConnInfo, Host, HostAddress, Keepalives, WantedRole};
pub use encryption::{CertificateMode, Negotiation, Roots, SslMode, TlsSettings, TlsVersion};
pub use environment::{Environment, FileContent, ReadFile};
pub use events::EVENT_NAMES;
pub use file::{Loaded, parse, state_file_path};
pub use keywords::{Keywords, SyntaxError};
pub use name::{ClusterName, NodeName, ObserverName, VoterName};
pub use problem::{Findings, Problem};
pub use render::{Placeholders, render};
pub use require_auth::{AuthMethod, AuthMethods};
pub use secret::Secret;
pub use settings::{
    CommandLine, Config, DemoteSettings, FenceSettings, FollowSettings, ObserverUrl, QuorumRule,
    Ranking, RecorderSettings, StatsdSettings, SyslogAddress, SyslogSettings, Voting,
    VotingCluster, WatchdogSettings,
};
pub use votes::EvenVotes;

/// A configuration file that is longer is refused unread.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
