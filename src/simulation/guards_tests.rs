use super::super::SECOND;
use super::*;

fn guards(numbers: &[(u64, u32)]) -> Guards {
    let guard = |&(number, of): &(u64, u32)| Guard {
        number,
        of,
        until: Some(Monotonic::from_duration(std::time::Duration::from_secs(9))),
        fences: false,
    };
    Guards {
        all: numbers.iter().map(guard).collect(),
        named: None,
        last: 9,
    }
}

fn numbers(guards: &Guards) -> Vec<u64> {
    guards.all.iter().map(|guard| guard.number).collect()
}

#[test]
fn the_one_that_the_file_names_ends_when_it_names_another() {
    let mut guards = guards(&[(1, 0), (2, 1)]);
    guards.name(Some(1));
    assert_eq!(numbers(&guards), [1, 2]);
    guards.name(Some(2));
    assert_eq!(numbers(&guards), [2]);
    guards.name(Some(2));
    assert_eq!(numbers(&guards), [2]);
    guards.name(None);
    assert!(numbers(&guards).is_empty());
}

/// Also when it fences: it takes no orders any more, but may be ended.
#[test]
fn one_that_fences_is_not_put_off() {
    let clocks = Clocks::default();
    let mut guards = guards(&[(1, 0)]);
    assert_eq!(guards.due(1, &clocks, 8 * SECOND), Err(Some(9 * SECOND)));
    assert_eq!(guards.due(1, &clocks, 9 * SECOND), Ok(0));
    assert_eq!(guards.due(1, &clocks, 9 * SECOND), Err(None));
    assert!(guards.own(0).is_none());
    guards.name(Some(1));
    guards.name(None);
    assert!(numbers(&guards).is_empty());
}
