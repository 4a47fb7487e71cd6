//! What a faulty disk holds, and what is left of it after a crash.

use super::memory::put;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use suiro_core::Seed;

/// The files and names of a disk: as they are, and as a crash would leave them.
pub(super) struct Drive {
    pub seed: Seed,
    /// How often it crashed.
    pub crashes: u64,
    pub off: bool,
    pub off_after: Option<u64>,
    pub operations: u64,
    pub limit: Option<u64>,
    pub failing_syncs: u64,
    pub short_writes: bool,
    pub failing_reads: bool,
    pub denied: Option<io::ErrorKind>,
    pub files: Vec<Content>,
    pub names: BTreeMap<PathBuf, Node>,
    pub durable_names: BTreeMap<PathBuf, Node>,
    /// What was done to the names of a directory since its last sync.
    pub renamed: BTreeMap<PathBuf, Vec<NameChange>>,
    pub locks: BTreeMap<PathBuf, String>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Node {
    Dir,
    File(usize),
}

pub(super) enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

#[derive(Default)]
pub(super) struct Content {
    pub now: Vec<u8>,
    pub durable: Vec<u8>,
    pub changes: Vec<Change>,
}

pub(super) enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl Drive {
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            crashes: 0,
            off: false,
            off_after: None,
            operations: 0,
            limit: None,
            failing_syncs: 0,
            short_writes: false,
            failing_reads: false,
            denied: None,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    pub fn used(&self) -> u64 {
        let named = self.names.values().filter_map(|node| match node {
            Node::File(file) => Some(self.files[*file].now.len() as u64),
            Node::Dir => None,
        });
        named.sum()
    }

    pub fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub fn check_power(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("power is off")) } else { Ok(()) }
    }

    /// Counts an operation that changes something; whether the power goes off during it.
    pub fn operate(&mut self) -> io::Result<bool> {
        self.check_power()?;
        if let Some(kind) = self.denied {
            return Err(kind.into());
        }
        self.operations += 1;
        if let Some(left) = &mut self.off_after {
            if *left == 0 {
                self.off = true;
                return Ok(true);
            }
            *left -= 1;
        }
        Ok(false)
    }

    pub fn change_name(&mut self, dir: &Path, change: NameChange) -> io::Result<()> {
        if self.operate()? && self.seed.one_in(2) {
            return self.check_power();
        }
        apply_name(&mut self.names, &change);
        self.renamed.entry(dir.to_path_buf()).or_default().push(change);
        self.check_power()
    }

    pub fn crash(&mut self) {
        let Self { seed, files, durable_names, .. } = self;
        for changes in std::mem::take(&mut self.renamed).into_values() {
            let kept = seed.below(changes.len() as u64 + 1) as usize;
            for change in &changes[..kept] {
                apply_name(durable_names, change);
            }
        }
        // What is in a directory that was lost is lost.
        let dirs: BTreeSet<PathBuf> = durable_names.keys().cloned().collect();
        durable_names.retain(|path, _| {
            path.ancestors().skip(1).all(|dir| dir == Path::new("") || dirs.contains(dir))
        });
        for file in files {
            file.crash(seed);
        }
        self.names = self.durable_names.clone();
        self.locks.clear();
        self.crashes += 1;
        self.off = false;
        self.off_after = None;
    }
}

pub(super) fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => drop(names.insert(path.clone(), *node)),
        NameChange::Remove(path) => drop(names.remove(path)),
        NameChange::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl Content {
    pub fn crash(&mut self, seed: &mut Seed) {
        let changes = std::mem::take(&mut self.changes);
        let how = seed.below(4);
        let kept = match how {
            0 => 0,
            1 => changes.len(),
            _ => seed.below(changes.len() as u64 + 1) as usize,
        };
        for (at, change) in changes.iter().enumerate() {
            let keep = if how == 3 { seed.one_in(2) } else { at <= kept };
            let tear = how == 3 && seed.one_in(4) || how == 2 && at == kept;
            match change {
                _ if !keep || (how < 2 && at >= kept) => {}
                Change::Write(position, bytes) => {
                    let left = if tear {
                        seed.below(bytes.len() as u64 + 1) as usize
                    } else {
                        bytes.len()
                    };
                    put(&mut self.durable, *position, &bytes[..left])
                        .expect("what was written once can be written again");
                }
                Change::Truncate(size) => self.durable.resize(*size as usize, 0),
            }
        }
        self.now = self.durable.clone();
    }
}
