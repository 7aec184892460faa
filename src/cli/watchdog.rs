//! What a watchdog device is set to, beside the other times of a lease, and what keeps it from being used.

use std::time::Duration;

use crate::config::{Config, WatchdogSettings};
use crate::sys::watchdog::Watchdog;
use crate::votes::promise_of;

/// What happens after the last renewal of a lease has begun, in order; `None`: no device is configured.
pub(super) fn order(config: &Config) -> Option<String> {
    let (voting, fence) = (config.voting.as_ref()?, config.fence()?);
    let watchdog = fence.watchdog.as_ref()?;
    let lease = voting.lease;
    let seconds = |time: Duration| format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0);
    Some(format!(
        "after the last renewal of a lease the watchdog device is kept alive for {} (its timeout is set to {}), \
         fence_command is run after {}, the device resets this host after {} unless that has succeeded, and another may be \
         elected after {}",
        seconds(lease.saturating_sub(watchdog.timeout)),
        seconds(watchdog.timeout),
        seconds(lease.saturating_sub(fence.timeout)),
        seconds(lease),
        seconds(promise_of(lease)),
    ))
}

/// Why this account could not use it.
pub(super) fn trouble(watchdog: &WatchdogSettings) -> Option<String> {
    let device = Watchdog {
        path: watchdog.device.clone(),
        timeout: watchdog.timeout,
    };
    let trouble = device.trouble()?;
    Some(format!("{} {trouble}", watchdog.device.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    fn config(more: &str) -> Config {
        let text = format!(
            r#"{{"remote_conns": {{"p": "host=p"}}, "own_db": "p", "vote_directory": "/v", "fence_command": "f", {more}
            "voting": {{"main": {{"generation": 1, "secret_file": "/s", "voters": {{"p": "http://p", "s": "http://s",
            "o": "http://o"}}}}}}}}"#
        );
        parse(&text, &Environment::default()).unwrap().config
    }

    #[test]
    fn the_order_of_events_in_seconds() {
        assert_eq!(order(&config("")), None);
        let given = config(r#""watchdog_device": "/none/watchdog","#);
        let expected = "after the last renewal of a lease the watchdog device is kept alive for 5 s (its timeout is set to \
                        15 s), fence_command is run after 15 s, the device resets this host after 20 s unless that has \
                        succeeded, and another may be elected after 20.6 s";
        assert_eq!(order(&given).as_deref(), Some(expected));
        let watchdog = given.fence().unwrap().watchdog.as_ref().unwrap();
        let trouble = trouble(watchdog).unwrap();
        assert!(
            trouble.starts_with("/none/watchdog does not exist"),
            "{trouble}"
        );
    }
}
