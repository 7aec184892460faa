//! The shapes shared with the original: state file and `/state.json` both ways, timestamps, alert file names. The only room that says master and xlog.
