//! How a daemon's list of voters changes (rules L1 to L4): what the configuration, other voters and its own
//! rounds report is written down by its voter, and counts from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::counted::{Counted, Listed};
use super::next_list::KnownLists;
use super::requests::Question;
use super::survey::Survey;
use super::voter::{Asker, Taken};
use super::{
    Answer, Kind, ListId, ListNews, ListStage, ListTrouble, Member, Nonce, Output, OwnServer, Roll,
    VoterList,
};
use crate::config::{ObserverUrl, VoterName};
use crate::time::Monotonic;

impl Member {
    /// The list of the configuration, and where its voters answer. It is taken as soon as rule L1 allows.
    pub fn configure(
        &mut self,
        list: VoterList,
        addresses: &BTreeMap<VoterName, ObserverUrl>,
        out: &mut Vec<Output>,
    ) {
        self.configured = list;
        let known = addresses
            .iter()
            .map(|(name, url)| (name.clone(), url.clone()));
        self.addresses.extend(known);
        self.learn_list(None, out);
    }

    /// The others are asked now, and answer with what they know of lists.
    pub fn check_soon(&mut self, now: Monotonic) {
        self.check_at = now;
    }

    /// Who votes, as it is written.
    pub fn list(&self) -> &VoterList {
        self.voter.listed().list()
    }

    /// How far its list has come, as it is written.
    pub fn roll(&self) -> &Roll {
        self.voter.listed().roll()
    }

    /// Who else votes in its list, or in the one before where that is needed too.
    pub fn other_voters(&self) -> BTreeSet<&VoterName> {
        let former = self.roll().former.iter().flat_map(BTreeMap::keys);
        let all = self.list().names.iter().chain(former);
        all.filter(|name| **name != self.sender.own).collect()
    }

    /// Has the last answer of this voter been by our list.
    pub fn is_by_our_list(&self, voter: &VoterName) -> bool {
        let peer = self.peers().get(voter);
        let answer = peer.and_then(|peer| peer.outcome.as_ref().ok());
        answer.is_some_and(|answer| {
            let news = answer.news.as_ref();
            let joins = news.is_some_and(|news| news.stage == ListStage::Joining);
            answer.list == *self.voter.listed().id() && !joins
        })
    }

    /// Where a voter answers that the configuration does not name any more.
    pub fn former_address(&self, voter: &VoterName) -> Option<&ObserverUrl> {
        self.addresses.get(voter)
    }

    /// Why the list of the configuration does not count; `None`: it does.
    pub fn list_trouble(&self) -> Option<ListTrouble> {
        let record = self.voter.record();
        let trouble = record.trouble_with(&self.configured)?;
        let is_sealed = record.roll.stage == ListStage::Sealed;
        Some(match trouble {
            ListTrouble::NotSealed(ours) if is_sealed => {
                ListTrouble::FewVote(ours, self.not_voting().cloned().collect())
            }
            trouble => trouble,
        })
    }

    /// Of the configured list.
    fn not_voting(&self) -> impl Iterator<Item = &VoterName> {
        let names = self.configured.names.iter();
        names.filter(|name| **name != self.sender.own && !self.voting.contains(*name))
    }

    /// Whether another voter votes in our list, or a later one, is known by what it has last answered or
    /// asked. `list`: its own, if it votes and changes lists.
    pub(super) fn note_voting(&mut self, voter: &VoterName, list: Option<&ListId>) {
        let ours = self.voter.listed().id();
        let votes = |list: &ListId| list.generation > ours.generation || list == ours;
        match list.is_some_and(votes) {
            true => self.voting.insert(voter.clone()),
            false => self.voting.remove(voter),
        };
    }

    /// Is a change of the list under way, or waited for.
    pub fn is_list_changing(&self) -> bool {
        self.voter.listed().stage() != ListStage::Sealed || self.list_trouble().is_some()
    }

    /// Why it begins no attempts, as far as its list shows.
    pub(super) fn is_no_candidate(&self) -> Option<&'static str> {
        let listed = self.voter.listed();
        if listed.stage() == ListStage::Joining {
            return Some("it is new, and its list of voters is not known to be accepted yet");
        }
        if !listed.has(&self.sender.own) {
            return Some("it is no voter of its list any more");
        }
        let is_unknown = listed.counted().is_none();
        is_unknown.then_some("the former voters are not known here, until the list is sealed")
    }

    /// Writes down what is learnt of lists. While another write is under way nothing is: messages repeat
    /// what they report.
    pub(super) fn learn_list(
        &mut self,
        reported: Option<(&ListId, &ListNews)>,
        out: &mut Vec<Output>,
    ) {
        let record = self.voter.record();
        let configured = &self.configured;
        let known = KnownLists {
            configured,
            addresses: &self.addresses,
            may_take: configured
                .names
                .len()
                .saturating_sub(self.not_voting().count())
                >= configured.majority(),
        };
        let next = record.with_list(reported, &known);
        let written = next.and_then(|next| self.voter.enter(next));
        out.extend(written.map(|(id, record)| Output::Save(id, record)));
    }

    /// Something is written. What it says of the list counts from now on, and the others are sent it soon.
    pub(super) fn list_saved(&mut self, before: &Listed, now: Monotonic, out: &mut Vec<Output>) {
        let listed = self.voter.listed();
        if listed.id() != before.id() {
            self.voting.clear();
        }
        if listed != before {
            self.sender.follow(listed);
            self.survey = None;
            self.check_at = now;
            out.push(Output::ListMoved);
        }
        let found = self.survey.as_ref();
        let found = found.map(|survey| (survey.counted().id.clone(), survey.news()));
        self.learn_list(found.as_ref().map(|(id, news)| (id, news)), out);
    }

    /// A round has begun. Of a list that is sealed nothing is to be found out.
    pub(super) fn survey(&mut self, (nonce, kind): (Nonce, Kind), of: &Counted, now: Monotonic) {
        let until = now + self.timers.vote_timeout;
        let is_wanted = !of.is_sealed();
        self.survey = is_wanted.then(|| Survey::new(nonce, kind, of.clone(), until));
    }

    /// The same for a question that nobody's vote hangs on, with our own answer to it.
    pub(super) fn survey_ourselves(
        &mut self,
        question: &Question,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let Some(counted) = self.voter.listed().counted() else {
            return;
        };
        self.survey((question.nonce, question.kind), &counted, now);
        let request = self.sender.to_ourselves(question);
        if let Taken::Answer(answer) = self.voter.take(Asker::Own, &request, server, now) {
            let own = self.sender.own.clone();
            self.count_list(&own, &answer, now, out);
        }
    }

    /// Rule L4.
    pub(super) fn count_list(
        &mut self,
        voter: &VoterName,
        answer: &Answer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        survey.count(voter, answer, now);
        let (id, news) = (survey.counted().id.clone(), survey.news());
        self.learn_list(Some((&id, &news)), out);
    }

    /// Has it a reason to ask the others. Whoever is new gets it from them; whoever was removed is none of
    /// theirs, once that is sealed.
    pub(super) fn is_to_check(&self) -> bool {
        let listed = self.voter.listed();
        match listed.stage() {
            ListStage::Joining => false,
            ListStage::Taken | ListStage::Accepted => true,
            ListStage::Sealed => listed.has(&self.sender.own),
        }
    }

    pub(super) fn check_interval(&self) -> Duration {
        match self.is_list_changing() {
            true => CHANGE_INTERVAL,
            false => CHECK_INTERVAL,
        }
    }
}

/// Between two questions whether the other voters answer.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The same while a list changes.
const CHANGE_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
