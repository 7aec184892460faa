//! Daemons that are stopped and continued (SIGSTOP, a frozen virtual machine): the world goes on
//! without them, and what arrived meanwhile lies there when they wake.

use super::plan::{Deed, Step};
use super::site::moment;
use super::world::{Coming, World};
use super::{HostId, Micros, micros};

impl World {
    /// The daemon of a host gets no turn for so long.
    pub(super) fn stop(&mut self, host: HostId, time: Micros) {
        let (now, site) = (self.now, &mut self.sites[host]);
        let until = now + time;
        if !site.is_alive || site.stopped_until >= until {
            return;
        }
        site.stopped_until = until;
        site.disturbed = Some(until);
        site.last_decision = until;
        // Its next turn was due after one poll interval at the latest. Who is stopped again and
        // again need not begin anew each time.
        let overslept = time > micros(site.lookout.config().poll_interval) + LATE;
        if overslept && site.woke.is_none_or(|woke| moment(now) > woke + AGAIN) {
            site.woke = Some(moment(until));
        }
    }

    /// All go on at once.
    pub(super) fn wake_all(&mut self) {
        let now = self.now;
        let mut lying = self.take_those_for_sleepers();
        lying.retain(|coming| !matches!(coming, Coming::Step(_)));
        for site in &mut self.sites {
            if site.stopped_until > now {
                (site.stopped_until, site.last_decision) = (now, now);
                // It may have been too short a time to be noticed.
                site.woke = None;
            }
        }
        lying.into_iter().for_each(|coming| self.send(now, coming));
    }

    /// A process that is stopped ends, and with it the signals that it has not taken.
    pub(super) fn forget_signals(&mut self, host: HostId) {
        let until = self.sites[host].stopped_until;
        if until > self.now {
            let is_signal = |coming: &Coming| {
                matches!(coming, Coming::Step(_)) && addressee(coming) == Some(host)
            };
            self.coming
                .retain(|(at, coming)| *at != until || !is_signal(coming));
        }
    }

    /// When what arrives now will be looked at, if that is later.
    pub(super) fn waits_until(&self, coming: &Coming) -> Option<Micros> {
        let site = &self.sites[addressee(coming)?];
        Some(site.stopped_until).filter(|until| site.is_alive && *until > self.now)
    }
}

/// The daemon that has to look at this.
fn addressee(coming: &Coming) -> Option<HostId> {
    match *coming {
        Coming::Answer { to, .. } | Coming::Page { to, .. } => Some(to),
        Coming::Exited { host, .. } | Coming::Lost { host, .. } => Some(host),
        Coming::Step(Step {
            deed:
                Deed::Check(host)
                | Deed::Configured(host, ..)
                | Deed::Gone(host, _)
                | Deed::Interval(host, _),
            ..
        }) => Some(host),
        Coming::Question { .. }
        | Coming::CommandEnds { .. }
        | Coming::Ready(_)
        | Coming::Step(_) => None,
    }
}

/// So much later than it wished for its turn a daemon notices that it was stopped.
const LATE: Micros = 1_200_000;
/// A check that began upon waking is over by then.
const AGAIN: i64 = 15_000_000;
