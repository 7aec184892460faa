//! What a partition did, judged by what clients were acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::writers::Row;

/// What was seen of one partition; times in seconds since the writers began.
pub struct Seen<'a> {
    /// Who was the primary before it.
    pub primary: &'a str,
    /// Servers on the side that has the majority.
    pub majority: Vec<&'a str>,
    /// What each server has acknowledged, in the order of time.
    pub rows: &'a BTreeMap<String, Vec<Row>>,
    /// When the network was cut, and healed.
    pub cut: (f64, f64),
    /// The numbers of the rows that are in the primary at the end.
    pub kept: &'a BTreeSet<u64>,
}

/// What it comes to.
pub struct Judged {
    /// Two servers have acknowledged rows at overlapping times.
    pub two_writers: bool,
    /// Rows that were acknowledged, and those of them that the last primary does not have.
    pub acknowledged: usize,
    pub lost: usize,
    /// From the cut to the last row of the former primary, where another has taken its place.
    pub last_row: Option<f64>,
    /// From the last row of one primary to the first of the next; below zero for two writers.
    pub between: Option<f64>,
    /// The longest time without a row from the majority's side, from the cut on until it is healed.
    pub without: f64,
}

pub fn judge(seen: &Seen<'_>) -> Judged {
    let all = || seen.rows.values().flatten();
    let mut written: Vec<(f64, f64)> = seen
        .rows
        .values()
        .filter_map(|rows| from_to(rows))
        .collect();
    written.sort_by(|one, other| one.0.total_cmp(&other.0));
    let between = least_between(&written);
    let former = from_to(&seen.rows[seen.primary]);
    Judged {
        two_writers: between.is_some_and(|between| between < 0.0),
        acknowledged: all().count(),
        lost: all().filter(|row| !seen.kept.contains(&row.number)).count(),
        last_row: former
            .filter(|_| written.len() > 1)
            .map(|(_, last)| last - seen.cut.0),
        between,
        without: longest_without(seen),
    }
}

/// From when until when a server acknowledged rows. It is a primary once at most, as whoever is fenced
/// stays down until the network is whole.
fn from_to(rows: &[Row]) -> Option<(f64, f64)> {
    Some((rows.first()?.acknowledged, rows.last()?.acknowledged))
}

/// From the last row of all before to the first of each that came later, the least.
fn least_between(written: &[(f64, f64)]) -> Option<f64> {
    let mut until = written.first()?.1;
    let between = written.iter().skip(1).map(|(from, to)| {
        let between = from - until;
        until = until.max(*to);
        between
    });
    between.min_by(f64::total_cmp)
}

fn longest_without(seen: &Seen<'_>) -> f64 {
    let (cut, healed) = seen.cut;
    let of_majority = seen.majority.iter().flat_map(|name| &seen.rows[*name]);
    let mut times: Vec<f64> = of_majority.map(|row| row.acknowledged).collect();
    times.retain(|time| (cut..healed).contains(time));
    times.extend([cut, healed]);
    times.sort_by(f64::total_cmp);
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    pauses.max_by(f64::total_cmp).unwrap_or_default()
}
