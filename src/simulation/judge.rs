//! What is checked while the machine runs: at every command that is begun and at every decision.

use super::network::Network;
use super::record::{Promotion, Violation};
use super::referee;
use super::world::{Coming, World};
use super::{HostId, Micros, SECOND, micros};
use crate::failover::Verdict;
use crate::lookout::CommandId;

impl World {
    /// A daemon begins to promote its node.
    pub(super) fn promote(&mut self, host: HostId, id: CommandId, timeout: Option<Micros>) {
        let now = self.now;
        let site = &self.sites[host];
        let standing = site.standing(&self.setup, self.record.is_promoting(host), now);
        if host >= self.setup.node_count() {
            self.record.fail(now, Violation::ObserverPromotes(host));
            return;
        }
        let objections = referee::objections(&site.told, &site.rules, &standing);
        if !objections.is_empty() {
            self.record
                .fail(now, Violation::Forbidden(host, objections));
        }
        let replaces = standing
            .remembered
            .and_then(|node| Some((node, self.databases[node].reign?)));
        let (status, takes) = site.command;
        let life = site.life;
        let (status, takes) = match timeout {
            // That it cannot be started is seen at once.
            _ if status.is_none() => (None, 0),
            Some(limit) if takes > limit => (Some(-1), limit),
            _ => (status, takes),
        };
        let replaced = self.record.promotions.len();
        self.record.promotions.push(Promotion {
            host,
            began: now,
            replaces,
            outcome: None,
            is_forgotten: false,
        });
        self.judge_rivals();
        self.send(
            now + takes,
            Coming::CommandEnds {
                host,
                life,
                id,
                status,
                replaces: replaced,
            },
        );
    }

    /// Two standbys that both reach one observer never both promote.
    fn judge_rivals(&mut self) {
        let rivals: Vec<_> = self.record.rivals().collect();
        for (first, second) in rivals {
            if second.began != self.now {
                continue;
            }
            if self.islands {
                self.record
                    .fail(self.now, Violation::TwoInOneOutage(first.host, second.host));
            }
            let since = first.began.saturating_sub(self.memory_of_calm());
            let witness = (0..self.setup.observers.len())
                .find(|observer| self.is_beside(*observer, &[first.host, second.host], since));
            if let Some(observer) = witness {
                self.record.fail(
                    self.now,
                    Violation::TwoBesideAnObserver(first.host, second.host, observer),
                );
            }
        }
    }

    /// So long must all have been well between two standbys and an observer that both can know what
    /// it knows.
    fn memory_of_calm(&self) -> Micros {
        4 * self.setup.longest(|config| config.poll_interval)
            + 3 * self.setup.longest(|config| config.poll_timeout)
            + SECOND
    }

    /// Has this honest observer reached these nodes, and they it, since then, without anything odd
    /// about any of them.
    fn is_beside(&self, observer: usize, nodes: &[HostId], since: Micros) -> bool {
        let at = self.setup.observers[observer].1;
        let calm = |network: &Network, a, b| {
            network.is_calm_since(a, b, since) && network.is_calm_since(b, a, since)
        };
        let quiet = |disturbed: Option<Micros>| disturbed.is_none_or(|disturbed| disturbed < since);
        let undisturbed = |host: HostId| {
            let site = &self.sites[host];
            site.is_alive
                && quiet(site.disturbed)
                && quiet(site.stepped)
                && quiet(site.lied)
                && site.lie.is_none()
        };
        // Just after two standbys have lost sight of each other, the observer's word may still be
        // older than their own.
        let between = nodes
            .iter()
            .flat_map(|a| nodes.iter().map(move |b| (*a, *b)));
        undisturbed(at)
            && between.into_iter().all(|(a, b)| {
                self.network.is_unchanged_since(a, b, since) && self.know_the_same_cluster(a, b)
            })
            && nodes.iter().all(|node| {
                let clocks = self.sites[*node]
                    .wall_offset
                    .abs_diff(self.sites[at].wall_offset);
                *node != at
                    && undisturbed(*node)
                    && quiet(self.databases[*node].disturbed)
                    && clocks < 3_500_000
                    && self.sites[*node].rules.observers[observer]
                    && calm(&self.network, at, *node)
            })
    }

    fn know_the_same_cluster(&self, a: HostId, b: HostId) -> bool {
        let (a, b) = (&self.sites[a].rules, &self.sites[b].rules);
        (&a.configured, &a.observers, &a.gone) == (&b.configured, &b.observers, &b.gone)
    }

    /// A daemon has made a decision.
    pub(super) fn decided(&mut self, host: HostId) {
        let now = self.now;
        self.record.decisions += 1;
        let site = &mut self.sites[host];
        let waited = now.saturating_sub(site.last_decision);
        site.last_decision = now;
        let config = site.lookout.config();
        let patience =
            micros(config.missing_primary_timeout.max(config.poll_timeout * 2)) + 2 * SECOND;
        if waited > self.longest_check + 2 * patience {
            self.record.fail(now, Violation::EndlessWait(host, waited));
            return;
        }
        let site = &self.sites[host];
        let named = match site
            .lookout
            .last_round()
            .map(|round| &round.decision.verdict)
        {
            Some(Verdict::Promote { winner, .. } | Verdict::OtherCandidate { winner, .. }) => {
                &winner.node
            }
            _ => return,
        };
        let first = referee::first_candidate(
            &site.told,
            &site.rules,
            &site.standing(&self.setup, false, now),
        );
        if first.is_none() || first != self.setup.node_id(named) {
            self.record
                .fail(now, Violation::OtherCandidate(host, first));
        }
    }

    /// Nobody has been silent for too long, up to now.
    pub(super) fn judge_silence(&mut self) {
        let now = self.now;
        for host in 0..self.sites.len() {
            let site = &self.sites[host];
            let config = site.lookout.config();
            let patience =
                micros(config.missing_primary_timeout.max(config.poll_timeout * 2)) + 2 * SECOND;
            let waited = now.saturating_sub(site.last_decision);
            if site.is_alive && waited > self.longest_check + 2 * patience {
                self.record.fail(now, Violation::EndlessWait(host, waited));
            }
        }
    }
}
