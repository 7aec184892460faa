//! The shapes shared with the original: state file and `/state.json` both ways,
//! recovery settings, names of alert files and metrics. The only room that says master and xlog. It
//! makes and reads text; files and connections are other rooms' business.

pub mod alert;
pub mod decision_json;
#[cfg(test)]
mod fixtures;
pub mod metric;
mod node_entry;
mod node_json;
pub mod observed;
pub mod recalled;
pub mod recovery;
pub mod state_file;
pub mod state_json;
