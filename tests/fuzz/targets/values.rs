//! Single values: log positions, timestamps, addresses that a look-up printed; the control file of a server, and
//! the request for a switchover.

use pglookout::cluster::Lsn;
use pglookout::dns::{can_be_looked_up, parse_answer};
use pglookout::format::{SwitchoverFile, read_control};
use pglookout::time::WallTime;
use pglookout::time::timestamp;

pub(super) fn lsn(input: &[u8]) {
    let Ok(lsn) = String::from_utf8_lossy(input).parse::<Lsn>() else {
        return;
    };
    assert_eq!(lsn.to_string().parse(), Ok(lsn));
}

/// As a text, and its first eight bytes as a time.
pub(super) fn timestamp(input: &[u8]) {
    if let Some(time) = timestamp::parse(&String::from_utf8_lossy(input)) {
        assert_eq!(timestamp::parse(&timestamp::format(time)), Some(time));
    }
    let micros = input.first_chunk().copied().map_or(0, i64::from_be_bytes);
    let text = timestamp::format(WallTime::from_unix_micros(micros));
    let again = timestamp::parse(&text).expect("what we write is read");
    assert_eq!(timestamp::format(again), text);
    assert!(
        timestamp::parse(&timestamp::format_millis(WallTime::from_unix_micros(
            micros
        )))
        .is_some()
    );
}

/// As what the helper printed, and as a name to be looked up.
pub(super) fn addresses(input: &[u8]) {
    if let Ok(addresses) = parse_answer(true, input) {
        assert!(!addresses.is_empty());
        let printed: String = addresses
            .iter()
            .map(|address| format!("{address}\n"))
            .collect();
        assert_eq!(parse_answer(true, printed.as_bytes()), Ok(addresses));
    }
    assert!(parse_answer(false, input).is_err());
    let name = String::from_utf8_lossy(input);
    assert!(
        !can_be_looked_up(&name) || !name.starts_with('-') && !name.contains(char::is_whitespace)
    );
}

pub(super) fn control_file(input: &[u8]) {
    let Ok(found) = read_control(input, true) else {
        return;
    };
    let beginning = input.get(..40).expect("so much is looked at");
    assert_eq!(read_control(beginning, true), Ok(found));
}

pub(super) fn switchover_file(input: &[u8]) {
    if let Ok(file) = SwitchoverFile::read(input) {
        assert_eq!(SwitchoverFile::read(&file.to_json()), Ok(file));
    }
}
