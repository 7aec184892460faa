//! What `pglookout check` finds.

use serde::Serialize;

/// How a check came out, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    Ok,
    /// It works, and should be mended.
    Warn,
    /// A failover would not work, or not as it should.
    Fail,
}

/// One check.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    pub(super) topic: &'static str,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(grade: Grade, topic: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { grade, topic, text }
    }
}

/// All findings, and figures for who draws curves.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) figures: Vec<(&'static str, String)>,
}
