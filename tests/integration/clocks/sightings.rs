//! A primary that only an observer reaches, and whose server's clock is far behind: the wait for it
//! begins when the observer last reached it.

use super::wall_clock::WallClock;
use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, LIMIT};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn a_lost_primary_is_dated_by_its_last_contact_with_the_observer() {
    let Some(mut cluster) = Cluster::prepare_in_namespaces(&["s1"]) else {
        return;
    };
    let Some(clock) = WallClock::in_dir(cluster.dir()) else {
        return;
    };
    cluster[PRIMARY].variables = clock.variables();
    cluster.start_all();
    // It asks the observer so seldom that its newest sighting of the primary is up to 2 s old.
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        if name == "s1" {
            config["db_poll_interval"] = 2.0.into();
        }
    });
    fleet.start_all();
    fleet.wait_settled();

    clock.step(-60);
    cluster.network().cut(PRIMARY, "s1");
    wait_until("the observer alone reaches the primary", SOON, || {
        let decision = &fleet["s1"].state_file()["decision"]["figures"]["primaries"];
        decision.to_string().contains("observer o")
    });
    fleet.nobody_promotes_for(LIMIT);
    cluster[PRIMARY].kill_nine_all();
    let killed_at = seconds_now();
    assert_eq!(fleet[OBSERVER].promotions(), [0.0; 0]);
    let (who, when) = fleet.wait_promotion();
    assert_eq!(who, "s1");
    let took = when - killed_at;
    println!("promoted {took:.2} s after the primary was killed");
    // The observer's last answer came up to an interval before the end.
    assert!(took > LIMIT - INTERVAL - 0.1, "after {took:.2} s already");
}
