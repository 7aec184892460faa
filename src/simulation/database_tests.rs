//! What standbys have of their primary's WAL, by how they get it and when they replay it.

use super::*;

/// The standby of a busy primary, each of these seconds: how much it has received and replayed,
/// in KiB behind the primary's start.
fn course(change: impl Fn(&mut Databases), seconds: &[u64]) -> Vec<(u64, u64)> {
    let mut databases = Databases::new(2, 0, 0);
    let network = Network::new(2);
    change(&mut databases);
    let start = databases.at(1).position;
    let mut course = Vec::new();
    for second in 0..=10 {
        let now = second * 1_024_000;
        let wall = i64::try_from(now).unwrap_or_default();
        databases.advance(now, true, &network, |_| WallTime::from_unix_micros(wall));
        let standby = databases.at(1);
        if seconds.contains(&second) {
            course.push((
                (standby.position - start) / SEGMENT,
                (standby.replayed - start) / SEGMENT,
            ));
        }
    }
    course
}

#[test]
fn standbys_that_replay_late() {
    assert_eq!(course(|_| {}, &[5]), [(5, 5)]);
    let delayed = |databases: &mut Databases| databases.at(1).delay = 3_072_000;
    assert_eq!(course(delayed, &[2, 5, 9]), [(2, 0), (5, 2), (9, 6)]);
    let paused = |databases: &mut Databases| databases.at(1).replay_is_paused = true;
    assert_eq!(course(paused, &[5]), [(5, 0)]);
}

#[test]
fn a_standby_that_is_fed_by_an_archive_reports_no_receive_position() {
    let mut databases = Databases::new(2, 0, 0);
    databases.feed_by_archive(1);
    databases.at(0).position += SEGMENT + 1;
    databases.advance(1, false, &Network::new(2), |_| {
        WallTime::from_unix_micros(1)
    });
    let (primary, standby) = (databases.at(0).position, databases.at(1));
    assert_eq!(
        (standby.position, standby.has_received),
        (primary - 1, false)
    );
}
