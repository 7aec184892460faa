//! The flight recorder: the input of the core, on disk. A failure costs nothing but the record.

use std::io;
use std::time::Duration;

use crate::config::RecorderSettings;
use crate::lookout::{Effect, Event, Lookout, Memory};
use crate::replay::Recorder;
use crate::sys::record_file::RecordFile;
use crate::time::{Monotonic, Now};

/// On or off.
pub(super) struct FlightRecorder {
    recorder: Recorder,
    settings: Option<RecorderSettings>,
    file: Option<RecordFile>,
    /// After a failure.
    retry_at: Option<Monotonic>,
}

impl FlightRecorder {
    /// To be called at the start of the process: the timeline begins with `memory`.
    pub(super) fn new(lookout: &Lookout, memory: &Memory, now: Now) -> Self {
        let mut recorder = Self {
            recorder: Recorder::new(now),
            settings: None,
            file: None,
            retry_at: None,
        };
        recorder.adopt(lookout);
        recorder.begin(lookout, memory, now);
        recorder
    }

    /// A turn of the core, recorded.
    pub(super) fn turn(
        &mut self,
        lookout: &mut Lookout,
        events: Vec<Event>,
        maintenance: bool,
        now: Now,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.file.is_some() {
            self.recorder.events(&events, lookout, now);
        }
        let looked = lookout.turn(events, maintenance, now, &mut effects);
        if looked && self.file.is_some() {
            self.recorder.turn(maintenance, &effects, now);
        }
        self.recorder.note(&effects);
        effects
    }

    /// Writes the record of this turn; begins another file if that is due.
    pub(super) fn write(&mut self, lookout: &Lookout, now: Now) {
        self.append_lines(now);
        if lookout.config().flight_recorder != self.settings {
            self.adopt(lookout);
        }
        self.rotate_if_full(lookout, now);
        if self.is_beginning_due(now) {
            self.begin(lookout, &lookout.memory(now), now);
        }
    }

    /// At the end of the process.
    pub(super) fn end(&mut self, lookout: &Lookout, now: Now) {
        if self.file.is_some() {
            self.recorder.end(now);
            self.write(lookout, now);
        }
    }

    fn adopt(&mut self, lookout: &Lookout) {
        self.settings = lookout.config().flight_recorder.clone();
        (self.file, self.retry_at) = (None, None);
    }

    fn append_lines(&mut self, now: Now) {
        let lines = self.recorder.take_lines();
        let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) else {
            return;
        };
        if file.is_in_place() {
            if let Err(error) = file.append(&lines) {
                self.failed(&error, now);
            }
        } else {
            log::info!(
                "flight_recorder: the file was moved, removed or truncated, starting a new one"
            );
            self.file = None;
        }
    }

    fn is_beginning_due(&self, now: Now) -> bool {
        let has_begun = self.file.as_ref().is_some_and(|file| file.size() > 0);
        self.settings.is_some() && !has_begun && self.retry_at.is_none_or(|at| at <= now.mono)
    }

    /// Begins a timeline.
    fn begin(&mut self, lookout: &Lookout, memory: &Memory, now: Now) {
        let Some(settings) = &self.settings else {
            return;
        };
        let had_failed = self.retry_at.is_some();
        self.recorder.begin(lookout.config(), memory, now);
        self.recorder
            .events(&lookout.vote_files(now.mono), lookout, now);
        let header = self.recorder.take_lines();
        let file = self.file.take().map_or_else(|| open(settings), Ok);
        let begun = file.and_then(|mut file| {
            file.append(&header)?;
            Ok(file)
        });
        match begun {
            Ok(file) => {
                if had_failed {
                    let path = settings.path.display();
                    log::info!("flight_recorder: recording to {path} again");
                }
                (self.file, self.retry_at) = (Some(file), None);
            }
            Err(error) => self.failed(&error, now),
        }
    }

    /// A timeline begins with what the daemon remembers, and an election is not part of that: while one
    /// is under way the file grows on, to twice its size at most.
    fn rotate_if_full(&mut self, lookout: &Lookout, now: Now) {
        let settings = self.settings.as_ref();
        let limit = settings.map_or(u64::MAX, |settings| settings.max_bytes);
        let limit = match lookout.votes_are_at_rest(now.mono) {
            true => limit,
            false => limit.saturating_mul(2),
        };
        if let Some(full) = self.file.take_if(|file| file.size() >= limit) {
            match full.rotate() {
                Ok(file) => self.file = Some(file),
                Err(error) => self.failed(&error, now),
            }
        }
    }

    /// A failure is logged once; turns until it is over are missing in the record.
    fn failed(&mut self, error: &io::Error, now: Now) {
        if self.retry_at.is_none() {
            let interval = RETRY.as_secs();
            log::error!("flight_recorder: {error}; trying again every {interval} s");
        }
        (self.file, self.retry_at) = (None, Some(now.mono + RETRY));
    }
}

/// A full file is rotated first.
fn open(settings: &RecorderSettings) -> io::Result<RecordFile> {
    let file = RecordFile::open(&settings.path)?;
    if file.size() >= settings.max_bytes {
        file.rotate()
    } else {
        Ok(file)
    }
}

/// After a failure.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::{self, Config, Environment, VoterName};
    use crate::format::{Step, Timeline, read};
    use crate::testing::Scratch;
    use crate::time::WallTime;
    use crate::votes::{ExchangeId, Kind, Nonce, Record, Request, SaveId, VoterList};

    fn config(path: &Path) -> Config {
        let text = serde_json::json!({"remote_conns": {"p": "host=p password=xyzzy"}, "flight_recorder": path,
            "flight_recorder_max_bytes": 65536});
        config::parse(&text.to_string(), &Environment::default())
            .unwrap()
            .config
    }

    fn now(seconds: u64) -> Now {
        let since = Duration::from_secs(seconds);
        Now {
            mono: Monotonic::from_duration(since),
            wall: WallTime::from_unix_micros(0) + since,
        }
    }

    fn timelines(path: &Path) -> Vec<Timeline> {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("xyzzy"));
        read(&text).unwrap()
    }

    /// One turn at which this happens.
    fn turn(flight: &mut FlightRecorder, lookout: &mut Lookout, event: Event, seconds: u64) {
        flight.turn(lookout, vec![event], false, now(seconds));
        flight.write(lookout, now(seconds));
    }

    fn start(config: Config) -> (FlightRecorder, Lookout) {
        let memory = Memory {
            primary: Some("p".into()),
            ..Memory::default()
        };
        let lookout = Lookout::new(Arc::new(config), &memory, now(1));
        (FlightRecorder::new(&lookout, &memory, now(1)), lookout)
    }

    #[test]
    fn every_start_begins_a_timeline() {
        let scratch = Scratch::new("start");
        let path = scratch.0.join("r");
        for starts in 1..3 {
            let (mut flight, mut lookout) = start(config(&path));
            turn(&mut flight, &mut lookout, Event::CheckRequested, 2);
            flight.end(&lookout, now(3));
            let timelines = timelines(&path);
            assert_eq!(timelines.len(), starts);
            let last = timelines.last().unwrap();
            assert_eq!(
                (last.start, last.memory.primary.as_ref().unwrap().as_str()),
                (now(1), "p")
            );
            assert!(matches!(
                last.lines.iter().map(|line| &line.step).collect::<Vec<_>>()[..],
                [Step::Event(Event::CheckRequested), Step::Turn(_), Step::End]
            ));
        }
    }

    #[test]
    fn a_full_file_is_rotated_and_each_stands_alone() {
        let scratch = Scratch::new("rotate");
        let path = scratch.0.join("r");
        let (mut flight, mut lookout) = start(config(&path));
        for seconds in 2..4_000 {
            turn(&mut flight, &mut lookout, Event::CheckRequested, seconds);
        }
        for file in [path.clone(), scratch.0.join("r.1")] {
            let size = fs::metadata(&file).unwrap().len();
            assert!(size < 65536 + 1024, "{size}");
            assert!(timelines(&file)[0].lines.len() > 10);
        }
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
        assert_eq!(timelines(&path)[0].memory.primary, Some("p".into()));
    }

    #[test]
    fn a_file_is_not_rotated_while_a_vote_is_promised() {
        let scratch = Scratch::new("electing");
        let path = scratch.0.join("r");
        let voters = serde_json::json!({"a": "http://a", "b": "http://b", "c": "http://c"});
        let text = serde_json::json!({"flight_recorder": path, "flight_recorder_max_bytes": 65536,
            "vote_directory": "/v", "lease_time": 600, "own_db": null,
            "voting": {"main": {"generation": 1, "voters": voters, "self": "a", "secret_file": "/s"}}});
        let environment = Environment::default();
        let config = config::parse(&text.to_string(), &environment);
        let (mut flight, mut lookout) = start(config.unwrap().config);
        let list = VoterList {
            generation: 1,
            names: ["a", "b", "c"].map(VoterName::from).into(),
        };
        let request = Request {
            cluster: "main".into(),
            from: "b".into(),
            to: "a".into(),
            kind: Kind::Vote,
            term: 1,
            nonce: Nonce(1),
            mandate: Nonce(1),
            lease: Duration::from_secs(600),
            position: None,
            system: None,
            list: list.id(),
            news: None,
            successor: None,
        };
        for event in [
            Event::VoteFileRead {
                cluster: "main".into(),
                found: Ok(Record::new(list)),
                seed: 7,
                resumed: None,
            },
            Event::VoteRequested {
                id: ExchangeId(0),
                request,
            },
        ] {
            turn(&mut flight, &mut lookout, event, 2);
        }
        let rotated = scratch.0.join("r.1");
        let size = || fs::metadata(&path).map_or(0, |it| it.len());
        let mut seconds = 3;
        while size() < 65536 + 4096 {
            turn(&mut flight, &mut lookout, Event::CheckRequested, seconds);
            seconds += u64::from(seconds < 500);
        }
        assert!(!rotated.exists());
        // The vote is written: what is left of its promise is recorded.
        let saved = Event::VoteSaved {
            cluster: "main".into(),
            id: SaveId(1),
            done: true,
        };
        turn(&mut flight, &mut lookout, saved, 700);
        assert!(rotated.exists());
        let first = &timelines(&path)[0].lines[0];
        assert!(
            matches!(&first.step, Step::Event(Event::VoteFileRead { found: Ok(record), resumed: Some(resumed), .. })
                if record.term == 1 && resumed.last_save == SaveId(1)
                    && resumed.promises.as_ref().unwrap().given == Some(("b".into(), record.promise))),
            "{first:?}"
        );
        // One that has no end is rotated all the same.
        let again = Event::VoteRequested {
            id: ExchangeId(1),
            request: Request {
                cluster: "main".into(),
                from: "b".into(),
                to: "a".into(),
                kind: Kind::Vote,
                term: 2,
                nonce: Nonce(2),
                mandate: Nonce(2),
                lease: Duration::from_secs(600),
                position: None,
                system: None,
                list: lookout.votes().next().unwrap().1.unwrap().list().id(),
                news: None,
                successor: None,
            },
        };
        turn(&mut flight, &mut lookout, again, 701);
        fs::remove_file(&rotated).unwrap();
        while !rotated.exists() {
            turn(&mut flight, &mut lookout, Event::CheckRequested, 702);
        }
        let size = fs::metadata(&rotated).unwrap().len();
        assert!((2 * 65536..2 * 65536 + 1024).contains(&size), "{size}");
    }

    #[test]
    fn what_fails_is_tried_again_with_a_new_beginning() {
        let scratch = Scratch::new("retry");
        let path = scratch.0.join("later/r");
        let (mut flight, mut lookout) = start(config(&path));
        turn(&mut flight, &mut lookout, Event::CheckRequested, 2);
        fs::create_dir(scratch.0.join("later")).unwrap();
        turn(&mut flight, &mut lookout, Event::CheckRequested, 3);
        assert!(!path.exists());
        turn(&mut flight, &mut lookout, Event::CheckRequested, 40);
        turn(&mut flight, &mut lookout, Event::CheckRequested, 41);
        assert_eq!(
            (timelines(&path)[0].start, timelines(&path)[0].lines.len()),
            (now(40), 1)
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_another() {
        let scratch = Scratch::new("moved");
        let path = scratch.0.join("r");
        let (mut flight, mut lookout) = start(config(&path));
        fs::rename(&path, scratch.0.join("kept")).unwrap();
        turn(&mut flight, &mut lookout, Event::CheckRequested, 5);
        assert_eq!(timelines(&path)[0].start, now(5));
    }

    #[test]
    fn a_reload_turns_it_on_and_off_and_elsewhere() {
        let scratch = Scratch::new("reload");
        let (first, second) = (scratch.0.join("1"), scratch.0.join("2"));
        let off = Config {
            flight_recorder: None,
            ..config(&first)
        };
        let (mut flight, mut lookout) = start(off.clone());
        for (seconds, config) in [
            (2, config(&first)),
            (3, config(&second)),
            (4, off),
            (5, config(&first)),
        ] {
            turn(
                &mut flight,
                &mut lookout,
                Event::ConfigLoaded(Arc::new(config)),
                seconds,
            );
        }
        let starts = |path: &Path| {
            timelines(path)
                .iter()
                .map(|timeline| timeline.start)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (starts(&first), starts(&second)),
            (vec![now(2), now(5)], vec![now(3)])
        );
        assert!(matches!(
            timelines(&second)[0].lines[0].step,
            Step::Event(Event::ConfigLoaded(_))
        ));
    }
}
