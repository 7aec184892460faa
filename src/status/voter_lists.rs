//! The lists of voters that count, and how a change of each stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format;
use crate::lookout::Lookout;

/// Of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoterLists {
    /// Its name.
    pub cluster: String,
    /// Which list of voters counts here.
    pub generation: u64,
    /// How far that is known to have come: `joining`, `taken`, `accepted` or `sealed`.
    pub stage: String,
    /// The other voters of it and of the one before: has the last answer of each been by this list.
    pub voters: BTreeMap<String, bool>,
    /// What is missing for the next change; `None`: it may begin.
    pub change_waits_for: Option<String>,
}

impl VoterLists {
    /// Of every cluster whose vote file can be used.
    pub(super) fn all(lookout: &Lookout) -> Vec<Self> {
        let members = lookout
            .votes()
            .filter_map(|(cluster, member)| Some((cluster, member.ok()?)));
        let lists = members.map(|(cluster, member)| Self {
            cluster: cluster.to_string(),
            generation: member.list().generation,
            stage: member.roll().stage.name().to_owned(),
            voters: member
                .other_voters()
                .into_iter()
                .map(|voter| (voter.to_string(), member.is_by_our_list(voter)))
                .collect(),
            change_waits_for: format::missing_for_change(member),
        });
        lists.collect()
    }
}
