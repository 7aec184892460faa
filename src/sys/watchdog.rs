//! A watchdog device: once it is open it resets the host, unless it is written to again and again. What is
//! written to it here is no more than that, and the letter with which the kernel lets it be stopped.

#![allow(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{major, minor};
use nix::unistd::{AccessFlags, access};

/// Which device, and how it is to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Its path.
    pub path: PathBuf,
    /// How long after the last keep-alive it is to reset the host. Whole seconds.
    pub timeout: Duration,
}

/// One that is open: it counts.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    /// How long before the end of a lease the last keep-alive is sent.
    pub(super) timeout: Duration,
}

impl Watchdog {
    /// What keeps this account from using it, as far as can be seen without opening it: that would begin to
    /// count.
    pub fn trouble(&self) -> Option<String> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some("does not exist: load its kernel module, or softdog".to_owned());
            }
            Err(error) => return Some(error.to_string()),
        };
        if !found.file_type().is_char_device() {
            return Some("is no device".to_owned());
        }
        if access(&self.path, AccessFlags::W_OK).is_err() {
            return Some(
                "this account may not write to it: see the README for a udev rule".to_owned(),
            );
        }
        cannot_stop(&found, Path::new("/sys")).then(|| CANNOT_STOP.to_owned())
    }

    /// Opens it. Says how it counts; as an error where it does not reset the host by the end of a lease.
    ///
    /// # Errors
    ///
    /// It is not used.
    pub(super) fn open(&self) -> io::Result<(Device, Result<String, String>)> {
        let found = fs::metadata(&self.path)?;
        if cannot_stop(&found, Path::new("/sys")) {
            return Err(io::Error::other(CANNOT_STOP));
        }
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let counts = set_timeout(&file, self.timeout);
        let name = identity(&file).map_or_else(String::new, |name| format!(" ({name})"));
        let (shown, wanted) = (self.path.display(), self.timeout.as_secs());
        let (timeout, state) = match counts {
            Ok(timeout) if timeout <= self.timeout => (
                timeout,
                Ok(format!(
                    "{shown}{name} resets this host {} s after the last keep-alive",
                    timeout.as_secs()
                )),
            ),
            Ok(timeout) => (
                self.timeout,
                Err(format!(
                    "{shown}{name}: its timeout is {} s, and cannot be set to {wanted} s or less: this host would be reset \
                     too late",
                    timeout.as_secs()
                )),
            ),
            Err(error) => (
                self.timeout,
                Err(format!(
                    "{shown}: its timeout can neither be set nor read ({error}): when it resets this host is not known"
                )),
            ),
        };
        Ok((Device { file, timeout }, state))
    }
}

impl Device {
    /// It counts anew.
    pub(super) fn keep_alive(&mut self) -> io::Result<()> {
        self.file.write_all(b"1")
    }

    /// It stops counting, if it can.
    pub(super) fn stop(mut self) -> io::Result<()> {
        self.file.write_all(b"V")
    }
}

/// Would it go on counting whatever is written to it: `nowayout` of its driver, where sysfs says so. The
/// first device has two names, and is known there by one of them.
fn cannot_stop(device: &Metadata, sysfs: &Path) -> bool {
    let place = match (major(device.rdev()), minor(device.rdev())) {
        MISC_WATCHDOG => sysfs.join("class/watchdog/watchdog0"),
        (major, minor) => sysfs.join(format!("dev/char/{major}:{minor}")),
    };
    let text = fs::read_to_string(place.join("nowayout"));
    text.is_ok_and(|text| text.trim() == "1")
}

/// Which timeout it has then: not every driver has every one.
fn set_timeout(file: &File, wanted: Duration) -> io::Result<Duration> {
    let mut seconds = libc::c_int::try_from(wanted.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open, and the request reads and writes one int, which lives here.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), SET_TIMEOUT, &raw mut seconds) };
    // The driver may report another value than was set.
    // SAFETY: as above.
    let read = unsafe { libc::ioctl(file.as_raw_fd(), GET_TIMEOUT, &raw mut seconds) };
    if set < 0 && read < 0 {
        return Err(io::Error::last_os_error());
    }
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(io::Error::other("it tells none")),
    }
}

/// `struct watchdog_info` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

fn identity(file: &File) -> Option<String> {
    let mut info = Info {
        options: 0,
        firmware_version: 0,
        identity: [0; 32],
    };
    // SAFETY: the descriptor is open, and the request writes one such struct, which lives here.
    let got = unsafe { libc::ioctl(file.as_raw_fd(), GET_SUPPORT, &raw mut info) };
    if got < 0 {
        return None;
    }
    let bytes = info.identity.split(|byte| *byte == 0).next()?;
    let name = String::from_utf8_lossy(bytes).into_owned();
    (!name.is_empty()).then(|| name.escape_default().to_string())
}

/// From linux/watchdog.h.
const GET_SUPPORT: libc::Ioctl = libc::_IOR::<Info>(b'W' as u32, 0);
const SET_TIMEOUT: libc::Ioctl = libc::_IOWR::<libc::c_int>(b'W' as u32, 6);
const GET_TIMEOUT: libc::Ioctl = libc::_IOR::<libc::c_int>(b'W' as u32, 7);
/// Major and minor number of /dev/watchdog, which is /dev/watchdog0.
const MISC_WATCHDOG: (u64, u64) = (10, 130);
const CANNOT_STOP: &str = "its driver cannot be stopped (nowayout): every orderly end would reset this host, so it is not used";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::Scratch;

    fn of(path: &Path) -> Watchdog {
        Watchdog {
            path: path.to_owned(),
            timeout: Duration::from_secs(4),
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_opening_it() {
        let scratch = Scratch::new("watchdog-trouble");
        let trouble = |path: &Path| of(path).trouble().unwrap_or_default();
        assert!(trouble(&scratch.0.join("none")).starts_with("does not exist"));
        assert_eq!(trouble(&scratch.0), "is no device");
        assert_eq!(trouble(Path::new("/dev/null")), "");
    }

    #[test]
    fn a_driver_that_cannot_be_stopped_is_found_in_sysfs() {
        let scratch = Scratch::new("watchdog-nowayout");
        let null = fs::metadata("/dev/null").unwrap();
        assert!(!cannot_stop(&null, &scratch.0));
        let (place, device) = (scratch.0.join("dev/char"), scratch.0.join("wd"));
        fs::create_dir_all(&place).unwrap();
        fs::create_dir(&device).unwrap();
        symlink(&device, place.join("1:3")).unwrap();
        for (text, expected) in [("1\n", true), ("0\n", false)] {
            fs::write(device.join("nowayout"), text).unwrap();
            assert_eq!(cannot_stop(&null, &scratch.0), expected);
        }
    }

    #[test]
    fn one_that_reports_no_timeout_is_used_and_reported() {
        let scratch = Scratch::new("watchdog-open");
        let path = scratch.0.join("wd");
        fs::write(&path, "").unwrap();
        let (mut device, state) = of(&path).open().unwrap();
        assert!(state.unwrap_err().contains("neither be set nor read"));
        assert_eq!(device.timeout, Duration::from_secs(4));
        device.keep_alive().unwrap();
        device.keep_alive().unwrap();
        device.stop().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "11V");
        assert!(of(&scratch.0.join("none")).open().is_err());
    }
}
