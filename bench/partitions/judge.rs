//! What a partition did, judged by what clients were acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::writers::Row;

/// What was seen of one partition; times in seconds since the writers began.
pub struct Seen<'a> {
    /// Who was the primary before it.
    pub primary: &'a str,
    /// Servers on the side that has the majority of the hosts.
    pub majority: Vec<&'a str>,
    /// What each server has acknowledged, in the order of time.
    pub rows: &'a BTreeMap<String, Vec<Row>>,
    /// When the network was cut, and healed, and the writers ended.
    pub cut: f64,
    pub healed: f64,
    pub ended: f64,
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
    /// From the cut to the last row of the former primary, where it ended before the cut was healed.
    pub last_row: Option<f64>,
    /// From the cut to the first row of another server, where there was one before the cut was healed.
    pub next_row: Option<f64>,
    /// From the last row of one primary to the first of the next; below zero for two writers.
    pub between: Option<f64>,
    /// The longest time without a row from the majority's side, from the cut on until it is healed.
    pub without: f64,
    /// The longest time without a row from any server, from the cut on until the writers ended.
    pub without_any: f64,
}

pub fn judge(seen: &Seen<'_>) -> Judged {
    let all = || seen.rows.values().flatten();
    let between = least_between(&stretches(seen.rows));
    let until_healed = (seen.cut, seen.healed);
    let of_former = times(seen, &[seen.primary]);
    let others = seen.rows.keys().map(String::as_str);
    let others: Vec<&str> = others.filter(|name| *name != seen.primary).collect();
    let next = times(seen, &others)
        .into_iter()
        .find(|time| *time > seen.cut);
    let last = of_former.into_iter().rfind(|time| *time < seen.healed);
    let any: Vec<&str> = seen.rows.keys().map(String::as_str).collect();
    Judged {
        two_writers: between.is_some_and(|between| between < 0.0),
        acknowledged: all().count(),
        lost: all().filter(|row| !seen.kept.contains(&row.number)).count(),
        last_row: last
            .filter(|last| seen.healed - last > INTERRUPTION)
            .map(|last| last - seen.cut),
        next_row: next
            .filter(|next| *next < seen.healed)
            .map(|next| next - seen.cut),
        between,
        without: longest_without(times(seen, &seen.majority), until_healed),
        without_any: longest_without(times(seen, &any), (seen.cut, seen.ended)),
    }
}

/// When a server took writes without an interruption: which, from when until when.
type Stretch<'a> = (&'a str, f64, f64);

/// All of them, in the order in which they begin. A server may be the primary more than once, as
/// a system may stop it and start it again.
fn stretches(rows: &BTreeMap<String, Vec<Row>>) -> Vec<Stretch<'_>> {
    let mut all: Vec<Stretch<'_>> = Vec::new();
    for (server, rows) in rows {
        for (number, row) in rows.iter().enumerate() {
            let time = row.acknowledged;
            match all.last_mut() {
                Some((_, _, until)) if number > 0 && time - *until < INTERRUPTION => *until = time,
                _ => all.push((server, time, time)),
            }
        }
    }
    all.sort_by(|one, other| one.1.total_cmp(&other.1));
    all
}

/// From the last row of all others before to the first of each stretch that began later, the least.
fn least_between(all: &[Stretch<'_>]) -> Option<f64> {
    let between = all
        .iter()
        .enumerate()
        .filter_map(|(at, (server, from, _))| {
            let others = all[..at].iter().filter(|(other, ..)| other != server);
            let until = others.map(|(.., until)| *until).max_by(f64::total_cmp)?;
            Some(from - until)
        });
    between.min_by(f64::total_cmp)
}

/// When these servers acknowledged rows, in the order of time.
fn times(seen: &Seen<'_>, servers: &[&str]) -> Vec<f64> {
    let rows = servers.iter().flat_map(|name| &seen.rows[*name]);
    let mut times: Vec<f64> = rows.map(|row| row.acknowledged).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn longest_without(mut times: Vec<f64>, (from, until): (f64, f64)) -> f64 {
    times.retain(|time| (from..until).contains(time));
    times.insert(0, from);
    times.push(until);
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    pauses.max_by(f64::total_cmp).unwrap_or_default()
}

/// Who has acknowledged nothing for so long, in seconds, was interrupted; the clients write a hundred
/// rows a second.
const INTERRUPTION: f64 = 1.0;
