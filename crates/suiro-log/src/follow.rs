//! Following a log that another process writes: its checkpoint, then its journals up to the
//! mark.

use crate::checkpoint::Checkpoint;
use crate::disk::{DiskFile, Mode, failed};
use crate::frame::{Append, Frame, HEAD};
use crate::journal::{JOURNAL_HEAD, journal_path, read_head};
use crate::mark::Mark;
use crate::recent::{Pieces, Recent};
use crate::segment::{damaged, read_at, walk};
use crate::view::View;
use crate::walk::whole_batches;
use std::io;
use std::path::Path;
use std::sync::Arc;
use suiro_core::{Error, Result, Timestamp};

/// An append of no more than this many bytes is one piece: its batches are not looked at.
const SMALL: u64 = 128 * 1024;
/// Bytes read to see the head and, mostly, the meta of a frame.
const PEEK: usize = 4096;
/// How often a file may be dropped by the writer while it is looked for.
const ATTEMPTS: usize = 100;

/// A journal's file and its path.
type OpenJournal = (Arc<dyn DiskFile>, Arc<Path>);

/// How far a reader has followed.
pub(crate) struct Follow {
    mark: Option<Mark>,
    journal: u64,
    file: Arc<dyn DiskFile>,
    path: Arc<Path>,
    position: u64,
    /// The number of the last commit that was taken up.
    number: u64,
}

impl Follow {
    /// Takes up the state of a log as its checkpoint has it.
    pub fn begin(view: &View) -> Result<Self> {
        let (checkpoint, (file, path)) = load(view)?;
        checkpoint.restore_records(view);
        checkpoint.restore_groups(view);
        Ok(Self {
            mark: Mark::open(&*view.disk, &view.root, Mode::Read).ok(),
            journal: checkpoint.journal,
            file,
            path,
            position: JOURNAL_HEAD,
            number: checkpoint.number,
        })
    }

    /// Takes up the newest checkpoint; what was taken up after it stays.
    pub fn reload(&mut self, view: &View) -> Result<()> {
        let (checkpoint, (file, path)) = load(view)?;
        self.restore(view, &checkpoint);
        self.journal = checkpoint.journal;
        (self.file, self.path, self.position) = (file, path, JOURNAL_HEAD);
        Ok(())
    }

    fn restore(&mut self, view: &View, checkpoint: &Checkpoint) {
        checkpoint.restore_records(view);
        if checkpoint.number > self.number {
            checkpoint.restore_groups(view);
            self.number = checkpoint.number;
        }
    }

    /// Up to where the log is committed, as its writer says.
    pub fn committed(&self) -> Option<(u64, u64)> {
        self.mark.as_ref()?.get()
    }

    /// Takes up what was committed meanwhile.
    pub fn refresh(&mut self, view: &View) -> Result<()> {
        if self.mark.is_none() {
            self.mark = Mark::open(&*view.disk, &view.root, Mode::Read).ok();
        }
        let Some((journal, position)) = self.committed() else { return Ok(()) };
        while self.journal < journal {
            match self.next_journal(view)? {
                Some(((file, path), before)) => {
                    self.read_to(view, before)?;
                    self.journal += 1;
                    (self.file, self.path, self.position) = (file, path, JOURNAL_HEAD);
                    // The segments now have what was read from older journals.
                    if let Some(checkpoint) = Checkpoint::load(&*view.disk, &view.root)? {
                        self.restore(view, &checkpoint);
                    }
                }
                None => self.reload(view)?,
            }
        }
        if self.journal == journal { self.read_to(view, position) } else { Ok(()) }
    }

    /// The journal after this one and how long this one is; `None` if it was dropped already.
    fn next_journal(&self, view: &View) -> Result<Option<(OpenJournal, u64)>> {
        let path = journal_path(&view.root, self.journal + 1);
        let error = |error| failed("read a journal", &path, error);
        let file = match view.disk.open(&path, Mode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(error(cause)),
        };
        let before = read_head(&*file, self.journal + 1).map_err(error)?;
        Ok(before.map(|before| ((file, path.into()), before)))
    }

    /// Takes up the frames of this journal up to `end`.
    fn read_to(&mut self, view: &View, end: u64) -> Result<()> {
        while self.position < end {
            let (file, path, at) = (&*self.file, &*self.path, self.position);
            let mut bytes = read_at(file, path, at, PEEK.max(HEAD), end)?;
            let needs = Frame::needs(&bytes).ok_or_else(|| damaged(path, at))?;
            if needs > bytes.len() {
                bytes = read_at(file, path, at, needs, end)?;
            }
            let frame = Frame::decode(&bytes, self.journal, at);
            let frame = frame.ok_or_else(|| damaged(path, at))?;
            if frame.stamp.number > self.number {
                self.take_up(view, &frame)?;
                self.number = frame.stamp.number;
            }
            self.position += frame.len();
        }
        Ok(())
    }

    fn take_up(&self, view: &View, frame: &Frame) -> Result<()> {
        let mut position = self.position + frame.data_at as u64;
        let mut pieces = Vec::with_capacity(frame.entry.appends.len());
        for append in &frame.entry.appends {
            pieces.push(self.pieces(append, frame.entry.at, position)?);
            position += append.bytes;
        }
        let mut pieces = pieces.into_iter();
        view.apply(&frame.entry, |_, _| pieces.next().unwrap_or_default(), |_, _| {});
        Ok(())
    }

    /// The batches of an append, which lie at `position`.
    fn pieces(&self, append: &Append, at: Timestamp, position: u64) -> Result<Vec<Recent>> {
        let mut pieces = Pieces::new(&self.file, &self.path, append.base, at, position);
        if append.bytes <= SMALL {
            pieces.push(append.bytes, append.next - append.base);
            return Ok(pieces.finish());
        }
        let end = position + append.bytes;
        walk(&*self.file, &self.path, position, end, |_, bytes| {
            let offsets = whole_batches(bytes).map(|batch| batch.offsets).sum();
            pieces.push(bytes.len() as u64, offsets);
            Ok(())
        })?;
        Ok(pieces.finish())
    }
}

/// The checkpoint and the journal that follows it. The writer may drop either meanwhile.
fn load(view: &View) -> Result<(Checkpoint, OpenJournal)> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let Some(checkpoint) = Checkpoint::load(&*view.disk, &view.root)? else {
            return Err(Error::invalid("there is no log here: name the directory of one")
                .with("dir", view.root.display()));
        };
        let path = journal_path(&view.root, checkpoint.journal);
        match view.disk.open(&path, Mode::Read) {
            Ok(file) => return Ok((checkpoint, (file, path.into()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                last = Some(damaged(&path, 0).caused_by(error));
            }
            Err(error) => return Err(failed("read a journal", &path, error)),
        }
    }
    Err(last.expect("the loop ran at least once"))
}
