//! The pause of the cluster, for people: what daemons know of it, and what the host where it was set
//! knows besides.

use serde::{Deserialize, Serialize};

use super::view::View;
use crate::cluster::PauseMark;
use crate::time::{WallTime, timestamp};

/// A pause that lasts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pause {
    /// When it ends by itself, as an ISO timestamp.
    pub until: Option<String>,
    /// Why; this and what follows is known on the host where it was set.
    pub reason: Option<String>,
    /// The account that asked for it.
    pub by: Option<String>,
    /// When, as an ISO timestamp.
    pub at: Option<String>,
}

impl Pause {
    /// The mark that is known, and the pause if it lasts. An observer keeps no mark: it knows what
    /// daemons show.
    pub(super) fn of(view: &View<'_>) -> (PauseMark, Option<Self>) {
        let mark = match view.lookout.config().own_db {
            Some(_) => view.lookout.pause(),
            None => {
                let shown = view.presences().map(|(_, presence)| presence.pause);
                shown.max().unwrap_or_default()
            }
        };
        (mark, Self::lasting(mark, view))
    }

    fn lasting(mark: PauseMark, view: &View<'_>) -> Option<Self> {
        let file = view.pause_file.filter(|file| file.mark == mark);
        Self::at(mark, view.now.wall).map(|pause| Self {
            reason: file.and_then(|file| file.reason.clone()),
            by: file.map(|file| file.by.clone()),
            at: file.map(|file| file.at.clone()),
            ..pause
        })
    }

    /// The pause of this mark, if it lasts.
    pub(super) fn at(mark: PauseMark, now: WallTime) -> Option<Self> {
        let until = mark.until().map(timestamp::format);
        mark.is_active(now).then(|| Self {
            until,
            ..Self::default()
        })
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        let mut text = "the cluster is paused".to_owned();
        if let Some(until) = &self.until {
            text += &format!(" until {until}");
        }
        if let Some(by) = &self.by {
            text += &format!(" by {by}");
        }
        if let Some(reason) = &self.reason {
            text += &format!(": {reason}");
        }
        text
    }
}
