//! What the rounds did, and the table of it.

use std::fmt;

use super::judge::Judged;
use super::plan::{Partition, ROLES, Reaches};
use crate::support::table::{plain, print_lines, quantile};

/// All rounds of one partition.
pub struct Tally {
    pub partition: Partition,
    pub rounds: Vec<Round>,
    /// The cluster could not be made whole again, or the round ended otherwise.
    pub unfinished: usize,
}

/// What one round did.
pub struct Round {
    pub reaches: Reaches,
    pub is_fenced: bool,
    /// Whom of `ROLES` was promoted while the network was cut, each as often as it was.
    pub promoted: Vec<usize>,
    pub judged: Judged,
}

impl Tally {
    pub fn of(partition: Partition) -> Self {
        Self {
            partition,
            rounds: Vec::new(),
            unfinished: 0,
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fenced, judged) = (if self.is_fenced { "" } else { "not " }, &self.judged);
        let [last, next, between] = [judged.last_row, judged.next_row, judged.between]
            .map(|it| it.map_or("-".to_owned(), plain));
        write!(
            f,
            "{fenced}fenced, {} promoted, {} rows, {} lost, last row after {last} s, next after \
             {next} s, {between} s between, {} s without, {} s without any",
            promoted(&[self]),
            judged.acknowledged,
            judged.lost,
            plain(judged.without),
            plain(judged.without_any),
        )
    }
}

/// A line for each partition, one for all of those in which the same side has the majority of the
/// voters, and one for all.
pub fn print(tallies: &[Tally]) {
    let mut lines = vec![HEAD.map(str::to_owned)];
    for tally in tallies {
        let rounds: Vec<&Round> = tally.rounds.iter().collect();
        lines.extend(line(&tally.partition.name, &rounds, tally.unfinished));
    }
    let all = || tallies.iter().flat_map(|tally| &tally.rounds);
    for (reaches, name) in SIDES {
        let rounds: Vec<&Round> = all().filter(|round| round.reaches == reaches).collect();
        lines.extend(line(name, &rounds, 0));
    }
    let unfinished = tallies.iter().map(|tally| tally.unfinished).sum();
    lines.extend(line("all", &all().collect::<Vec<_>>(), unfinished));
    print_lines(&lines);
}

/// Nothing where no round was held.
fn line(name: &str, rounds: &[&Round], unfinished: usize) -> Option<[String; HEAD.len()]> {
    let count = |is: fn(&Round) -> bool| rounds.iter().filter(|it| is(it)).count().to_string();
    let sum = |of: fn(&Round) -> usize| rounds.iter().map(|it| of(it)).sum::<usize>().to_string();
    let spread = |of: fn(&Round) -> Option<f64>| {
        let mut all: Vec<f64> = rounds.iter().filter_map(|it| of(it)).collect();
        all.sort_by(f64::total_cmp);
        [0.0, 0.5, 1.0].map(|share| plain(quantile(&all, share)))
    };
    let most = |of: fn(&Round) -> Option<f64>| {
        let [_, median, most] = spread(of);
        format!("{median} ({most})")
    };
    let [least, ..] = spread(|it| it.judged.between);
    (!rounds.is_empty() || unfinished > 0).then(|| {
        [
            name.to_owned(),
            rounds.len().to_string(),
            count(|it| it.is_fenced),
            promoted(rounds),
            count(|it| it.judged.two_writers),
            sum(|it| it.judged.acknowledged),
            sum(|it| it.judged.lost),
            most(|it| it.judged.last_row),
            most(|it| it.judged.next_row),
            least,
            most(|it| Some(it.judged.without)),
            most(|it| Some(it.judged.without_any)),
            unfinished.to_string(),
        ]
    })
}

/// How often somebody was promoted, and whom: `3: S 2, T 1`.
fn promoted(rounds: &[&Round]) -> String {
    let all: Vec<usize> = rounds.iter().flat_map(|it| it.promoted.clone()).collect();
    let each = ROLES.iter().enumerate().filter_map(|(role, name)| {
        let count = all.iter().filter(|promoted| **promoted == role).count();
        (count > 0).then(|| format!("{name} {count}"))
    });
    let each: Vec<String> = each.collect();
    let colon = if each.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", all.len(), each.join(", "))
}

const SIDES: [(Reaches, &str); 3] = [
    (Reaches::Primary, "the primary reaches the voters"),
    (Reaches::Standby, "only a standby reaches them"),
    (Reaches::Nobody, "no server reaches them"),
];
const HEAD: [&str; 13] = [
    "partition",
    "held",
    "fenced",
    "promoted",
    "two writers",
    "rows",
    "lost",
    "last row of the old, s",
    "first of the next, s",
    "least between, s",
    "majority without a writer, s",
    "nowhere a writer, s",
    "unfinished",
];
