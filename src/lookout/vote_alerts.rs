//! Alerts about votes and leases: each is raised once with the same text, and cleared when it is over.

use super::turn::Turn;
use super::votes::{UNREAD, Votes};
use super::{Alert, Effect};
use crate::votes::{Member, NotGranted, Refusal};

impl Votes {
    /// Which vote files cannot be used, or written.
    pub(super) fn watch_files(&mut self, turn: &mut Turn<'_>) {
        let unusable = self.all().filter_map(|(name, member)| match member {
            Err(UNREAD) => None,
            Err(reason) => Some(format!("{name}: {reason}")),
            Ok(member) if !member.voter().is_saved() => Some(format!("{name}: not written yet")),
            Ok(_) => None,
        });
        let text = unusable.collect::<Vec<_>>().join("; ");
        self.alert(Alert::VoteFileUnusable, text, turn);
    }

    /// Which voters have another list, watch other servers, or are not fenced where we are; and which of our
    /// own configuration's lists do not follow on those that count.
    pub(super) fn watch_agreement(&mut self, turn: &mut Turn<'_>) {
        let differs = |refusal| matches!(refusal, Some(Refusal::List | Refusal::System));
        let peers = self.members().flat_map(Member::peers);
        let disagree = peers.filter_map(|(voter, peer)| {
            let refusal = peer.outcome.as_ref().ok()?.refusal;
            let why = NotGranted::Refused(refusal.filter(|it| differs(Some(*it)))?, None);
            Some(format!("{voter} {why}"))
        });
        let unfenced = self.members().flat_map(Member::unfenced);
        let unfenced = unfenced.map(|voter| format!("{voter} has no fence_command in force"));
        let troubles = self.members().filter_map(Member::list_trouble);
        let troubles = troubles.filter(|trouble| !trouble.is_waiting());
        let troubles = troubles.map(|trouble| trouble.to_string());
        let all = troubles.chain(disagree).chain(unfenced);
        let text = all.collect::<Vec<_>>().join("; ");
        self.alert(Alert::VotersDisagree, text, turn);
    }

    /// Raises it with this text; clears it if that is empty.
    pub(super) fn alert(&mut self, alert: Alert, text: String, turn: &mut Turn<'_>) {
        let is_of_leases = matches!(
            alert,
            Alert::LeaseLost | Alert::FenceFailed | Alert::WatchdogUnusable
        );
        let is_known = match self.raised.get(&alert) {
            Some(known) => *known == text,
            // Without leases they are not reported.
            None => is_of_leases && text.is_empty() && !self.is_guarded,
        };
        if is_known {
            return;
        }
        self.raised.insert(alert, text.clone());
        turn.push(match text.is_empty() {
            true => Effect::ClearAlert(alert),
            false => Effect::RaiseAlert { alert, text },
        });
    }
}
