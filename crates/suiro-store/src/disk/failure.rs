//! Errors of the database, by what to do about them.

use fjall::LsmError;
use std::io;
use suiro_core::{Error, ErrorKind};

/// The error of a database that could not do `what`.
pub(super) fn failed(what: &str, cause: fjall::Error) -> Error {
    use fjall::Error::{Io, Locked, Poisoned, Storage};
    match cause {
        Io(cause) | Storage(LsmError::Io(cause)) => {
            Error::new(kind(&cause), advised(what, kind(&cause))).caused_by(cause)
        }
        Locked => Error::unavailable(what).caused_by(cause),
        // What failed was written to the log of the process only, if that.
        Poisoned => Error::unavailable(format!(
            "{what}: one that was made beside the work failed, as on a full disk; start again"
        )),
        cause => Error::corrupt(advised(what, ErrorKind::Corrupt)).caused_by(cause),
    }
}

/// What could not be done, and what to do about it.
pub(super) fn advised(what: &str, kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Corrupt => format!("{what}; delete its directory, and it is built anew"),
        _ => what.to_owned(),
    }
}

/// A file that is gone or too short is damage; all else is what a disk does that is full, or is
/// not there for a while.
fn kind(cause: &io::Error) -> ErrorKind {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match cause.kind() {
        InvalidData | NotFound | UnexpectedEof => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    }
}
