//! What was said of the decisions: one line for each that is news, and how often it was repeated
//! once another follows.

use std::time::Duration;

use super::{Effect, Round};
use crate::failover::Verdict;
use crate::time::Monotonic;

/// The sentence that was last logged.
#[derive(Debug)]
pub(super) struct Said {
    /// Verdict and reason: the same ones are no news, though their figures differ.
    kind: (&'static str, &'static str),
    /// When it was news.
    at: Monotonic,
    /// How often it was repeated since.
    repeated: u32,
    /// With the figures of the last time.
    latest: Verdict,
    latest_at: Monotonic,
}

/// Logs a round. What is the same as before goes to the debug log only, as does the question for
/// fresh facts, which comes before every decision of an outage.
pub(super) fn say(said: &mut Option<Said>, round: &Round, effects: &mut Vec<Effect>) {
    let verdict = &round.decision.verdict;
    if matches!(verdict, Verdict::WantsFreshFacts { .. }) {
        effects.push(Effect::NoNews(verdict.clone()));
        return;
    }
    let (kind, now) = ((verdict.name(), verdict.reason()), round.at.mono);
    if let Some(same) = said.as_mut().filter(|said| said.kind == kind) {
        same.repeated = same.repeated.saturating_add(1);
        (same.latest, same.latest_at) = (verdict.clone(), now);
        // Every attempt at a promotion is news.
        effects.push(match is_promotion(verdict) {
            true => Effect::warning(verdict.to_string()),
            false => Effect::NoNews(verdict.clone()),
        });
        return;
    }
    if let Some(before) = said
        .take()
        .filter(|said| said.repeated > 0 && said.kind.0 != PROMOTE)
    {
        effects.push(Effect::info(before.summary()));
    }
    *said = Some(Said {
        kind,
        at: now,
        repeated: 0,
        latest: verdict.clone(),
        latest_at: now,
    });
    let text = verdict.to_string();
    effects.push(if is_promotion(verdict) {
        Effect::warning(text)
    } else {
        Effect::info(text)
    });
}

impl Said {
    fn summary(&self) -> String {
        let times = if self.repeated == 1 {
            "once".to_owned()
        } else {
            format!("{} times", self.repeated)
        };
        let span: Duration = self.latest_at.since(self.at);
        format!(
            "{REPEATED}{times} in {:.3} s, at last: {}",
            span.as_secs_f64(),
            self.latest
        )
    }
}

fn is_promotion(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Promote { .. })
}

/// How a line begins that says how often the one before was repeated.
pub const REPEATED: &str = "repeated ";
/// The name of the verdict that is never folded.
const PROMOTE: &str = "promote";

#[cfg(test)]
mod tests {
    use super::super::world::check;

    #[test]
    fn how_often_a_sentence_was_repeated_is_said_once_another_follows() {
        // What is repeated is in the debug log only; the levels are not shown here.
        check(
            "",
            "20.2 p unreachable\n46 p primary\n56 end",
            "log repeated",
            "25.01 log repeated 2 times in 20.000 s, at last: no failover: the primary p is reachable by our own poll
             50.01 log repeated 2 times in 20.000 s, at last: no failover: p was last reached as a primary 25.000 s ago by our own poll, the limit is 60.000 s",
        );
    }

    #[test]
    fn the_question_for_fresh_facts_interrupts_nothing() {
        check(
            "",
            "20.2 p unreachable\n46 end",
            "log no failover, log asking",
            "25.01 log asking everybody again: nobody reaches the primary p
             25.01 log no failover: p was last reached as a primary 5.000 s ago by our own poll, the limit is 60.000 s
             35.01 log asking everybody again: nobody reaches the primary p
             35.01 log no failover: p was last reached as a primary 15.000 s ago by our own poll, the limit is 60.000 s
             45.01 log asking everybody again: nobody reaches the primary p
             45.01 log no failover: p was last reached as a primary 25.000 s ago by our own poll, the limit is 60.000 s",
        );
    }
}
