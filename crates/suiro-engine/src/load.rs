//! Loading stores from snapshots, on several threads.

use crate::graph::MakeState;
use crate::restore::stopped;
use crate::stores::{Restored, State};
use crate::worker::in_parallel;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use suiro_core::batch::batches;
use suiro_core::{Error, Offset, Result, TopicPartition};
use suiro_store::snapshot::{Manifest, Place, Run, RunFile, open_file};

/// How many rows are decoded before they are put into the store: few enough to be in the caches
/// still, many enough to wait for many places of memory at a time.
const BATCH: usize = 512;

/// A store that is to be loaded.
pub(crate) struct Load {
    /// Who asked for it: the task, and its replay.
    pub(crate) number: (usize, usize),
    pub(crate) partition: TopicPartition,
    /// The snapshots that it may be loaded from, the newest first.
    usable: Vec<Manifest>,
    make: MakeState,
    state: Mutex<Box<dyn State>>,
    /// Where the changelog goes on, and how many rows there are; nothing until it is loaded.
    pub(crate) loaded: Option<(Offset, u64)>,
    trouble: Mutex<Option<Trouble>>,
}

/// Why a store was not loaded.
enum Trouble {
    /// The snapshot cannot be read: an older one, or the changelog, will do.
    Snapshot(Error),
    /// The rows do not fit the store; neither would those of the changelog.
    Row(Error),
}

impl Load {
    pub(crate) fn new(
        number: (usize, usize),
        partition: TopicPartition,
        usable: Vec<Manifest>,
        make: MakeState,
        state: Box<dyn State>,
    ) -> Self {
        let (state, trouble) = (Mutex::new(state), Mutex::default());
        Self { number, partition, usable, make, state, loaded: None, trouble }
    }

    pub(crate) fn into_state(self) -> Box<dyn State> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rows the newest snapshot has.
    pub(crate) fn rows(&self) -> u64 {
        let runs = self.usable.first().into_iter().flat_map(|newest| &newest.runs);
        runs.map(Run::rows).sum()
    }

    /// Where the changelog goes on behind the newest snapshot.
    pub(crate) fn offset(&self) -> Offset {
        self.usable.first().map_or(0, |newest| newest.offset)
    }

    fn fail(&self, trouble: Trouble) {
        *lock(&self.trouble) = Some(trouble);
    }

    /// Takes all records of a file.
    fn file(&self, place: &Place, file: &RunFile) -> std::result::Result<(), Trouble> {
        let damaged = |error: Error| {
            let name = format!("{} of {}", file.hash, self.partition);
            let text = "file of a snapshot is damaged";
            Trouble::Snapshot(Error::corrupt(text).with("file", name).caused_by(error))
        };
        let bytes = open_file(place, &self.partition, file).map_err(Trouble::Snapshot)?;
        let misfit = |error: Error| {
            let error = Error::new(error.kind(), "cannot restore a row of a snapshot")
                .with("changelog", &self.partition)
                .with("file", &file.hash)
                .caused_by(error);
            Trouble::Row(error)
        };
        let mut loader = lock(&self.state).loader();
        let (mut count, mut kept) = (0, 0);
        for batch in batches(bytes) {
            let records = batch.and_then(|batch| batch.records()).map_err(damaged)?;
            for record in &records {
                let record = record.map_err(damaged)?;
                let Some(key) = record.key else { continue };
                let headers = &record.headers.to_headers().map_err(damaged)?;
                let (value, at) = (record.value, record.at);
                let row = Restored { key, value, at, headers, from_source: false };
                count += 1;
                let Some(loader) = &mut loader else {
                    lock(&self.state).restore(row).map_err(misfit)?;
                    continue;
                };
                loader.decode(row).map_err(misfit)?;
                kept += 1;
                if kept == BATCH {
                    loader.load(&mut **lock(&self.state));
                    kept = 0;
                }
            }
        }
        if let Some(loader) = &mut loader {
            loader.load(&mut **lock(&self.state));
        }
        if count == file.rows {
            return Ok(());
        }
        let error = Error::corrupt("rows are missing").with("rows", count);
        Err(damaged(error.with("expected", file.rows)))
    }
}

/// Foreign code that panics under this lock ends the whole of restoring.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Loads every store from the newest of its snapshots that is whole; a store without one is left
/// empty. The runs of a snapshot are taken one after another, their files in any order: within a
/// run every key is there once. `tell` is told of records and bytes, and says whether to go on.
pub(crate) fn load_all(
    place: &Place,
    loads: &mut [Load],
    threads: usize,
    tell: &Tell<'_>,
) -> Result<()> {
    loop {
        let due = |load: &Load| load.loaded.is_none() && !load.usable.is_empty();
        let levels = loads.iter().filter(|load| due(load));
        let levels = levels.map(|load| load.usable[0].runs.len()).max();
        let Some(levels) = levels else { return Ok(()) };
        for load in loads.iter().filter(|load| due(load)) {
            let rows = load.usable[0].runs.first().map_or(0, Run::rows);
            lock(&load.state).reserve(rows as usize);
        }
        for level in 0..levels {
            let mut files = Vec::new();
            for load in loads.iter().filter(|load| due(load)) {
                if let Some(run) = load.usable[0].runs.get(level) {
                    let count = run.files.len();
                    // Files of different stores take turns, so that threads rarely meet.
                    let turn = move |at: usize| at * (1 << 20) / count;
                    let of_run = run.files.iter().enumerate();
                    files.extend(of_run.map(|(at, file)| (turn(at), load, file)));
                }
            }
            files.sort_by_key(|(turn, ..)| *turn);
            if !share(place, &files, threads, tell) {
                return Err(stopped());
            }
        }
        for load in loads.iter_mut().filter(|load| due(load)) {
            match lock(&load.trouble).take() {
                None => {
                    load.loaded = Some((load.offset(), load.rows()));
                }
                Some(Trouble::Row(error)) => return Err(error),
                Some(Trouble::Snapshot(error)) => {
                    tracing::warn!(error = %error.report(), "snapshot is not used");
                    load.usable.remove(0);
                    *lock(&load.state) = (load.make)();
                }
            }
        }
    }
}

/// Is told of records and bytes that were read, and says whether to go on.
type Tell<'a> = dyn Fn(u64, u64) -> bool + Sync + 'a;

/// Has `threads` threads take the files; gives whether they came to the end.
fn share(
    place: &Place,
    files: &[(usize, &Load, &RunFile)],
    threads: usize,
    tell: &Tell<'_>,
) -> bool {
    let (next, goes_on) = (AtomicUsize::new(0), AtomicBool::new(true));
    in_parallel(threads.min(files.len()), || {
        while let Some((_, load, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !goes_on.load(Ordering::Relaxed) {
                return;
            }
            if lock(&load.trouble).is_some() {
                continue;
            }
            if let Err(trouble) = load.file(place, file) {
                load.fail(trouble);
            }
            if !tell(file.rows, file.bytes) {
                goes_on.store(false, Ordering::Relaxed);
            }
        }
    });
    goes_on.into_inner()
}
