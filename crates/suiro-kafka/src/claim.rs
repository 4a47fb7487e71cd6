//! The name under which a process works on a program: its own, and the same after a restart.
//!
//! Names are files in a directory, and whoever holds the lock of one has its name. A process that
//! dies lets go of it, and the next one that starts there takes it over, so that what the dead
//! one had begun ends at once and not by a time-out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use suiro_core::{Clock, Error, Result, SystemClock};

/// A name, as long as this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) name: String,
    /// Holds the lock.
    _file: File,
}

/// So many processes of a program may share a directory.
const MOST: usize = 1000;

impl Claim {
    /// Takes the first name of `program` in `directory` that nobody has.
    pub(crate) fn take(directory: &Path, program: &str) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let text = "the name of this process cannot be kept; name a directory that can be \
                        written (Settings::state_dir)";
            Error::unavailable(text).with("directory", directory.display()).caused_by(error)
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        for number in 0..MOST {
            let path = directory.join(format!("{program}.{number}.process"));
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let mut name = String::new();
            file.read_to_string(&mut name).map_err(failed)?;
            if name.is_empty() {
                name = format!("{program}-{}", new_name(number));
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                file.write_all(name.as_bytes()).map_err(failed)?;
                file.sync_all().map_err(failed)?;
            }
            return Ok(Self { name, _file: file });
        }
        let text = "too many processes of one program share a directory";
        Err(Error::invalid(text).with("directory", directory.display()))
    }
}

/// A name that no other process anywhere is likely to have.
pub(crate) fn new_name(number: usize) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.chars().filter(|it| it.is_ascii_alphanumeric()).collect();
    let (process, now) = (std::process::id(), SystemClock::default().now().as_millis());
    format!("{host}-{process}-{now:x}-{number}")
}

#[cfg(test)]
mod tests {
    use super::Claim;

    #[test]
    fn names_are_apart_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let take = |program| Claim::take(directory.path(), program).unwrap();
        let (one, two, other) = (take("app"), take("app"), take("other"));
        assert_ne!(one.name, two.name);
        assert!(other.name.starts_with("other-"));
        let name = one.name.clone();
        drop(one);
        assert_eq!(take("app").name, name);
        assert_ne!(take("app").name, two.name);
    }
}
