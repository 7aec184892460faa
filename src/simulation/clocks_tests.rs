use super::*;

fn clocks(gain: i32) -> Clocks {
    let mut clocks = Clocks::new(0, 0);
    clocks.run_at(gain, 7_777_777);
    clocks
}

/// The moment that is found for a reading is the first one that shows it.
#[test]
fn a_deadline_is_reached_at_its_time_and_not_before() {
    for gain in [0, 15_000, -15_000, 90_001, -90_001, 1] {
        let clocks = clocks(gain);
        for nanos in [0, 1, 999, 1_000, 1_001, 123_456_789, 40_000_000_001] {
            let deadline = clocks.read(7_777_777).mono + Duration::from_nanos(nanos);
            let at = clocks.time_of(deadline);
            assert!(clocks.read(at).mono >= deadline, "{gain} {nanos}");
            let before = at - 1;
            assert!(
                before < 7_777_777 || clocks.read(before).mono < deadline,
                "{gain} {nanos}"
            );
        }
    }
}

#[test]
fn a_clock_that_gains_counts_more_in_the_same_time() {
    let counted = |gain: i32| {
        let clocks = clocks(gain);
        let since = clocks.read(7_777_777).mono;
        clocks.read(7_777_777 + 100 * SECOND).mono.since(since)
    };
    assert_eq!(counted(0), Duration::from_secs(100));
    assert_eq!(counted(15_000), Duration::from_millis(101_500));
    assert_eq!(counted(-15_000), Duration::from_millis(98_500));
    assert_eq!(clocks(0).span(Duration::from_secs(5)), 5 * SECOND);
    assert_eq!(clocks(25_000).span(Duration::from_millis(1_025)), SECOND);
}
