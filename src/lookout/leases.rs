//! What the core asks of the term that is held in its own cluster: it is passed on to the room `votes`,
//! and what comes of it is done as with everything else there.

use std::time::Duration;

use super::turn::Turn;
use super::votes::Votes;
use super::{Alert, Effect};
use crate::config::{ClusterName, Config, VoterName};
use crate::time::Monotonic;
use crate::votes::{Holder, Member, Output, OwnServer, Position};

impl Votes {
    /// The term that this daemon holds, or is about to enter or to leave.
    pub(super) fn held(&self, config: &Config) -> Option<&Holder> {
        let (name, _) = config.deciding_cluster()?;
        self.member(name)?.holder()
    }

    /// The holder that has released its term for this daemon (rule S4).
    pub(super) fn predecessor(&self, config: &Config, now: Monotonic) -> Option<&VoterName> {
        let (name, _) = config.deciding_cluster()?;
        self.member(name)?.candidate().predecessor(now)
    }

    /// Our own part in the elections of its cluster.
    pub(super) fn own(&self, config: &Config) -> Option<&Member> {
        let (name, _) = config.deciding_cluster()?;
        self.member(name)
    }

    /// Rule S1.
    pub(super) fn renew_now(&mut self, config: &Config, now: Monotonic) {
        if let Some(member) = self.own_member(config) {
            member.renew_now(now);
        }
    }

    /// Rule S3. False: there is no lease any more.
    pub(super) fn hand_over(
        &mut self,
        to: &VoterName,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let (now, mut done) = (turn.now.mono, false);
        self.with_own(config, turn, |member, out| {
            done = member.hand_over(to, now, out);
        });
        done
    }

    /// Our server is a primary without a lease: asks for the next term.
    pub(super) fn claim(
        &mut self,
        config: &Config,
        position: Option<Position>,
        server: &OwnServer,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let Some((name, _)) = config.deciding_cluster() else {
            return;
        };
        self.with(name, turn, |member, out| {
            member.claim(position, server, now, out);
        });
    }

    /// Rule H7.
    pub(super) fn primary_runs(&mut self, config: &Config, now: Monotonic) {
        if let Some(member) = self.own_member(config) {
            member.primary_runs(now);
        }
    }

    /// Somebody has made a standby of our server.
    pub(super) fn standby_runs(&mut self, config: &Config, turn: &mut Turn<'_>) {
        self.with_own(config, turn, Member::standby_runs);
    }

    /// Rules H5 and C7.
    pub(super) fn give_up(&mut self, config: &Config) {
        if let Some(member) = self.own_member(config) {
            member.give_up();
        }
    }

    /// Our server is fenced.
    pub(super) fn fenced(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        self.with_own(config, turn, |member, out| member.fenced(now, out));
    }

    /// The command of a term that was won could not be started.
    pub(super) fn never_run(&mut self, config: &Config, turn: &mut Turn<'_>) {
        if self.held(config).is_some() {
            self.give_back(config, turn);
        }
    }

    /// The host was suspended for so long, which no lease has room for.
    pub(super) fn slept(&mut self, time: Duration) {
        self.members_mut().for_each(|member| member.slept(time));
    }

    /// The fence command has failed: how; empty: it has succeeded.
    pub(super) fn fence_failed(&mut self, text: String, turn: &mut Turn<'_>) {
        self.alert(Alert::FenceFailed, text, turn);
    }

    /// Then the guard fences; `None`: it has nothing to do.
    pub(super) fn guard(&mut self, until: Option<Monotonic>, turn: &mut Turn<'_>) {
        self.is_guarded = until.is_some();
        turn.push(Effect::ArmGuard(until));
        match until {
            Some(_) => self.alert(Alert::LeaseLost, String::new(), turn),
            None => self.forget_watchdog(turn),
        }
    }

    /// What the watchdog device does where our own server is not fenced in time.
    pub(super) fn watchdog_seen(&mut self, state: Result<String, String>, turn: &mut Turn<'_>) {
        if !self.is_guarded {
            return;
        }
        match &state {
            Ok(text) => turn.info(format!("watchdog device: {text}")),
            Err(text) => turn.error(format!("watchdog device: {text}")),
        }
        let trouble = state.as_ref().err().cloned().unwrap_or_default();
        self.watchdog = Some(state);
        self.alert(Alert::WatchdogUnusable, trouble, turn);
    }

    fn forget_watchdog(&mut self, turn: &mut Turn<'_>) {
        self.watchdog = None;
        self.alert(Alert::WatchdogUnusable, String::new(), turn);
    }

    /// After a reload: where nothing is held any more nothing is guarded.
    pub(super) fn disarm_guard(&mut self, config: &Config, turn: &mut Turn<'_>) {
        if self.is_guarded && self.held(config).is_none() {
            self.guard(None, turn);
        }
        if self.watchdog.is_some() && config.fence().is_none_or(|it| it.watchdog.is_none()) {
            self.forget_watchdog(turn);
        }
    }

    pub(super) fn lease_lost(&mut self, name: &ClusterName, term: u64, turn: &mut Turn<'_>) {
        let text = format!(
            "the lease of term {term} in cluster {name} was not renewed in time: this server is fenced"
        );
        turn.error(text.clone());
        self.alert(Alert::LeaseLost, text, turn);
    }

    fn own_member(&mut self, config: &Config) -> Option<&mut Member> {
        let (name, _) = config.deciding_cluster()?;
        self.member_mut(name)
    }

    fn with_own(
        &mut self,
        config: &Config,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Member, &mut Vec<Output>),
    ) {
        if let Some((name, _)) = config.deciding_cluster() {
            self.with(name, turn, act);
        }
    }
}
