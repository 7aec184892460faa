//! Asking a daemon for its status, and the others for theirs; or its state file where no daemon runs.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::config_file;
use super::daemon_client::{LOOPBACK, get, post};
use crate::config::{Config, ObserverUrl};
use crate::format::{MAX_STATE_FILE_BYTES, StateFile};
use crate::status::Status;
use crate::sys::{clock, files};

/// What was found out.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: Status,
    /// Why the daemon itself was not asked: the status is from its state file.
    pub(super) failure: Option<String>,
    /// The daemons of the other nodes, and the observers.
    pub(super) others: Vec<Other>,
}

/// Another daemon.
#[derive(Debug)]
pub(super) struct Other {
    /// Its node, or the observer's name.
    pub(super) name: String,
    pub(super) answer: Result<Status, String>,
}

/// Where the daemon is.
pub(super) struct Target {
    host: String,
    port: u16,
    path: String,
    config: Option<Config>,
}

impl Target {
    /// `source`: a configuration file, or the URL of a daemon; `from`: a host, with or without a port.
    pub(super) fn new(source: Option<&str>, from: Option<&str>) -> Result<Self, String> {
        let mut target = Self {
            host: LOOPBACK.to_owned(),
            port: DEFAULT_PORT,
            path: String::new(),
            config: None,
        };
        match source {
            None => {}
            Some(url) if url.contains("://") => {
                let parsed: ObserverUrl = url.parse().map_err(str::to_owned)?;
                if parsed.encrypted {
                    return Err("expected a URL that begins with http://".to_owned());
                }
                (target.host, target.port, target.path) = (parsed.host, parsed.port, parsed.path);
            }
            Some(path) => {
                let config = config_file::load(&PathBuf::from(path))?;
                target.host = config.http_address.clone().unwrap_or(target.host);
                target.port = config.http_port;
                target.config = Some(config);
            }
        }
        if let Some(from) = from {
            let url = format!("http://{from}");
            let parsed: ObserverUrl = url.parse().map_err(|error| format!("--from: {error}"))?;
            target.port = parsed.uncommon_port().unwrap_or(target.port);
            target.host = parsed.host;
        }
        Ok(target)
    }

    /// The configuration, where the source was one.
    pub(super) fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// One page of the daemon, whatever its status.
    pub(super) fn page(&self, name: &str) -> Result<Vec<u8>, String> {
        let body = get(&self.host, self.port, &format!("{}/{name}", self.path));
        body.map_err(|error| format!("the daemon at {}, port {}: {error}", self.host, self.port))
    }

    /// Has the daemon poll and decide now. Whether it does is for whoever needs that to find out.
    pub(super) fn ask_for_check(&self) {
        // Not an error: it polls later.
        let _ = post(&self.host, self.port, &format!("{}/check", self.path));
    }

    /// What the daemon answers, and the others.
    pub(super) fn look(&self) -> Result<Look, String> {
        let mut look = self.look_alone()?;
        if look.failure.is_none() {
            look.others = self.ask_others(&look.status);
        }
        Ok(look)
    }

    /// What the daemon answers; from the state file where it does not.
    pub(super) fn look_alone(&self) -> Result<Look, String> {
        let others = Vec::new();
        let failure = match self.ask() {
            Ok(status) => {
                return Ok(Look {
                    status,
                    failure: None,
                    others,
                });
            }
            Err(failure) => failure,
        };
        let config = self.config.as_ref().ok_or_else(|| failure.clone())?;
        let path = &config.state_file;
        let status = stored(path, config)
            .map_err(|error| format!("{failure}\n{}: {error}", path.display()))?;
        Ok(Look {
            status,
            failure: Some(format!(
                "from the state file {}{}; {failure}",
                path.display(),
                written(path)
            )),
            others,
        })
    }

    fn ask(&self) -> Result<Status, String> {
        let path = format!("{}/status.json", self.path);
        let answer = status_of(&self.host, self.port, &path);
        answer.map_err(|error| format!("the daemon at {}, port {}: {error}", self.host, self.port))
    }

    /// All at a time, and none for longer than a moment.
    fn ask_others(&self, status: &Status) -> Vec<Other> {
        let nodes = status.nodes.iter().filter(|node| !node.own);
        let nodes = nodes.filter_map(|node| {
            let (host, _) = node.address.rsplit_once(':')?;
            let is_host = !host.is_empty() && !host.starts_with(['/', '@']);
            is_host.then(|| (&node.name, host.to_owned(), self.port, String::new()))
        });
        let observers = status.observers.iter().filter_map(|observer| {
            let url: ObserverUrl = observer.address.parse().ok()?;
            (!url.encrypted).then_some((&observer.name, url.host, url.port, url.path))
        });
        let asked: Vec<_> = nodes.chain(observers).take(MAX_OTHERS).collect();
        thread::scope(|scope| {
            let asking = asked.iter().map(|(name, host, port, path)| {
                let path = format!("{path}/status.json");
                let ask = move || status_of(host, *port, &path).map_err(|error| error.to_string());
                (*name, scope.spawn(ask))
            });
            let asking: Vec<_> = asking.collect();
            let answers = asking.into_iter().filter_map(|(name, thread)| {
                Some(Other {
                    name: name.clone(),
                    answer: thread.join().ok()?,
                })
            });
            // With one address for all, as in a trial on one machine, they are not who they should be.
            answers.filter(|other| is_expected(other, status)).collect()
        })
    }
}

fn is_expected(other: &Other, status: &Status) -> bool {
    let is_node = status.nodes.iter().any(|node| node.name == other.name);
    let Ok(answer) = &other.answer else {
        return true;
    };
    match &answer.node {
        Some(node) => is_node && *node == other.name,
        None => !is_node,
    }
}

fn status_of(host: &str, port: u16, path: &str) -> io::Result<Status> {
    let body = get(host, port, path)?;
    serde_json::from_slice(&body).map_err(|error| io::Error::other(format!("no status: {error}")))
}

fn stored(path: &Path, config: &Config) -> Result<Status, String> {
    let bytes = files::read_small(path, MAX_STATE_FILE_BYTES).map_err(|error| error.to_string())?;
    Ok(Status::stored(
        &StateFile::read(&bytes)?,
        config,
        clock::wall(),
    ))
}

/// How old the file is.
fn written(path: &Path) -> String {
    let modified = std::fs::metadata(path).and_then(|it| it.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    age.map_or_else(String::new, |age| {
        format!(", written {:.0} s ago", age.as_secs_f64())
    })
}

/// `http_port`, where nobody has set another.
const DEFAULT_PORT: u16 = 15_000;
/// Of the other daemons so many are asked.
const MAX_OTHERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: Option<&str>, from: Option<&str>, host: &str, port: u16, path: &str) {
        let target = Target::new(source, from).unwrap();
        let found = (&*target.host, target.port, &*target.path);
        assert_eq!(found, (host, port, path));
    }

    #[test]
    fn a_daemon_is_found_without_a_configuration() {
        check(None, None, "127.0.0.1", 15_000, "");
        check(Some("http://db1:16000/p"), None, "db1", 16_000, "/p");
        check(None, Some("db2"), "db2", 15_000, "");
        check(None, Some("db2:16000"), "db2", 16_000, "");
        check(None, Some("[::1]:16000"), "::1", 16_000, "");
    }

    #[test]
    fn what_is_no_place_of_a_daemon() {
        assert!(Target::new(Some("ftp://x"), None).is_err());
        assert!(Target::new(None, Some("a b")).is_err());
        assert!(Target::new(Some("/nonexistent"), None).is_err());
    }
}
