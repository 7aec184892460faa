//! A schedule that shows something, made short: faults are dropped one by one, times brought
//! forward, as long as it still shows the same.

use super::plan::{Ending, Plan};
use super::{Micros, SECOND};

/// The shortest schedule found that still `shows` it.
pub fn shrink(plan: &Plan, shows: impl Fn(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    loop {
        let Some(shorter) = candidates(&best)
            .into_iter()
            .find(|candidate| shows(candidate))
        else {
            return best;
        };
        best = shorter;
    }
}

/// Slightly shorter ones, the shortest first.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let half = plan.steps.len() / 2;
    if half > 1 {
        for kept in [&plan.steps[..half], &plan.steps[half..]] {
            all.push(Plan {
                steps: kept.to_vec(),
                ..plan.clone()
            });
        }
    }
    for at in 0..plan.steps.len() {
        let mut shorter = plan.clone();
        shorter.steps.remove(at);
        all.push(shorter);
    }
    if let Ending::CleanDeath(_) = plan.ending {
        all.push(Plan {
            ending: Ending::Healed,
            ..plan.clone()
        });
    }
    if plan.ending != Ending::Abrupt {
        all.push(Plan {
            ending: Ending::Abrupt,
            ..plan.clone()
        });
    }
    for at in 0..plan.steps.len() {
        let rounded = whole_seconds(plan.steps[at].at);
        if rounded != plan.steps[at].at
            && plan.steps.get(at + 1).map_or(plan.length, |next| next.at) >= rounded
        {
            let mut shorter = plan.clone();
            shorter.steps[at].at = rounded;
            all.push(shorter);
        }
    }
    if !plan.length.is_multiple_of(SECOND) {
        all.push(Plan {
            length: whole_seconds(plan.length),
            ..plan.clone()
        });
    }
    all
}

/// Rounded up.
fn whole_seconds(at: Micros) -> Micros {
    at.div_ceil(SECOND) * SECOND
}
