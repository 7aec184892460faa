//! What the programs share: their arguments, the table, the processes that are measured, and how.

pub mod blackhole;
pub mod daemon;
pub mod http;
pub mod leases;
pub mod lossy;
pub mod meter;
pub mod page;
pub mod stub;
pub mod table;

use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What stands behind the program's name: plain words, and options `--name value`.
pub struct Arguments {
    pub words: Vec<String>,
    options: Vec<(String, String)>,
}

impl Arguments {
    /// `cargo bench` adds `--bench`, which is dropped.
    pub fn read(arguments: impl Iterator<Item = String>) -> Self {
        let (mut words, mut options) = (Vec::new(), Vec::new());
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some(name) => options.push((name.to_owned(), arguments.next().unwrap_or_default())),
                None => words.push(argument),
            }
        }
        Self { words, options }
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    /// The value of `--name`, numbers with commas between.
    pub fn list<T: FromStr + Clone>(&self, name: &str, default: &[T]) -> Vec<T> {
        let given = self.options.iter().find(|(option, _)| option == name);
        let parse = |text: &str| text.parse().ok();
        given.map_or(default.to_vec(), |(_, text)| {
            let numbers: Option<_> = text.split(',').map(parse).collect();
            numbers.unwrap_or_else(|| panic!("--{name} {text}: not a list of numbers"))
        })
    }

    /// The value of `--name`, one number.
    pub fn number<T: FromStr + Clone>(&self, name: &str, default: T) -> T {
        self.list(name, &[default]).remove(0)
    }
}

pub fn pause(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds));
}

/// Looks every few milliseconds until `done`. Panics after a minute.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "not within a minute: {what}"
        );
        pause(0.005);
    }
}
