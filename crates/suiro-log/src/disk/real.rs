//! The disk of the machine.

use super::{Disk, DiskFile, Locking, Mode};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// The file system of the operating system.
///
/// ```
/// use suiro_log::{Disk, RealDisk};
///
/// let names = RealDisk::new().list(&std::env::temp_dir());
/// assert!(names.is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk(());

impl RealDisk {
    /// The file system of the operating system.
    pub fn new() -> Self {
        Self(())
    }
}

struct RealFile(File);

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read).create(mode == Mode::Create);
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Windows cannot open a directory as a file, and keeps names durable by itself.
        let path = if path == Path::new("") { Path::new(".") } else { path };
        if cfg!(windows) { Ok(()) } else { File::open(path)?.sync_all() }
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locking> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write_at(&file, 0, holder.as_bytes())?;
                Ok(Locking::Held(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.read_to_end(&mut text)?;
                Ok(Locking::HeldBy(String::from_utf8_lossy(&text).trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        write_at(&self.0, position, bytes)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        read_at(&self.0, position, into)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}

#[cfg(unix)]
fn write_at(file: &File, position: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, position)
}

#[cfg(unix)]
fn read_at(file: &File, position: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, position)
}

#[cfg(windows)]
fn write_at(file: &File, position: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, position)
}

#[cfg(windows)]
fn read_at(file: &File, position: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, position)
}
