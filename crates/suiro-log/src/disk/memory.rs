//! A disk in memory: as fast as it gets, and gone with the process.

use super::{Disk, DiskFile, Locking, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Files in memory. A clone is the same disk.
///
/// ```
/// use suiro_log::{Disk, MemoryDisk, Mode};
///
/// let disk = MemoryDisk::new();
/// let same = disk.clone();
/// disk.open("a".as_ref(), Mode::Create).unwrap();
/// assert!(same.open("a".as_ref(), Mode::Read).is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Tree>>);

#[derive(Debug, Default)]
struct Tree {
    dirs: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    locks: BTreeMap<PathBuf, String>,
}

#[derive(Debug, Default)]
struct MemoryFile(RwLock<Vec<u8>>);

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.tree().dirs.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        if !tree.dirs.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names_in(path, tree.dirs.iter().chain(tree.files.keys())))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = self.tree();
        if mode == Mode::Create {
            return Ok(Arc::clone(tree.files.entry(path.to_path_buf()).or_default()) as _);
        }
        match tree.files.get(path) {
            Some(file) => Ok(Arc::clone(file) as _),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.tree().files.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locking> {
        let mut tree = self.tree();
        if let Some(holder) = tree.locks.get(path) {
            return Ok(Locking::HeldBy(holder.clone()));
        }
        tree.locks.insert(path.to_path_buf(), holder.to_owned());
        Ok(Locking::Held(Box::new(Lock { disk: self.clone(), path: path.to_path_buf() })))
    }
}

/// The names right below `dir` among `paths`.
pub(super) fn names_in<'a>(
    dir: &Path,
    paths: impl Iterator<Item = &'a PathBuf>,
) -> Vec<String> {
    let inside = paths.filter(|path| path.parent() == Some(dir));
    let names = inside.filter_map(|path| path.file_name());
    let mut names: Vec<String> =
        names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

struct Lock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.tree().locks.remove(&self.path);
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.0.write().unwrap_or_else(PoisonError::into_inner);
        put(&mut content, position, bytes)?;
        Ok(bytes.len())
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        let content = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(get(&content, position, into))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(io::Error::other)?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).resize(size, 0);
        Ok(())
    }
}

/// Writes `bytes` at `position` of `content`; a hole before them reads as zeros.
pub(super) fn put(content: &mut Vec<u8>, position: u64, bytes: &[u8]) -> io::Result<()> {
    let start = usize::try_from(position).map_err(io::Error::other)?;
    if start > content.len() {
        content.resize(start, 0);
    }
    let over = bytes.len().min(content.len() - start);
    content[start..start + over].copy_from_slice(&bytes[..over]);
    content.extend_from_slice(&bytes[over..]);
    Ok(())
}

/// Reads what `content` has at `position`.
pub(super) fn get(content: &[u8], position: u64, into: &mut [u8]) -> usize {
    let start = usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
    let count = into.len().min(content.len() - start);
    into[..count].copy_from_slice(&content[start..start + count]);
    count
}
