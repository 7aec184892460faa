//! The process of the stubs (`crate::stub`), from the side of who measures with it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process that answers for every server; it ends when this is dropped.
pub struct Stub {
    child: Child,
    ask: Option<ChildStdin>,
    tell: BufReader<ChildStdout>,
    /// The port of the servers.
    pub port: u16,
    /// The port of those who accept and never answer.
    pub silent_port: u16,
}

/// Since the measurement before.
pub struct Polls {
    pub count: usize,
    /// Milliseconds by which each poll came later than the interval after the one before on its
    /// connection.
    pub lateness: Vec<f64>,
}

impl Stub {
    /// `each`: every answer in a write of its own.
    pub fn start(each: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("stub").args(each.then_some("each"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program once more");
        let ask = child.stdin.take();
        let mut tell = BufReader::new(child.stdout.take().expect("its stdout"));
        let ports = line(&mut tell);
        let (port, silent_port) = ports.split_once(' ').expect("two ports");
        Self {
            port: port.parse().expect("a port"),
            silent_port: silent_port.parse().expect("a port"),
            child,
            ask,
            tell,
        }
    }

    /// What came since this was asked last; `interval` in seconds.
    pub fn polls(&mut self, interval: f64) -> Polls {
        let ask = self.ask.as_mut().expect("a running stub");
        ask.write_all(b"?\n").expect("a running stub");
        let line = line(&mut self.tell);
        let (count, spacings) = line.split_once(' ').expect("a count, and times");
        let spacings = spacings.split(',').filter_map(|it| it.parse::<f64>().ok());
        Polls {
            count: count.parse().expect("a count"),
            lateness: spacings
                .map(|micros| micros / 1e3 - interval * 1e3)
                .collect(),
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.ask = None;
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a running stub");
    line.trim_end_matches('\n').to_owned()
}
