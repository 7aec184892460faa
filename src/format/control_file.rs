//! The control file of a PostgreSQL server, `global/pg_control`: where it keeps its system identifier,
//! whether and how it was stopped, and its last checkpoint. These places are the same in all versions
//! from 9.3 on; the rest of the file is not looked at.

use crate::cluster::{ControlData, DatabaseState, Lsn};

/// Reads the beginning of the file. `has_pid_file`: there is a `postmaster.pid` in its data directory.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_control(content: &[u8], has_pid_file: bool) -> Result<ControlData, String> {
    let short = || format!("expected at least {CONTROL_BYTES} bytes");
    let system = u64::from_ne_bytes(at(content, 0).ok_or_else(short)?);
    let version = u32::from_ne_bytes(at(content, 8).ok_or_else(short)?);
    let state = u32::from_ne_bytes(at(content, 16).ok_or_else(short)?);
    let checkpoint = u64::from_ne_bytes(at(content, 32).ok_or_else(short)?);
    if !VERSIONS.contains(&version) {
        return Err(format!("version {version} is none that is known"));
    }
    let known = usize::try_from(state).ok();
    let known = known.and_then(|state| DatabaseState::ALL.get(state));
    Ok(ControlData {
        system: system.to_string(),
        state: *known.ok_or_else(|| format!("state {state} is none that is known"))?,
        checkpoint: Lsn::from_bytes(checkpoint),
        has_pid_file,
    })
}

fn at<const N: usize>(content: &[u8], from: usize) -> Option<[u8; N]> {
    content.get(from..)?.first_chunk().copied()
}

/// So much of the file is looked at.
pub const CONTROL_BYTES: usize = 40;
/// `pg_control_version` of 9.3 (937) and later; of a server with another byte order it is far above.
const VERSIONS: std::ops::Range<u32> = 937..10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u32, state: u32) -> Vec<u8> {
        let mut content = vec![0; 8192];
        content[..8].copy_from_slice(&7_364_000_000_000_000_001_u64.to_ne_bytes());
        content[8..12].copy_from_slice(&version.to_ne_bytes());
        content[16..20].copy_from_slice(&state.to_ne_bytes());
        content[32..40].copy_from_slice(&0x0300_0028_u64.to_ne_bytes());
        content
    }

    #[test]
    fn what_it_says_of_a_server() {
        let expected = ControlData {
            system: "7364000000000000001".to_owned(),
            state: DatabaseState::ShutDown,
            checkpoint: "0/3000028".parse().unwrap(),
            has_pid_file: true,
        };
        assert_eq!(read_control(&file(1300, 1), true), Ok(expected));
        let production = read_control(&file(1800, 6), false).unwrap();
        assert_eq!(
            (production.state, production.has_pid_file),
            (DatabaseState::InProduction, false)
        );
    }

    #[test]
    fn what_is_none() {
        for wrong in [
            &file(1300, 1)[..39],
            &[],
            &file(1300, 7),
            &file(1300_u32.swap_bytes(), 1),
        ] {
            assert!(read_control(wrong, false).is_err(), "{}", wrong.len());
        }
    }
}
