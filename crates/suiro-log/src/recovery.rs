//! Recovery: from the files of a log to its last committed state.
//!
//! The checkpoint says what was committed when its journal began; the frames of the journals
//! from there on say the rest. A torn tail of the last journal is cut, since nothing of it was
//! ever acknowledged; damage anywhere else is refused.

use crate::catalog::topics_dir;
use crate::checkpoint::{Capture, Checkpoint, checkpoint_path};
use crate::core::Core;
use crate::disk::{Disk, Mode, failed, read_file, write_all};
use crate::frame::{Frame, HEAD};
use crate::journal::{JOURNAL_HEAD, Journal, journal_dir, journal_path, journals, read_head};
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::mark::Mark;
use crate::options::LogOptions;
use crate::partition::Partition;
use crate::segment::damaged;
use crate::view::{View, ViewState};
use crate::walk::{Front, peek};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::{Error, Result};

/// Opens the log in `root`, whose lock is held.
pub(crate) fn recover(root: &Path, options: LogOptions) -> Result<Core> {
    let disk = Arc::clone(&options.disk);
    let numbers = journals(&*disk, root);
    let numbers =
        numbers.map_err(|error| failed("list the journals", &journal_dir(root), error))?;
    let checkpoint = match Checkpoint::load(&*disk, root)? {
        Some(checkpoint) => checkpoint,
        None if is_unborn(&*disk, root, &numbers)? => Checkpoint::default(),
        None => {
            return Err(Error::corrupt("checkpoint is missing: restore it from a copy")
                .with("file", checkpoint_path(root).display())
                .with("position", 0));
        }
    };
    let view = View::new(Arc::clone(&disk), root.to_path_buf());
    checkpoint.restore_records(&view);
    checkpoint.restore_groups(&view);
    cut_segments(&view)?;

    let replayed = Replay { disk: &*disk, root, number: checkpoint.number };
    let (frames, last, end) = replayed.journals(&checkpoint, &numbers)?;
    let next = last + 1;
    let journal = Journal::create(&*disk, root, next, end)?;
    let mark = Mark::open(&*disk, root, Mode::Create)?;
    let ledger = Ledger::new(journal, checkpoint.number, mark);
    let core = Core::new(view, options, ledger, Keeper::default());
    let number = replay(&core, frames)?;

    let capture = Capture::take(&core.view, next, number)?;
    capture.sync(&core.view)?;
    capture.checkpoint.store(&*disk, root)?;
    core.ledger().begin();
    core.keeper().clean_up(&core, &capture.checkpoint)?;
    Ok(core)
}

/// Whether a log was about to be created here, and nothing was ever committed. The journals of
/// one that lives do not begin with the first for long, and no topic is older than a checkpoint.
fn is_unborn(disk: &dyn Disk, root: &Path, numbers: &[u64]) -> Result<bool> {
    let topics = disk.list(&topics_dir(root)).unwrap_or_default();
    if numbers.first().is_some_and(|first| *first > 1) || !topics.is_empty() {
        return Ok(false);
    }
    for number in numbers {
        let path = journal_path(root, *number);
        let size = disk.open(&path, Mode::Read).and_then(|file| file.size());
        if size.map_err(|error| failed("read", &path, error))? > JOURNAL_HEAD {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cuts the segments to what the checkpoint knows, and removes files that it does not.
fn cut_segments(view: &View) -> Result<()> {
    let state: &ViewState = &view.read();
    for partition in state.catalog.partitions() {
        let mut names = BTreeSet::new();
        for segment in &partition.state().segments {
            let meta = &segment.meta;
            names.insert(meta.name());
            names.insert(meta.name().replace(".log", ".index"));
            if meta.bytes > 0 {
                cut_segment(&*view.disk, &segment.path(&partition.dir), meta.bytes)?;
            }
        }
        remove_others(&*view.disk, partition, &names);
    }
    Ok(())
}

fn cut_segment(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<()> {
    let file = match disk.open(path, Mode::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(path, 0).caused_by(error));
        }
        Err(error) => return Err(failed("open a segment for writing", path, error)),
    };
    let error = |error| failed("cut a segment", path, error);
    let size = file.size().map_err(error)?;
    if size < bytes {
        return Err(damaged(path, size));
    }
    if size > bytes {
        file.truncate(bytes).map_err(error)?;
    }
    Ok(())
}

fn remove_others(disk: &dyn Disk, partition: &Partition, names: &BTreeSet<String>) {
    // A directory that does not exist holds nothing to remove.
    for name in disk.list(&partition.dir).unwrap_or_default() {
        if !names.contains(&name) {
            // It does no harm if it stays.
            let _ = disk.remove(&partition.dir.join(name));
        }
    }
}

/// Reads journals.
struct Replay<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    number: u64,
}

/// A frame and its data.
type Committed = (PathBuf, Frame, Bytes);

impl Replay<'_> {
    /// The frames from the checkpoint on, the number of the last journal and its end.
    fn journals(
        mut self,
        checkpoint: &Checkpoint,
        numbers: &[u64],
    ) -> Result<(Vec<Committed>, u64, u64)> {
        let numbers: Vec<u64> =
            numbers.iter().copied().filter(|number| *number >= checkpoint.journal).collect();
        let mut frames = Vec::new();
        let (mut last, mut end) = (checkpoint.journal.saturating_sub(1), JOURNAL_HEAD);
        for (at, number) in numbers.iter().enumerate() {
            let expected = checkpoint.journal.max(1) + at as u64;
            if *number != expected {
                return Err(self.missing(expected));
            }
            let is_last = at + 1 == numbers.len();
            let before = match numbers.get(at + 1) {
                Some(next) => self.length_before(*next)?,
                None => None,
            };
            if is_last && !self.has_head(*number)? {
                // The crash came while this journal was created.
                break;
            }
            end = self.journal(*number, before, &mut frames)?;
            last = *number;
        }
        if numbers.is_empty() && checkpoint.journal > 0 {
            return Err(self.missing(checkpoint.journal));
        }
        Ok((frames, last, end))
    }

    fn missing(&self, number: u64) -> Error {
        Error::corrupt("journal is missing: restore it from a copy")
            .with("file", journal_path(self.root, number).display())
            .with("position", 0)
    }

    /// How long the journal before journal `next` was; `None` if `next` was never begun.
    fn length_before(&self, next: u64) -> Result<Option<u64>> {
        let path = journal_path(self.root, next);
        let error = |error| failed("read a journal", &path, error);
        let file = self.disk.open(&path, Mode::Read).map_err(error)?;
        read_head(&*file, next).map_err(error)
    }

    fn has_head(&self, number: u64) -> Result<bool> {
        if self.length_before(number)?.is_some() {
            return Ok(true);
        }
        let path = journal_path(self.root, number);
        let size = self.disk.open(&path, Mode::Read).and_then(|file| file.size());
        match size.map_err(|error| failed("read a journal", &path, error))? > JOURNAL_HEAD {
            true => Err(damaged(&path, 0)),
            false => Ok(false),
        }
    }

    /// Reads the frames of one journal, which is `length` bytes long if it is not the last one,
    /// and gives its end.
    fn journal(
        &mut self,
        number: u64,
        length: Option<u64>,
        frames: &mut Vec<Committed>,
    ) -> Result<u64> {
        let path = journal_path(self.root, number);
        let error = |error| failed("read a journal", &path, error);
        let content = read_file(self.disk, &path).map_err(error)?;
        let mut content = Bytes::from(content.ok_or_else(|| self.missing(number))?);
        if let Some(length) = length {
            if (content.len() as u64) < length {
                return Err(damaged(&path, content.len() as u64));
            }
            content.truncate(length as usize);
        }
        let mut at = JOURNAL_HEAD as usize;
        let mut durable = 0;
        while at < content.len() {
            match self.frame(&content, number, at) {
                Some((frame, data)) => {
                    at += frame.len() as usize;
                    durable = frame.stamp.durable as usize;
                    self.number += 1;
                    frames.push((path.clone(), frame, data));
                }
                None if length.is_some() || was_durable(&content, number, at) => {
                    return Err(damaged(&path, at as u64));
                }
                None => break,
            }
        }
        // What was read may still be in the memory of the operating system alone, and the next
        // journal will say that this one is as long as that. It is written again: after a sync
        // that failed the system may believe that it has nothing to write.
        let file = self.disk.open(&path, Mode::Write).map_err(error)?;
        let believes = cfg!(suiro_mutant = "failed_sync_believed");
        let from = if believes { at } else { durable.min(at) };
        write_all(&*file, from as u64, &content[from..at])
            .and_then(|()| file.sync_data())
            .map_err(|error| failed("make a journal durable", &path, error))?;
        Ok(at as u64)
    }

    /// The frame at `at`, if it is whole and sound.
    fn frame(&self, content: &Bytes, number: u64, at: usize) -> Option<(Frame, Bytes)> {
        let frame = Frame::decode(&content[at..], number, at as u64)?;
        let data_at = at + frame.data_at;
        let data_end = data_at.checked_add(usize::try_from(frame.data).ok()?)?;
        let data = (data_end <= content.len()).then(|| content.slice(data_at..data_end))?;
        (frame.stamp.number == self.number + 1 && is_sound(&frame, &data))
            .then_some((frame, data))
    }
}

/// Whether a frame's data are the batches that it announces.
fn is_sound(frame: &Frame, data: &[u8]) -> bool {
    if cfg!(suiro_mutant = "torn_tail_not_cut") {
        return true;
    }
    let mut rest = data;
    for append in &frame.entry.appends {
        let Some((mut batches, after)) = rest.split_at_checked(append.bytes as usize) else {
            return false;
        };
        rest = after;
        let mut next = append.base;
        while !batches.is_empty() {
            let Front::Whole(batch) = peek(batches) else { return false };
            if batch.base_offset != next || !crate::walk::is_sound(&batches[..batch.length]) {
                return false;
            }
            next = batch.next_offset();
            batches = &batches[batch.length..];
        }
        if next != append.next {
            return false;
        }
    }
    true
}

/// Whether a later frame proves that what is at `at` was once durable. If none does, it was not
/// acknowledged, or only without a promise that it is durable.
fn was_durable(content: &[u8], journal: u64, at: usize) -> bool {
    let mut from = at + 1;
    while let Some(candidate) = Frame::candidate(content, from) {
        let frame = Frame::decode(&content[candidate..], journal, candidate as u64);
        if frame.is_some_and(|frame| frame.stamp.durable > at as u64) {
            return true;
        }
        from = candidate + 1;
    }
    false
}

/// Applies frames, and gives the number of the last one.
fn replay(core: &Core, frames: Vec<Committed>) -> Result<u64> {
    let mut ledger = core.ledger();
    for (path, frame, data) in frames {
        for append in &frame.entry.appends {
            let end = core.view.read().catalog.at(append.place).map(|found| found.range().1);
            if end.is_none_or(|end| end > append.base) {
                return Err(damaged(&path, frame.stamp.position + HEAD as u64));
            }
        }
        ledger.number = frame.stamp.number;
        ledger.apply(core, &frame.entry, &data);
        ledger.settle(core)?;
    }
    Ok(ledger.number)
}
