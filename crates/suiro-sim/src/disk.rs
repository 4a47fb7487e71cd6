//! The disk of a world: every effect on it is counted, and may be the last one of the process.

use crate::fault::{Fault, FileKind, Verb};
use crate::world::World;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_log::{Disk, DiskFile, FaultyDisk, Locking, Mode};

/// A disk that tells the world what is done to it.
pub(crate) struct SimDisk {
    world: World,
    disk: FaultyDisk,
}

impl SimDisk {
    pub(crate) fn new(world: &World) -> Self {
        let disk = world.state().disk.clone();
        Self { world: world.clone(), disk }
    }

    /// Does something that changes the disk. A process that dies of it learns nothing more; a
    /// loss of power may leave half of it.
    fn effect<T>(
        &self,
        verb: Verb,
        kind: FileKind,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let dies = self.world.state().effect(verb, kind)?;
        let done = act();
        if dies { Err(io::Error::other("the process is dead")) } else { done }
    }

    fn look<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.world.state().death.is_some() {
            return Err(io::Error::other("the process is dead"));
        }
        act()
    }
}

/// What kind of file is at a path.
fn kind_of(path: &Path) -> FileKind {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is = |end: &str| name.ends_with(end);
    if is(".journal") {
        FileKind::Journal
    } else if is(".log") {
        FileKind::Segment
    } else if is(".index") {
        FileKind::Index
    } else if name.starts_with("CHECKPOINT") {
        FileKind::Checkpoint
    } else if name.starts_with("COMMITTED") {
        FileKind::Mark
    } else {
        FileKind::Other
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        // Directories that exist are no effect.
        if self.disk.list(path).is_ok() {
            return self.look(|| Ok(()));
        }
        self.effect(Verb::Create, FileKind::Directory, || self.disk.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.look(|| self.disk.list(path))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let kind = kind_of(path);
        let open = || self.disk.open(path, mode);
        let is_new = mode == Mode::Create && self.disk.open(path, Mode::Read).is_err();
        let file =
            if is_new { self.effect(Verb::Create, kind, open) } else { self.look(open) }?;
        let disk = Self { world: self.world.clone(), disk: self.disk.clone() };
        Ok(Arc::new(SimFile { disk, kind, path: path.to_path_buf(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.effect(Verb::Rename, kind_of(to), || self.disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.disk.open(path, Mode::Read).is_err() {
            return self.look(|| self.disk.remove(path));
        }
        self.effect(Verb::Remove, kind_of(path), || self.disk.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.effect(Verb::SyncDir, FileKind::Directory, || self.disk.sync_dir(path))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locking> {
        self.look(|| self.disk.lock(path, holder))
    }
}

struct SimFile {
    disk: SimDisk,
    kind: FileKind,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for SimFile {
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        let write = || self.file.write_at(position, bytes);
        let written = self.disk.effect(Verb::Write, self.kind, write)?;
        // Zeros that are written ahead are no frame.
        if self.kind == FileKind::Journal && bytes.iter().any(|byte| *byte != 0) {
            self.disk.world.state().framed(&self.path, position + written as u64);
        }
        Ok(written)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.world.state().effect(Verb::Read, self.kind)?;
        let read = self.file.read_at(position, into);
        if read.is_err() {
            self.disk.world.state().counts.struck(Fault::ReadErrors);
        }
        read
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.effect(Verb::Sync, self.kind, || self.file.sync_data())?;
        self.disk.world.state().synced(&self.path);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.look(|| self.file.size())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.disk.effect(Verb::Truncate, self.kind, || self.file.truncate(size))?;
        self.disk.world.state().cut(&self.path, size);
        Ok(())
    }
}
