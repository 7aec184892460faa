//! What a configuration's own numbers say of its quorum: an even number of votes can split in two
//! halves, each of which suffices.

use std::fmt;

use super::{Config, QuorumRule};

/// Half of the votes suffices, and their number is even.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvenVotes {
    /// Who has a vote: the standbys that may be promoted and the primary, then the observers.
    pub voters: Vec<String>,
}

impl EvenVotes {
    /// What is to be warned of, if anything. Which node is the primary is not
    /// known yet: one that may be promoted is taken for it. An observer promotes nothing, whatever
    /// its votes.
    pub fn of(config: &Config) -> Option<Self> {
        config
            .own_db
            .as_ref()
            .filter(|_| config.quorum == QuorumRule::Half)?;
        let nodes = config
            .nodes
            .keys()
            .filter(|node| !config.never_promote.contains(*node))
            .map(ToString::to_string);
        let observers = config
            .observers
            .keys()
            .map(|observer| format!("observer {observer}"));
        let voters: Vec<String> = nodes.chain(observers).collect();
        (!voters.is_empty() && voters.len().is_multiple_of(2)).then_some(Self { voters })
    }
}

impl fmt::Display for EvenVotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.voters.len();
        write!(
            f,
            "failover_quorum: half of the {count} votes ({}) suffices: where a network falls into two halves, the one \
             without the primary can promote although it lives. Make the number odd by one more observer",
            self.voters.join(", ")
        )?;
        // With two votes a majority would need the dead primary's.
        if count > 2 {
            f.write_str(", or set \"majority\"")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, parse};
    use super::*;

    #[track_caller]
    fn check(settings: &str, expected: Option<&str>) {
        let nodes =
            r#""remote_conns": {"p": "host=p", "s1": "host=s1", "s2": "host=s2"}, "own_db": "s1""#;
        let text = format!("{{{nodes}{settings}}}");
        let config = parse(&text, &Environment::default()).unwrap().config;
        assert_eq!(
            EvenVotes::of(&config)
                .map(|votes| votes.voters.join(", "))
                .as_deref(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn an_even_number_of_votes_is_reported() {
        check("", None);
        check(
            r#", "observers": {"o": "http://o"}"#,
            Some("p, s1, s2, observer o"),
        );
        check(
            r#", "observers": {"o": "http://o"}, "failover_quorum": "majority""#,
            None,
        );
        check(
            r#", "observers": {"o": "http://o", "o2": "http://o2"}"#,
            None,
        );
        check(r#", "never_promote_these_nodes": ["s2"]"#, Some("p, s1"));
        check(r#", "own_db": """#, None);
    }

    #[test]
    fn a_majority_of_two_is_no_remedy() {
        let warning = |voters: &[&str]| {
            EvenVotes {
                voters: voters.iter().map(ToString::to_string).collect(),
            }
            .to_string()
        };
        assert!(!warning(&["p", "s1"]).contains("majority"));
        assert!(warning(&["p", "s1", "s2", "s3"]).contains("\"majority\""));
    }
}
