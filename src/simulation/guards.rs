//! The guards of a host: processes that fence its server at a deadline and outlive their daemon. Each
//! daemon has one at most; its file names the one that the next daemon ends when it has its own.

use super::Micros;
use super::clocks::Clocks;
use crate::time::Monotonic;

/// All that run on a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    all: Vec<Guard>,
    /// Which one the file names.
    named: Option<u64>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Guard {
    /// No other of this host has it.
    number: u64,
    /// Processes of the daemon before the one that has started it.
    of: u32,
    /// By the clock of leases.
    until: Option<Monotonic>,
    /// It takes no orders any more.
    fences: bool,
}

impl Guards {
    /// A daemon says when its guard is to fence: which one learns of that, and is it a new one. Nobody does
    /// if it fences already.
    pub(super) fn order(&mut self, of: u32, until: Monotonic) -> Option<(u64, bool)> {
        if self.is_fencing(of) {
            return None;
        }
        if let Some(guard) = self.own(of) {
            guard.until = Some(until);
            return Some((guard.number, false));
        }
        self.last += 1;
        self.all.push(Guard {
            number: self.last,
            of,
            until: Some(until),
            fences: false,
        });
        Some((self.last, true))
    }

    /// The one of this process of the daemon has nothing to do, and ends, unless it fences.
    pub(super) fn dismiss(&mut self, of: u32) {
        self.all.retain(|guard| guard.of != of || guard.fences);
    }

    /// It ends.
    pub(super) fn end(&mut self, number: u64) {
        self.all.retain(|guard| guard.number != number);
    }

    pub(super) fn runs(&self, number: u64) -> bool {
        self.all.iter().any(|guard| guard.number == number)
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.all.iter().map(|guard| guard.number).collect()
    }

    /// The machine goes down.
    pub(super) fn end_all(&mut self) {
        self.all.clear();
    }

    /// Its file names this one from now on; the one that it named before ends.
    pub(super) fn name(&mut self, named: Option<u64>) {
        let before = std::mem::replace(&mut self.named, named);
        self.all
            .retain(|guard| Some(guard.number) != before || before == named);
    }

    /// The one of this process of the daemon, if it takes orders.
    fn own(&mut self, of: u32) -> Option<&mut Guard> {
        self.all
            .iter_mut()
            .find(|guard| guard.of == of && !guard.fences)
    }

    /// Does that one fence.
    fn is_fencing(&self, of: u32) -> bool {
        self.all.iter().any(|guard| guard.of == of && guard.fences)
    }

    fn guard(&mut self, number: u64) -> Option<&mut Guard> {
        self.all.iter_mut().find(|guard| guard.number == number)
    }

    /// Begins to fence if it is time, for which process of the daemon; else when it is, if it has an order.
    pub(super) fn due(
        &mut self,
        number: u64,
        clocks: &Clocks,
        now: Micros,
    ) -> Result<u32, Option<Micros>> {
        let guard = self.guard(number).filter(|guard| !guard.fences);
        let guard = guard.ok_or(None)?;
        let until = guard.until.ok_or(None)?;
        let at = clocks.time_of_leases(until);
        if at > now {
            return Err(Some(at));
        }
        guard.fences = true;
        Ok(guard.of)
    }
}

#[cfg(test)]
#[path = "guards_tests.rs"]
mod tests;
