//! A directory that one process holds, with a database in it that is whole or made anew.

use super::failure::{advised, failed};
use fjall::{Database, PersistMode};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::park_timeout;
use std::time::Duration;
use suiro_core::{Error, ErrorKind, Result};

/// The file that is locked. What is in it says what its holder was doing when it died; nothing
/// is in it if the holder came to its end.
const LOCK: &str = "LOCK";
/// The directory of the database.
const ROWS: &str = "rows";

/// The database was being made: there is nothing in it yet.
const MAKING: &[u8; 6] = b"making";
/// The database was open: the end of its journal may be torn.
const OPEN: &[u8; 6] = b"opened";

/// How often the lock is tried, and how long it is waited for in between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// A database, and the directory that it is in.
pub(super) struct Home {
    pub(super) database: Database,
    held: Held,
}

impl Home {
    /// Takes the directory, made if it is not there, and opens its database with `open`.
    ///
    /// The rows are in the changelog, too. So a database that was not whole when its holder died
    /// is made anew. One that was closed and has changed since is refused: a human should know.
    pub(super) fn open(
        place: &Path,
        open: impl Fn(&Path) -> fjall::Result<Database>,
    ) -> Result<Self> {
        let (mut held, left) = Held::take(place)?;
        let rows = place.join(ROWS);
        let there = rows.try_exists().map_err(|error| unavailable(place, error))?;
        if there && left != MAKING {
            held.note(OPEN)?;
            match whole(&rows, &open) {
                Ok(database) => return Ok(Self { database, held }),
                Err(error) if error.kind() == ErrorKind::Corrupt && !left.is_empty() => {
                    let dir = place.display();
                    tracing::warn!(%dir, error = %error.report(), "the stores are built anew");
                }
                Err(error) => {
                    // What cannot be noted either is on a disk that is full, or worse.
                    let _ = held.note(&left);
                    return Err(error.with("dir", place.display()));
                }
            }
        }
        held.note(MAKING)?;
        if there {
            fs::remove_dir_all(&rows).map_err(|error| unavailable(place, error))?;
        }
        let made = whole(&rows, &open);
        let database = made.map_err(|error| error.with("dir", place.display()))?;
        held.note(OPEN)?;
        Ok(Self { database, held })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // It fails, too, if a write has failed before: then the end of the journal is torn.
        self.held.ends_well = self.database.persist(PersistMode::Buffer).is_ok();
    }
}

/// A directory that nobody else may use until this is dropped, which must come after the
/// database is closed.
struct Held {
    lock: File,
    place: PathBuf,
    /// There is nothing to be told to the next holder.
    ends_well: bool,
}

impl Held {
    /// Takes the lock, and gives what its last holder was doing.
    fn take(place: &Path) -> Result<(Self, Vec<u8>)> {
        let taken = fs::create_dir_all(place).and_then(|()| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).open(place.join(LOCK))
        });
        let mut lock = taken.map_err(|error| unavailable(place, error))?;
        let mut tries = 0;
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::Error(error) => return Err(unavailable(place, error)),
                // A process that is just being started by this one holds what this one has held.
                TryLockError::WouldBlock if tries < TRIES => park_timeout(PAUSE),
                TryLockError::WouldBlock => {
                    let text = "the directory of the stores is in use; end its holder, \
                                or choose another directory";
                    return Err(Error::unavailable(text).with("dir", place.display()));
                }
            }
            tries += 1;
        }
        let mut left = Vec::new();
        lock.read_to_end(&mut left).map_err(|error| unavailable(place, error))?;
        Ok((Self { lock, place: place.to_owned(), ends_well: false }, left))
    }

    /// Notes what is being done, so that it outlives the process and a loss of power.
    fn note(&mut self, doing: &[u8]) -> Result<()> {
        let noted = self.lock.rewind().and_then(|()| {
            self.lock.write_all(doing)?;
            self.lock.set_len(doing.len() as u64)?;
            self.lock.sync_all()
        });
        noted.map_err(|error| unavailable(&self.place, error))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.ends_well {
            // A note that stays is read as that of a crash, which does no harm.
            let _ = self.lock.set_len(0);
        }
    }
}

/// Opens the database. What reads its files panics at some kinds of damage.
fn whole(rows: &Path, open: impl Fn(&Path) -> fjall::Result<Database>) -> Result<Database> {
    const WHAT: &str = "cannot open the stores";
    match catch_unwind(AssertUnwindSafe(|| open(rows))) {
        Ok(opened) => opened.map_err(|cause| failed(WHAT, cause)),
        Err(_) => Err(Error::corrupt(advised(WHAT, ErrorKind::Corrupt))),
    }
}

fn unavailable(place: &Path, cause: io::Error) -> Error {
    let error = Error::unavailable("cannot use the directory of the stores");
    error.with("dir", place.display()).caused_by(cause)
}
