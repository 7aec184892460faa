//! The targets: a function for each parser, which is given any bytes and panics if what comes of
//! them is not as it must be.

mod configuration;
mod observed;
mod output;
mod postgres;
mod recovery;
mod timeline;
mod values;
mod votes;
mod web;

#[cfg(feature = "tls")]
mod certificates;

use std::fmt::Debug;

use crate::testing::deliveries;

/// Name, which is also that of its folder in `corpus`; function; variations in an everyday run, by
/// what one costs.
pub(crate) type Target = (&'static str, fn(&[u8]), u64);

pub(crate) const TARGETS: &[Target] = &[
    ("backend", postgres::backend, 60_000),
    ("encryption", postgres::encryption, 60_000),
    ("scram", postgres::scram, 2_000),
    ("request", web::request, 60_000),
    ("response", web::response, 60_000),
    ("date", web::date, 60_000),
    ("observer", observed::observer, 60_000),
    ("state_file", observed::state_file, 60_000),
    ("explained", observed::explained, 60_000),
    ("configuration", configuration::configuration, 20_000),
    ("conninfo", configuration::conninfo, 20_000),
    ("passfile", configuration::passfile, 20_000),
    ("service_file", configuration::service_file, 20_000),
    ("lsn", values::lsn, 60_000),
    ("timestamp", values::timestamp, 60_000),
    ("control_file", values::control_file, 60_000),
    ("switchover_file", values::switchover_file, 60_000),
    ("addresses", values::addresses, 60_000),
    ("recovery", recovery::settings, 60_000),
    ("timeline", timeline::timeline, 20_000),
    ("output", output::lines, 60_000),
    ("vote_request", votes::request, 60_000),
    ("vote_answer", votes::answer, 60_000),
    ("vote_file", votes::file, 60_000),
    #[cfg(feature = "tls")]
    ("certificate", certificates::certificate, 2_000),
    #[cfg(feature = "tls")]
    ("pem", certificates::pem, 20_000),
];

/// What comes of `input`, which must be the same however it arrives: whole, in two, byte by byte.
fn however_delivered<T: PartialEq + Debug>(input: &[u8], take: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = take(&[input]);
    if input.len() <= ALL_WAYS_BYTES {
        for pieces in deliveries(input) {
            assert_eq!(
                take(&pieces),
                whole,
                "in pieces of {:?}",
                pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>()
            );
        }
        return whole;
    }
    let sum = input.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let (head, tail) = input.split_at(sum % input.len());
    assert_eq!(take(&[head, tail]), whole, "in two at {}", head.len());
    assert_eq!(
        take(&input.chunks(1).collect::<Vec<_>>()),
        whole,
        "byte by byte"
    );
    whole
}

/// Up to this length every way to split an input is tried; of longer ones two.
const ALL_WAYS_BYTES: usize = 32;

/// What foreign bytes come to in a message must not begin a line, nor steer a terminal.
#[track_caller]
fn on_one_line(message: &str) {
    assert!(!message.contains(char::is_control), "{message:?}");
}

/// A password, which must be nowhere but where it belongs.
const SECRET: &str = "tops3cret";

#[track_caller]
fn hides_secret(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}
