//! The vote file: what a voter must never forget. Written in one piece, with a checksum; one that is
//! torn or of another voter is none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{ClusterName, ObserverUrl, VoterName};
use crate::votes::{FormerVoters, ListStage, Mandate, Record, Roll, VoterList};

/// A vote file, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteFile {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// Of which voter.
    pub voter: VoterName,
    /// What it keeps.
    pub record: Record,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    /// The SHA-256 of `votes`, as it is written without blanks, in hexadecimal digits.
    checksum: String,
    votes: RecordForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordForm {
    version: u64,
    cluster: String,
    voter: String,
    generation: u64,
    voters: BTreeSet<String>,
    term: u64,
    voted_for: Option<MandateForm>,
    promise_ms: u64,
    /// Only where there is one: a version that knows no leases refuses the file of whoever holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_term: Option<u64>,
    /// Of the list, unless that is sealed: a version that changes no lists refuses such a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former_voters: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MandateForm {
    candidate: String,
    nonce: String,
}

/// Looked at before anything else, so that a later version says so.
#[derive(Deserialize)]
struct VersionForm {
    votes: VersionOnly,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

impl VoteFile {
    /// Where it is: below `vote_directory`, and named after the cluster.
    pub fn path(directory: &Path, cluster: &ClusterName) -> PathBuf {
        directory.join(format!("{cluster}.votes"))
    }

    /// Where the guard of our own server is named: beside it.
    pub fn guard_path(directory: &Path, cluster: &ClusterName) -> PathBuf {
        directory.join(format!("{cluster}.guard"))
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        let votes = RecordForm::of(&self.cluster, &self.voter, &self.record);
        let checksum = checksum(&votes);
        // Strings and numbers: nothing in it fails.
        let mut text = serde_json::to_vec(&FileForm { checksum, votes }).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what was expected.
    pub fn read(content: &[u8]) -> Result<Self, String> {
        if content.len() > MAX_VOTE_FILE_BYTES {
            return Err(format!("longer than {MAX_VOTE_FILE_BYTES} bytes"));
        }
        // It quotes what it has found, and is one line of the log.
        let torn = |error: serde_json::Error| {
            let reason = error.to_string().replace(char::is_control, "?");
            format!("torn or no vote file: {reason}")
        };
        let version: VersionForm = serde_json::from_slice(content).map_err(torn)?;
        if version.votes.version != VERSION {
            let found = version.votes.version;
            return Err(format!("written in version {found}, expected {VERSION}"));
        }
        let form: FileForm = serde_json::from_slice(content).map_err(torn)?;
        if form.checksum != checksum(&form.votes) {
            return Err("its checksum is wrong: torn, or changed by hand".to_owned());
        }
        form.votes.read()
    }

    /// The record, if the file is the one that these settings need.
    ///
    /// # Errors
    ///
    /// What it is instead, and what was expected.
    pub fn record_for(self, cluster: &ClusterName, voter: &VoterName) -> Result<Record, String> {
        if self.cluster != *cluster || self.voter != *voter {
            let (theirs, whose) = (self.cluster, self.voter);
            return Err(format!(
                "of voter {whose} in cluster {theirs}, expected {voter} in {cluster}"
            ));
        }
        Ok(self.record)
    }
}

/// The record in a timeline.
pub(super) fn record_value(cluster: &ClusterName, record: &Record) -> Value {
    let form = RecordForm::of(cluster, &"".into(), record);
    serde_json::to_value(form).unwrap_or_default()
}

pub(super) fn read_record_value(value: &Value) -> Result<Record, String> {
    let form = RecordForm::deserialize(value).map_err(|error| error.to_string())?;
    form.read().map(|file| file.record)
}

impl RecordForm {
    fn of(cluster: &ClusterName, voter: &VoterName, record: &Record) -> Self {
        let mandate = |mandate: &Mandate| MandateForm {
            candidate: mandate.candidate.to_string(),
            nonce: mandate.nonce.to_string(),
        };
        Self {
            version: VERSION,
            cluster: cluster.to_string(),
            voter: voter.to_string(),
            generation: record.list.generation,
            voters: record.list.names.iter().map(VoterName::to_string).collect(),
            term: record.term,
            voted_for: record.voted_for.as_ref().map(mandate),
            promise_ms: u64::try_from(record.promise.as_millis()).unwrap_or(u64::MAX),
            held_term: Some(record.held_term).filter(|term| *term > 0),
            list: Some(record.roll.stage)
                .filter(|stage| *stage != ListStage::Sealed)
                .map(|stage| stage.name().to_owned()),
            former_voters: record.roll.former.as_ref().map(former_form),
            floor: Some(record.roll.floor).filter(|floor| *floor > 0),
        }
    }

    fn read(self) -> Result<VoteFile, String> {
        let mandate = |form: MandateForm| {
            Ok::<_, String>(Mandate {
                candidate: VoterName::from(form.candidate.as_str()),
                nonce: form
                    .nonce
                    .parse()
                    .map_err(|cause| format!("nonce: {cause}"))?,
            })
        };
        let roll = self.roll()?;
        let voted_for = self.voted_for.map(mandate).transpose()?;
        if voted_for.is_some() != (self.term > 0) {
            return Err("a term without a vote, or a vote without a term".to_owned());
        }
        let held_term = self.held_term.unwrap_or(0);
        if held_term > self.term {
            return Err("a term is held that is later than the last vote".to_owned());
        }
        let names = self.voters.iter().map(|name| name.as_str().into());
        Ok(VoteFile {
            cluster: self.cluster.as_str().into(),
            voter: self.voter.as_str().into(),
            record: Record {
                list: VoterList {
                    generation: self.generation,
                    names: names.collect(),
                },
                roll,
                term: self.term,
                voted_for,
                promise: Duration::from_millis(self.promise_ms),
                held_term,
            },
        })
    }

    fn roll(&self) -> Result<Roll, String> {
        let named = |name: &String| ListStage::ALL.into_iter().find(|it| it.name() == name);
        let stage = match &self.list {
            None => ListStage::Sealed,
            Some(name) => named(name).ok_or("list: expected joining, taken or accepted")?,
        };
        let former = self.former_voters.as_ref().map(read_former).transpose()?;
        let is_known = former.is_some();
        let is_possible = match stage {
            ListStage::Taken => is_known,
            ListStage::Accepted => true,
            ListStage::Joining | ListStage::Sealed => !is_known,
        };
        if !is_possible {
            return Err(
                "former_voters: expected while a list is not sealed, and else none".to_owned(),
            );
        }
        Ok(Roll {
            stage,
            former,
            floor: self.floor.unwrap_or(0),
        })
    }
}

/// An address that is too long is left out: a file that is too long would be none.
fn former_form(former: &FormerVoters) -> BTreeMap<String, Option<String>> {
    let form = |(name, url): (&VoterName, &Option<ObserverUrl>)| {
        let url = url.as_ref().map(ToString::to_string);
        (
            name.to_string(),
            url.filter(|url| url.len() <= MAX_URL_BYTES),
        )
    };
    former.iter().map(form).collect()
}

fn read_former(form: &BTreeMap<String, Option<String>>) -> Result<FormerVoters, String> {
    let read = |(name, url): (&String, &Option<String>)| {
        let url = url.as_ref().map(|url| url.parse()).transpose();
        let url = url.map_err(|expected: &str| format!("former_voters: {expected}"))?;
        Ok((VoterName::from(name.as_str()), url))
    };
    form.iter().map(read).collect()
}

fn checksum(votes: &RecordForm) -> String {
    let text = serde_json::to_vec(votes).unwrap_or_default();
    let digits = Sha256::digest(text);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that is longer is none of ours.
pub const MAX_VOTE_FILE_BYTES: usize = 16 << 10;
const MAX_URL_BYTES: usize = 255;
const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mutations;
    use crate::votes::Nonce;

    fn file() -> VoteFile {
        VoteFile {
            cluster: "main".into(),
            voter: "a".into(),
            record: Record {
                list: VoterList {
                    generation: 1,
                    names: ["a", "b", "\"c\""].map(VoterName::from).into(),
                },
                term: u64::MAX,
                voted_for: Some(Mandate {
                    candidate: "b".into(),
                    nonce: Nonce(7),
                }),
                roll: Roll::first(),
                promise: Duration::from_millis(20_625),
                held_term: u64::MAX,
            },
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let never = VoteFile {
            record: Record::new(file().record.list),
            ..file()
        };
        let mut free = file();
        free.record.held_term = 0;
        // As every version writes it.
        let text = String::from_utf8(free.to_json()).unwrap();
        assert!(!text.contains("held_term"), "{text}");
        for word in ["list\"", "former", "floor"] {
            assert!(!text.contains(word), "{text}");
        }
        let mut changing = [(); 4].map(|()| file());
        for (file, stage) in changing.iter_mut().zip(ListStage::ALL) {
            let is_known = matches!(stage, ListStage::Taken | ListStage::Accepted);
            let former = [
                ("a".into(), "http://a:15000/x".parse().ok()),
                ("d".into(), None),
            ];
            file.record.roll = Roll {
                stage,
                former: is_known.then(|| former.into()),
                floor: 7,
            };
        }
        for file in [file(), never, free].into_iter().chain(changing) {
            assert_eq!(VoteFile::read(&file.to_json()), Ok(file));
        }
        let path = VoteFile::path(Path::new("/v"), &"main".into());
        assert_eq!(path, Path::new("/v/main.votes"));
    }

    #[test]
    fn the_longest_record_has_room() {
        let name = |number: u32| VoterName::from(format!("{number:063}").as_str());
        let mut file = file();
        file.record.list.names = (0..15).map(name).collect();
        file.cluster = name(0).as_str().into();
        let url = |_| Some(format!("http://{}", "h".repeat(245)).parse().unwrap());
        let former = (20..35).map(|number| (name(number), url(number)));
        file.record.roll = Roll {
            stage: ListStage::Accepted,
            former: Some(former.collect()),
            floor: u64::MAX,
        };
        assert!(file.to_json().len() < MAX_VOTE_FILE_BYTES / 2);
        // An address that has no room is not known later.
        let first = file.record.roll.former.as_mut().unwrap();
        let first = first.first_entry().unwrap().into_mut();
        *first = Some(format!("http://{}", "h".repeat(246)).parse().unwrap());
        let read = VoteFile::read(&file.to_json()).unwrap();
        let former = read.record.roll.former.unwrap();
        assert_eq!(former.values().filter(|url| url.is_none()).count(), 1);
    }

    #[test]
    fn a_torn_file_is_none() {
        let whole = file().to_json();
        // The last byte is the end of the line.
        for end in 0..whole.len() - 1 {
            assert!(VoteFile::read(&whole[..end]).is_err(), "cut at {end}");
        }
        mutations(&whole, |text| {
            if let Ok(read) = VoteFile::read(text) {
                assert_eq!(read, file(), "{}", String::from_utf8_lossy(text));
            }
        });
        assert!(VoteFile::read(&[b' '; MAX_VOTE_FILE_BYTES + 1]).is_err());
        let text = String::from_utf8(whole).unwrap();
        let reason = VoteFile::read(text.replace("cluster", "x\\n").as_bytes()).unwrap_err();
        assert!(!reason.contains('\n'), "{reason}");
    }

    #[track_caller]
    fn refuses(changed: VoteFile, expected: &str) {
        let wanted = file();
        let found = changed.record_for(&wanted.cluster, &wanted.voter);
        let reason = found.unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }

    #[test]
    fn a_file_of_others_is_not_used() {
        let wanted = file();
        let same = file().record_for(&wanted.cluster, &wanted.voter);
        assert_eq!(same, Ok(wanted.record));
        refuses(
            VoteFile {
                voter: "b".into(),
                ..file()
            },
            "of voter b in cluster main, expected a",
        );
        refuses(
            VoteFile {
                cluster: "x".into(),
                ..file()
            },
            "in cluster x",
        );
        let text = String::from_utf8(file().to_json()).unwrap();
        let later = text.replace("\"version\":1", "\"version\":2");
        let reason = VoteFile::read(later.as_bytes()).unwrap_err();
        assert_eq!(reason, "written in version 2, expected 1");
    }
}
