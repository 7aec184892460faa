//! The answers to load balancers: 200 where a server may be used, 503 with the reason where not.

use bytes::Bytes;
use serde_json::json;

use crate::cluster::{NodeMap, Serving, Unfit};
use crate::config::NodeName;
use crate::http::{Answer, HealthCheck, Purpose};
use crate::lookout::Lookout;
use crate::time::Monotonic;

/// Answers by the last facts. Without `?node=` the daemon's own server is meant.
pub(super) fn answer(
    check: &HealthCheck,
    lookout: &Lookout,
    map: &NodeMap,
    now: Monotonic,
) -> Answer {
    let named = check.node.as_deref().map(NodeName::from);
    let node = named.or_else(|| lookout.config().own_db.clone());
    let serving = Serving {
        config: lookout.config(),
        state: lookout.state(),
        map,
        now,
    };
    let found = match (&node, check.purpose) {
        (_, Purpose::Liveness) if lookout.is_deciding(now) => Ok(()),
        (_, Purpose::Liveness) => Err(Unfit::NotDeciding),
        (None, _) => Err(Unfit::NoNode),
        (Some(node), Purpose::Primary) => serving.takes_writes(node),
        (Some(node), Purpose::Replica) => serving.is_replica(node, check.max_lag),
        (Some(node), Purpose::ReadOnly | Purpose::Readiness) => {
            serving.takes_reads(node, check.max_lag)
        }
        (Some(node), Purpose::Health) => serving.answers(node),
    };
    let body = if check.status_only {
        Bytes::new()
    } else {
        let reason = found.err();
        let answer = node.as_ref().and_then(|node| {
            let state = lookout.state().nodes.get(node)?;
            state.answer.as_ref()
        });
        let role = answer.map(|answer| {
            if answer.in_recovery {
                "standby"
            } else {
                "primary"
            }
        });
        let page = json!({
            "node": node.as_ref().map(NodeName::as_str),
            "fit": found.is_ok(),
            "reason": reason.map(Unfit::name),
            "sentence": reason.map(|reason| reason.to_string()),
            "role": role,
            "timeline": answer.and_then(|answer| answer.identity.timeline),
        });
        page.to_string().into()
    };
    Answer::health(found.is_ok(), body)
}
