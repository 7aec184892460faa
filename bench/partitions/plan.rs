//! Which partitions are tried: by the roles that the five hosts have when the network is cut.

/// A partition, by roles.
#[derive(Clone)]
pub struct Partition {
    /// How it is printed.
    pub name: String,
    /// From which host to which nothing passes; numbers of `ROLES`.
    pub cuts: Vec<(usize, usize)>,
    /// Which hosts are a majority that is whole in itself.
    pub majority: Vec<usize>,
}

/// Who reaches a majority of the voters, both ways, while the network is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reaches {
    Primary,
    /// A standby does, the primary does not.
    Standby,
    /// No server does.
    Nobody,
}

impl Partition {
    /// Who may be the primary, where a majority of these hosts has to be reached for it.
    pub fn reaches(&self, voters: &[usize]) -> Reaches {
        let is_cut =
            |one, other| self.cuts.contains(&(one, other)) || self.cuts.contains(&(other, one));
        let has_majority = |server: usize| {
            let reached = voters.iter().filter(|voter| !is_cut(server, **voter));
            reached.count() * 2 > voters.len()
        };
        if has_majority(PRIMARY) {
            Reaches::Primary
        } else if STANDBYS.into_iter().any(has_majority) {
            Reaches::Standby
        } else {
            Reaches::Nobody
        }
    }
}

/// The primary, the two standbys and the two observers.
pub const ROLES: [&str; 5] = ["P", "S", "T", "O", "Q"];
const PRIMARY: usize = 0;
const STANDBYS: [usize; 2] = [1, 2];

/// All ways to cut five hosts into two groups; the primary that is reached but reaches nobody, and the
/// other way round; and the primary that both standbys have lost and both observers have not.
pub fn all() -> Vec<Partition> {
    let mut all: Vec<Partition> = (0..15).map(in_two_groups).collect();
    let others: Vec<usize> = (1..ROLES.len()).collect();
    let out = others.iter().map(|&other| (PRIMARY, other));
    all.push(Partition {
        name: "P sends nothing".to_owned(),
        cuts: out.clone().collect(),
        majority: others.clone(),
    });
    all.push(Partition {
        name: "P receives nothing".to_owned(),
        cuts: out.map(turned).collect(),
        majority: others,
    });
    let from_standbys = [(PRIMARY, 1), (PRIMARY, 2)];
    all.push(Partition {
        name: "P and S T, O Q between".to_owned(),
        cuts: both_ways(&from_standbys),
        majority: vec![PRIMARY, 3, 4],
    });
    all
}

/// The bits of `beside` name those who stay on the primary's side.
fn in_two_groups(beside: usize) -> Partition {
    let is_beside = |host: &usize| *host == PRIMARY || beside >> (host - 1) & 1 == 1;
    let (with, without): (Vec<usize>, Vec<usize>) = (0..ROLES.len()).partition(is_beside);
    let names = |hosts: &[usize]| {
        let names: Vec<&str> = hosts.iter().map(|&host| ROLES[host]).collect();
        names.join(" ")
    };
    let between = with
        .iter()
        .flat_map(|&one| without.iter().map(move |&other| (one, other)));
    Partition {
        name: format!("{} / {}", names(&with), names(&without)),
        cuts: both_ways(&between.collect::<Vec<_>>()),
        majority: if with.len() > without.len() {
            with
        } else {
            without
        },
    }
}

fn both_ways(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let back = pairs.iter().copied().map(turned);
    pairs.iter().copied().chain(back).collect()
}

fn turned((from, to): (usize, usize)) -> (usize, usize) {
    (to, from)
}
