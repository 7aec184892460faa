//! What one daemon was told, written down beside it and not by it: the ground on which the referee
//! judges what it does.
//!
//! Deliberately simple, and no part of the core is used: a checker that shares code with what it
//! checks shares its errors.

use pglookout::simulation::NodeId;

/// Microseconds of true time, which may lie before the start.
pub(crate) type Moment = i64;

/// What one daemon was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By node.
    pub(crate) nodes: Vec<NodeTold>,
    /// By observer.
    pub(crate) observers: Vec<ObserverTold>,
    /// Contacts with primaries of which a former process knew when it last saved, by node.
    pub(crate) previous_contacts: Vec<Option<Moment>>,
    /// Who was a standby to a former process.
    pub(crate) previous_standbys: Vec<bool>,
    /// Contacts that an honest observer truly had and has told of, by node.
    pub(crate) honest_contacts: Vec<Option<Moment>>,
}

/// What a node itself told.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeTold {
    /// The last attempt, and whether it was answered.
    pub(crate) attempt: Option<(Moment, bool)>,
    /// When that attempt had begun.
    pub(crate) asked: Option<Moment>,
    /// The last attempt was turned away for a living server's reason.
    pub(crate) refused: bool,
    /// Its last answer.
    pub(crate) answer: Option<Answer>,
    /// When it was last reached as a primary.
    pub(crate) contact: Option<Moment>,
    /// When it was last found to have received more WAL.
    pub(crate) received: Option<Moment>,
}

/// A status that was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// When it came.
    pub(crate) at: Moment,
    /// Is it a primary.
    pub(crate) is_primary: bool,
    /// Receive position.
    pub(crate) receive: Option<u64>,
    /// Replay position.
    pub(crate) replay: Option<u64>,
}

/// What an observer told.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObserverTold {
    /// The last attempt, and whether it was answered.
    pub(crate) attempt: Option<(Moment, bool)>,
    /// Its last answer was dated too far off.
    pub(crate) is_skewed: bool,
    /// Its last entries, by node.
    pub(crate) entries: Vec<Option<Entry>>,
    /// Its contacts with primaries, as far as told.
    pub(crate) contacts: Vec<Option<Moment>>,
    /// The `db_time` of a lost primary that was heard of already.
    pub(crate) lost: Vec<Option<i64>>,
    /// When its answers last showed that a standby had received more WAL.
    pub(crate) received: Vec<Option<Moment>>,
}

/// What an observer told of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// When the observer asked the node, by the age that its answer gave it.
    pub(crate) at: Moment,
    /// Could it reach it.
    pub(crate) connected: bool,
    /// Is it a primary, if the observer knows.
    pub(crate) is_primary: Option<bool>,
    /// The node's clock, as an age by the observer's date turned into a moment; with the clock
    /// itself.
    pub(crate) db_time: Option<(Moment, i64)>,
    /// Receive position.
    pub(crate) receive: Option<u64>,
    /// Replay position.
    pub(crate) replay: Option<u64>,
}

impl Told {
    /// Nothing yet, of so many nodes and observers.
    pub(crate) fn nothing(nodes: usize, observers: usize) -> Self {
        let observer = ObserverTold {
            attempt: None,
            is_skewed: false,
            entries: vec![None; nodes],
            contacts: vec![None; nodes],
            lost: vec![None; nodes],
            received: vec![None; nodes],
        };
        Self {
            nodes: vec![NodeTold::default(); nodes],
            observers: vec![observer; observers],
            previous_contacts: vec![None; nodes],
            previous_standbys: vec![false; nodes],
            honest_contacts: vec![None; nodes],
        }
    }

    /// A node answered.
    pub(crate) fn node_answered(&mut self, node: NodeId, answer: Answer) {
        let told = &mut self.nodes[node];
        let before = told.answer.and_then(|before| before.receive);
        if before.is_some() && answer.receive > before {
            told.received = Some(answer.at);
        }
        if answer.is_primary {
            told.contact = Some(answer.at);
        }
        told.attempt = Some((answer.at, true));
        told.refused = false;
        told.answer = Some(answer);
    }

    /// A node did not answer, or its connection was lost. `remembered`: it is the remembered
    /// primary.
    pub(crate) fn node_failed(
        &mut self,
        node: NodeId,
        at: Moment,
        refused: bool,
        remembered: bool,
    ) {
        let told = &mut self.nodes[node];
        let is_primary = told.answer.map_or(remembered, |answer| answer.is_primary);
        if refused && is_primary {
            told.contact = Some(at);
        }
        told.attempt = Some((at, false));
        told.refused = refused;
    }

    /// An observer did not answer.
    pub(crate) fn observer_failed(&mut self, observer: usize, at: Moment) {
        self.observers[observer].attempt = Some((at, false));
    }

    /// An observer answered. An entry of one whose date is off counts for primaries only.
    pub(crate) fn observer_answered(
        &mut self,
        observer: usize,
        at: Moment,
        is_skewed: bool,
        entries: Vec<Option<Entry>>,
    ) {
        let told = &mut self.observers[observer];
        told.attempt = Some((at, true));
        told.is_skewed = is_skewed;
        for (node, entry) in entries.into_iter().enumerate() {
            let entry = entry.filter(|entry| !is_skewed || entry.is_primary == Some(true));
            if let Some(entry) = entry {
                told.note_contact(node, &entry);
                let before = told.entries[node].and_then(|before| before.receive);
                let is_standby = entry.connected && entry.is_primary == Some(false);
                if is_standby && before.is_some() && entry.receive > before {
                    told.received[node] = Some(at);
                }
            }
            told.entries[node] = entry;
        }
    }

    /// A node has left the configuration: what it told leaves with it, but not that it was reached
    /// as a primary, or that it was a standby.
    pub(crate) fn node_left(&mut self, node: NodeId) {
        self.previous_standbys[node] = self.standbys()[node];
        let left = std::mem::take(&mut self.nodes[node]);
        self.previous_contacts[node] = self.previous_contacts[node].max(left.contact);
    }

    /// The last contact that anybody had with this node as a primary.
    pub(crate) fn last_contact(&self, node: NodeId) -> Option<Moment> {
        let observers = self
            .observers
            .iter()
            .filter_map(|observer| observer.contacts[node])
            .max();
        self.nodes[node]
            .contact
            .max(self.previous_contacts[node])
            .max(observers)
            .max(self.honest_contacts[node])
    }

    /// Everybody who is known to be a standby by its own word, now or to a former process.
    pub(crate) fn standbys(&self) -> Vec<bool> {
        let is_standby = |(node, former): (&NodeTold, &bool)| {
            node.answer.map_or(*former, |answer| !answer.is_primary)
        };
        self.nodes
            .iter()
            .zip(&self.previous_standbys)
            .map(is_standby)
            .collect()
    }
}

impl ObserverTold {
    fn note_contact(&mut self, node: NodeId, entry: &Entry) {
        if entry.is_primary != Some(true) {
            return;
        }
        let known = self.contacts[node];
        if entry.connected {
            self.contacts[node] = known.max(Some(entry.at));
            self.lost[node] = None;
            return;
        }
        let Some((at, clock)) = entry.db_time else {
            return;
        };
        if known.is_none() || self.lost[node] != Some(clock) {
            self.contacts[node] = known.max(Some(at.min(entry.at)));
            self.lost[node] = Some(clock);
        }
    }
}
