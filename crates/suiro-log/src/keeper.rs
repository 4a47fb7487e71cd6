//! The keeper: it moves the journal forward and deletes what may go.

use crate::checkpoint::Checkpoint;
use crate::compaction::compact;
use crate::core::Core;
use crate::disk::failed;
use crate::journal::{journal_dir, journal_path, journals};
use crate::partition::Partition;
use crate::retention::retain;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use suiro_core::broker::Cleanup;
use suiro_core::{Error, Result};

/// What one keeper at a time needs.
#[derive(Default)]
pub(crate) struct Keeper {
    /// Files that no segment list names any more, to be removed after the next checkpoint.
    pub retired: Vec<PathBuf>,
    /// Topics that were removed, and whose files are gone, too.
    cleared: BTreeSet<u32>,
}

impl Keeper {
    /// Begins a new journal, makes the segments durable up to it, and drops the older ones.
    pub fn checkpoint(&mut self, core: &Core) -> Result<()> {
        let capture = core.ask(|core, ledger| ledger.rotate(core))?;
        if let Err(error) = capture.sync(&core.view) {
            // Nobody knows what of the segments the disk has.
            let copy = Error::new(error.kind(), error.report());
            core.ask(move |_, ledger| {
                ledger.poison(&copy);
                Ok(())
            })?;
            return Err(error);
        }
        capture.checkpoint.store(&*core.view.disk, &core.view.root)?;
        self.clean_up(core, &capture.checkpoint)
    }

    /// Removes the files that the checkpoint made superfluous.
    pub fn clean_up(&mut self, core: &Core, checkpoint: &Checkpoint) -> Result<()> {
        let (disk, root) = (&*core.view.disk, &core.view.root);
        for path in self.retired.drain(..) {
            // A file that stays is removed when the log is opened again.
            let _ = disk.remove(&path);
            let _ = disk.remove(&path.with_extension("index"));
        }
        for (number, (spec, _)) in (0..).zip(&checkpoint.topics) {
            if spec.partitions == 0 && self.cleared.insert(number) {
                clear(core, number);
            }
        }
        let error = |error| failed("list the journals", &journal_dir(root), error);
        for old in journals(disk, root).map_err(error)? {
            if old < checkpoint.journal {
                let path = journal_path(root, old);
                disk.remove(&path).map_err(|error| failed("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// Deletes what retention and compaction may take.
    pub fn maintain(&mut self, core: &Core) -> Result<()> {
        let partitions: Vec<Arc<Partition>> =
            core.view.read().catalog.partitions().cloned().collect();
        let mut gone = Vec::new();
        let mut result = Ok(());
        for partition in &partitions {
            result = result.and(retain(core, partition).map(|paths| gone.extend(paths)));
            if partition.cleanup == Cleanup::Compact {
                result = result.and(compact(core, partition).map(|paths| gone.extend(paths)));
            }
        }
        if !gone.is_empty() {
            self.retired.extend(gone);
            self.checkpoint(core)?;
        }
        result
    }
}

/// Removes the files of a topic that no checkpoint names any more.
fn clear(core: &Core, topic: u32) {
    let disk = &*core.view.disk;
    let state = core.view.read();
    let Some(dir) = state.catalog.topics().get(topic as usize).map(|topic| topic.dir.clone())
    else {
        return;
    };
    drop(state);
    // Files that stay are removed when the log is opened again; a topic that never had a record
    // has no directory.
    for partition in disk.list(&dir).unwrap_or_default() {
        let dir = dir.join(partition);
        for file in disk.list(&dir).unwrap_or_default() {
            let _ = disk.remove(&dir.join(file));
        }
    }
}
