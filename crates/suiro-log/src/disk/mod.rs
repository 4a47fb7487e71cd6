//! The disk: the only door through which the log reads and writes files.

mod drive;
mod faulty;
mod memory;
mod real;

pub use faulty::FaultyDisk;
pub use memory::MemoryDisk;
pub use real::RealDisk;

use std::io;
use std::path::Path;
use std::sync::Arc;
use suiro_core::{Error, ErrorKind};

/// A tree of files as the log needs it. Tests plug in one that crashes.
///
/// ```
/// use std::path::Path;
/// use suiro_log::{Disk, MemoryDisk, Mode};
///
/// let disk = MemoryDisk::new();
/// disk.create_dir(Path::new("data")).unwrap();
/// let file = disk.open(Path::new("data/a"), Mode::Create).unwrap();
/// file.write_at(0, b"water").unwrap();
/// file.sync_data().unwrap();
/// assert_eq!(disk.list(Path::new("data")).unwrap(), ["a"]);
/// ```
pub trait Disk: Send + Sync {
    /// Creates a directory and those above it; one that exists is left as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in its directory, in place of a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Who has it open keeps reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks the file at `path` for `holder` until the lock is dropped or the process ends.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locking>;
}

/// An open file.
///
/// ```
/// use suiro_log::{Disk, MemoryDisk, Mode};
///
/// let file = MemoryDisk::new().open("a".as_ref(), Mode::Create).unwrap();
/// file.write_at(2, b"x").unwrap();
/// let mut read = [9; 4];
/// assert_eq!(file.read_at(0, &mut read).unwrap(), 3);
/// assert_eq!(&read, b"\0\0x\x09");
/// ```
pub trait DiskFile: Send + Sync {
    /// Writes some of `bytes` at `position`, and says how many.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Reads some bytes at `position`, and says how many; 0 at the end of the file.
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    fn sync_data(&self) -> io::Result<()>;

    /// The number of bytes in the file.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// How to open a file.
///
/// ```
/// use suiro_log::{Disk, MemoryDisk, Mode};
///
/// let disk = MemoryDisk::new();
/// assert!(disk.open("a".as_ref(), Mode::Write).is_err());
/// assert!(disk.open("a".as_ref(), Mode::Create).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To read one that exists.
    Read,
    /// To read and write one that exists.
    Write,
    /// To read and write one that may not yet exist.
    Create,
}

/// The answer to [`Disk::lock`].
///
/// ```
/// use suiro_log::{Disk, Locking, MemoryDisk};
///
/// let disk = MemoryDisk::new();
/// let _ours = disk.lock("LOCK".as_ref(), "ann").unwrap();
/// let Locking::HeldBy(holder) = disk.lock("LOCK".as_ref(), "bob").unwrap() else { panic!() };
/// assert_eq!(holder, "ann");
/// ```
pub enum Locking {
    /// It is ours as long as this value lives.
    Held(Box<dyn Send + Sync>),
    /// Somebody else has it: the text that they left in the file.
    HeldBy(String),
}

/// Writes all of `bytes`, however many writes that takes.
pub(crate) fn write_all(file: &dyn DiskFile, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(at, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `into` as far as the file goes, and says how far that was.
pub(crate) fn read_full(file: &dyn DiskFile, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(at + filled as u64, &mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The whole content of a file; `None` if there is no such file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Mode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
    let filled = read_full(&*file, 0, &mut content)?;
    content.truncate(filled);
    Ok(Some(content))
}

/// Writes a file so that after a crash there is the old content or the new, never a mix.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let file = disk.open(&temporary, Mode::Create)?;
        file.truncate(0)?;
        write_all(&*file, 0, content)?;
        file.sync_data()
    })();
    if let Err(error) = written {
        // The next attempt overwrites what cannot be removed now.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// An I/O error as an error that says what to do and where.
pub(crate) fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, hint) = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
            (ErrorKind::Unavailable, ": the disk is full, free some space")
        }
        Io::PermissionDenied => (ErrorKind::Invalid, ": give this user the right to do it"),
        Io::ReadOnlyFilesystem => (ErrorKind::Invalid, ": the file system is read-only"),
        Io::NotFound => (ErrorKind::Invalid, ": it does not exist"),
        Io::NotADirectory | Io::IsADirectory | Io::AlreadyExists | Io::InvalidFilename => {
            (ErrorKind::Invalid, ": choose another directory")
        }
        Io::InvalidData | Io::UnexpectedEof => (ErrorKind::Corrupt, ""),
        _ => (ErrorKind::Unavailable, ""),
    };
    Error::new(kind, format!("cannot {action}{hint}"))
        .with("path", path.display())
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(disk: &dyn Disk, root: &Path) {
        let dir = root.join("a/b");
        disk.create_dir(&dir).unwrap();
        disk.create_dir(&dir).unwrap();
        let path = dir.join("x");
        assert!(disk.open(&path, Mode::Read).is_err());
        assert!(disk.open(&path, Mode::Write).is_err());
        let file = disk.open(&path, Mode::Create).unwrap();
        write_all(&*file, 0, b"hello").unwrap();
        write_all(&*file, 7, b"world").unwrap();
        assert_eq!(read_file(disk, &path).unwrap().unwrap(), b"hello\0\0world");
        file.truncate(2).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(&dir).unwrap();
        assert_eq!(file.size().unwrap(), 2);

        replace_file(disk, &path, b"new").unwrap();
        assert_eq!(disk.list(&dir).unwrap(), ["x"]);
        assert_eq!(read_file(disk, &path).unwrap().unwrap(), b"new");
        let mut old = [0; 4];
        assert_eq!(
            read_full(&*file, 0, &mut old).unwrap(),
            2,
            "an open file outlives its name"
        );

        disk.remove(&path).unwrap();
        assert_eq!(read_file(disk, &path).unwrap(), None);
        assert_eq!(disk.list(&dir).unwrap(), [""; 0]);
        assert!(disk.remove(&path).is_err());

        let lock = root.join("LOCK");
        let held = disk.lock(&lock, "first").unwrap();
        assert!(matches!(held, Locking::Held(_)));
        match disk.lock(&lock, "second").unwrap() {
            Locking::HeldBy(holder) => assert!(holder.contains("first"), "{holder}"),
            Locking::Held(_) => panic!("locked twice"),
        }
        drop(held);
        assert!(matches!(disk.lock(&lock, "third").unwrap(), Locking::Held(_)));
    }

    #[test]
    fn all_disks_agree() {
        let dir = tempfile::tempdir().unwrap();
        exercise(&RealDisk::new(), dir.path());
        exercise(&MemoryDisk::new(), Path::new("log"));
        exercise(&FaultyDisk::new(suiro_core::Seed::new(1)), Path::new("log"));
    }
}
