//! A disk for tests: it crashes and keeps only what it promised to keep, and less of the rest
//! than anybody hopes.

use super::drive::{Change, Content, Drive, NameChange, Node, apply_name};
use super::memory::{get, names_in, put};
use super::{Disk, DiskFile, Locking, Mode};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro_core::Seed;

/// A disk in memory whose crashes lose what was not made durable. A clone is the same disk.
///
/// At a crash each file keeps what was synced and, independently of the other files, none, all
/// or some of what was not: the front of it, torn at any byte, or single writes in any order.
/// New names, renames and removals of a directory are kept up to some point after its last
/// sync. Files that were open before the crash answer every call with an error.
///
/// ```
/// use std::path::Path;
/// use suiro_core::Seed;
/// use suiro_log::{Disk, FaultyDisk, Mode};
///
/// let disk = FaultyDisk::new(Seed::new(7));
/// let file = disk.open(Path::new("a"), Mode::Create).unwrap();
/// file.write_at(0, b"kept").unwrap();
/// file.sync_data().unwrap();
/// disk.sync_dir(Path::new("")).unwrap();
/// file.write_at(4, b", or not").unwrap();
/// disk.crash();
///
/// assert!(file.size().is_err());
/// let file = disk.open(Path::new("a"), Mode::Read).unwrap();
/// let mut start = [0; 4];
/// file.read_at(0, &mut start).unwrap();
/// assert_eq!(&start, b"kept");
/// ```
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<Drive>>);

impl FaultyDisk {
    /// An empty disk; `seed` decides what a crash keeps.
    pub fn new(seed: Seed) -> Self {
        Self(Arc::new(Mutex::new(Drive::new(seed))))
    }

    fn drive(&self) -> MutexGuard<'_, Drive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the power off and on again.
    pub fn crash(&self) {
        self.drive().crash();
    }

    /// Ends the process that uses the disk, as SIGKILL would: what was written stays, whether
    /// it was synced or not.
    pub fn kill(&self) {
        let mut drive = self.drive();
        drive.crashes += 1;
        drive.locks.clear();
        drive.off = false;
        drive.off_after = None;
    }

    /// Turns the power off after so many further operations that change something; the last
    /// one may be done in part. Then everything fails until [`FaultyDisk::crash`].
    pub fn power_off_after(&self, operations: u64) {
        self.drive().off_after = Some(operations);
    }

    /// How many operations changed something so far.
    pub fn operations(&self) -> u64 {
        self.drive().operations
    }

    /// Makes the disk full at so many bytes; `None` makes it endless.
    pub fn limit(&self, bytes: Option<u64>) {
        self.drive().limit = bytes;
    }

    /// How many bytes the files take.
    pub fn used(&self) -> u64 {
        self.drive().used()
    }

    /// Lets so many of the next syncs of files fail. What they should have made durable never
    /// will be, whatever a later sync says.
    pub fn fail_syncs(&self, count: u64) {
        self.drive().failing_syncs = count;
    }

    /// Whether a write may write less than it was asked to.
    pub fn short_writes(&self, short: bool) {
        self.drive().short_writes = short;
    }

    /// Whether reads fail.
    pub fn fail_reads(&self, fail: bool) {
        self.drive().failing_reads = fail;
    }

    /// Lets everything that changes something fail in this way, as a file system that is
    /// read-only does; `None` ends that.
    pub fn deny(&self, kind: Option<io::ErrorKind>) {
        self.drive().denied = kind;
    }

    /// Changes the byte at `position` of a file, durably.
    pub fn damage(&self, path: &Path, position: u64) -> io::Result<()> {
        let mut drive = self.drive();
        let file = drive.file(path)?;
        let content = &mut drive.files[file];
        let at = usize::try_from(position).map_err(io::Error::other)?;
        for bytes in [&mut content.now, &mut content.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
        }
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut drive = self.drive();
        drive.check_power()?;
        let mut dirs: Vec<&Path> =
            path.ancestors().filter(|dir| *dir != Path::new("")).collect();
        dirs.reverse();
        for dir in dirs {
            if !drive.names.contains_key(dir) {
                let above = dir.parent().unwrap_or(Path::new(""));
                drive.change_name(above, NameChange::Put(dir.to_path_buf(), Node::Dir))?;
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let drive = self.drive();
        drive.check_power()?;
        if drive.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names_in(path, drive.names.keys()))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut drive = self.drive();
        drive.check_power()?;
        let file = match drive.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && mode == Mode::Create => {
                let dir = path.parent().unwrap_or(Path::new(""));
                if dir != Path::new("") && drive.names.get(dir) != Some(&Node::Dir) {
                    return Err(error);
                }
                let file = drive.files.len();
                drive.files.push(Content::default());
                let change = NameChange::Put(path.to_path_buf(), Node::File(file));
                drive.change_name(dir, change)?;
                file
            }
            found => found?,
        };
        let crashes = drive.crashes;
        Ok(Arc::new(FaultyFile { disk: self.clone(), file, crashes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut drive = self.drive();
        let node = Node::File(drive.file(from)?);
        let change = NameChange::Rename(from.to_path_buf(), to.to_path_buf(), node);
        drive.change_name(from.parent().unwrap_or(Path::new("")), change)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut drive = self.drive();
        drive.file(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        drive.change_name(dir, NameChange::Remove(path.to_path_buf()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut drive = self.drive();
        if drive.operate()? {
            return drive.check_power();
        }
        for change in drive.renamed.remove(path).unwrap_or_default() {
            apply_name(&mut drive.durable_names, &change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locking> {
        let mut drive = self.drive();
        drive.operate()?;
        if let Some(holder) = drive.locks.get(path) {
            return Ok(Locking::HeldBy(holder.clone()));
        }
        drive.locks.insert(path.to_path_buf(), holder.to_owned());
        let (disk, crashes) = (self.clone(), drive.crashes);
        Ok(Locking::Held(Box::new(Lock { disk, path: path.to_path_buf(), crashes })))
    }
}

struct Lock {
    disk: FaultyDisk,
    path: PathBuf,
    crashes: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut drive = self.disk.drive();
        if drive.crashes == self.crashes {
            drive.locks.remove(&self.path);
        }
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
    crashes: u64,
}

impl FaultyFile {
    /// The drive, if this file was opened since its last crash.
    fn drive(&self) -> io::Result<MutexGuard<'_, Drive>> {
        let drive = self.disk.drive();
        drive.check_power()?;
        if drive.crashes > self.crashes {
            return Err(io::Error::other("file was open at a crash"));
        }
        Ok(drive)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut drive = self.drive()?;
        let goes_off = drive.operate()?;
        let mut count = bytes.len();
        if drive.short_writes && count > 1 {
            count = 1 + drive.seed.below(count as u64) as usize;
        }
        if let Some(limit) = drive.limit {
            let size = drive.files[self.file].now.len() as u64;
            let free = limit.saturating_sub(drive.used());
            let room = size.saturating_sub(position).saturating_add(free);
            count = count.min(usize::try_from(room).unwrap_or(usize::MAX));
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let content = &mut drive.files[self.file];
        put(&mut content.now, position, &bytes[..count])?;
        content.changes.push(Change::Write(position, bytes[..count].to_vec()));
        if goes_off { drive.check_power().map(|()| 0) } else { Ok(count) }
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        let drive = self.drive()?;
        if drive.failing_reads {
            return Err(io::Error::other("disk cannot be read"));
        }
        Ok(get(&drive.files[self.file].now, position, into))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut drive = self.drive()?;
        if drive.operate()? {
            return drive.check_power();
        }
        let fails = drive.failing_syncs > 0;
        drive.failing_syncs = drive.failing_syncs.saturating_sub(1);
        let content = &mut drive.files[self.file];
        for change in content.changes.drain(..) {
            match change {
                _ if fails => {}
                Change::Write(position, bytes) => put(&mut content.durable, position, &bytes)?,
                Change::Truncate(size) => content.durable.resize(size as usize, 0),
            }
        }
        if fails { Err(io::Error::other("disk failed")) } else { Ok(()) }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.drive()?.files[self.file].now.len() as u64)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut drive = self.drive()?;
        if drive.operate()? {
            return drive.check_power();
        }
        let content = &mut drive.files[self.file];
        content.now.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        content.changes.push(Change::Truncate(size));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_file, write_all};
    use std::collections::BTreeSet;

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_part_of_the_rest() {
        let mut endings = BTreeSet::new();
        for seed in 0..300 {
            let disk = FaultyDisk::new(Seed::new(seed));
            let (path, unsynced) = (Path::new("d/a"), Path::new("d/b"));
            disk.create_dir(Path::new("d")).unwrap();
            disk.sync_dir(Path::new("")).unwrap();
            let file = disk.open(path, Mode::Create).unwrap();
            write_all(&*file, 0, b"abc").unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("d")).unwrap();
            disk.open(unsynced, Mode::Create).unwrap();
            write_all(&*file, 3, b"de").unwrap();
            write_all(&*file, 5, b"fg").unwrap();
            disk.crash();
            let content = read_file(&disk, path).unwrap().unwrap();
            assert!(content.starts_with(b"abc"), "{content:?}");
            endings.insert((content, read_file(&disk, unsynced).unwrap().is_some()));
        }
        let all = |ending: &[u8]| endings.iter().any(|(content, _)| content == ending);
        assert!(all(b"abc") && all(b"abcd") && all(b"abcdefg") && all(b"abc\0\0fg"));
        assert!(endings.iter().any(|(_, kept)| *kept) && endings.iter().any(|(_, kept)| !kept));
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let disk = FaultyDisk::new(Seed::new(1));
        let file = disk.open(Path::new("a"), Mode::Create).unwrap();
        disk.limit(Some(3));
        assert_eq!(file.write_at(0, b"abcd").unwrap(), 3);
        let error = file.write_at(3, b"d").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(1, b"x").unwrap(), 1);
        disk.limit(None);
        assert_eq!((file.write_at(3, b"d").unwrap(), disk.used()), (1, 4));
    }

    #[test]
    fn after_the_power_went_off_nothing_works() {
        let disk = FaultyDisk::new(Seed::new(1));
        let file = disk.open(Path::new("a"), Mode::Create).unwrap();
        disk.power_off_after(1);
        file.write_at(0, b"abcd").unwrap();
        assert!(file.sync_data().is_err());
        assert!(file.size().is_err() && disk.open(Path::new("a"), Mode::Read).is_err());
        disk.crash();
        assert!(file.size().is_err());
        assert!(disk.open(Path::new("b"), Mode::Create).is_ok());
    }
}
