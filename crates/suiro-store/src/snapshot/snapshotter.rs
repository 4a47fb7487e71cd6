//! The one step that makes a snapshot of a changelog partition.

use super::changelog::Changelog;
use super::find::{find, is_too_old};
use super::manifest::{self, Manifest, Run};
use super::merge::{due, merge};
use super::place::Place;
use super::sweep::sweep;
use super::tail::Tail;
use std::collections::HashMap;
use suiro_core::broker::Seek;
use suiro_core::{ErrorKind, Offset, Result, TopicPartition};

/// Is called between two pieces of work, about a mebibyte each: to wait, so that others have
/// their turn, and to say whether to go on.
pub type Pause<'a> = dyn FnMut() -> bool + 'a;

/// Makes the snapshots of one changelog partition.
///
/// It has no thread and no clock of its own: each call of [`Snapshotter::step`] makes one
/// snapshot, and what it does is a function of the log, the object store and the clock.
pub struct Snapshotter {
    place: Place,
    of: TopicPartition,
    /// What the next snapshot begins with, once it was looked for.
    base: Option<Base>,
    retired: bool,
}

/// How many runs are merged at once; each has a file in memory then.
const AT_ONCE: usize = 16;

/// The newest snapshot, if it is of use.
struct Base {
    epoch: u64,
    number: u64,
    newest: Option<Manifest>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing has been committed since the last snapshot.
    Unchanged,
    /// A snapshot was made.
    Taken(Taken),
    /// Somebody newer makes the snapshots of this partition; this one never will again.
    GaveWay,
    /// It was asked to stop, and nothing has changed.
    Stopped,
}

/// A snapshot that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The changelog offset up to which it goes.
    pub offset: Offset,
    /// Records in it; those of a key may be in several runs.
    pub rows: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Runs in it.
    pub runs: usize,
    /// Records that were read from the changelog for it.
    pub read: u64,
    /// Bytes that were not there before.
    pub added: u64,
}

impl Snapshotter {
    /// Makes the snapshots of the changelog partition `of`.
    ///
    /// ```
    /// use suiro_core::{Result, TopicPartition};
    /// use suiro_store::snapshot::{Changelog, Place, Snapshotter, Step};
    ///
    /// fn take(place: Place, of: TopicPartition, log: &mut dyn Changelog) -> Result<Step> {
    ///     Snapshotter::new(place, of).step(log, &mut || true)
    /// }
    /// ```
    pub fn new(place: Place, of: TopicPartition) -> Self {
        Self { place, of, base: None, retired: false }
    }

    /// The changelog partition.
    ///
    /// ```
    /// use suiro_core::TopicPartition;
    /// use suiro_store::snapshot::{Place, Snapshotter};
    ///
    /// fn of(place: Place) {
    ///     let counts = TopicPartition::new("app.counts.changelog", 0);
    ///     assert_eq!(*Snapshotter::new(place, counts.clone()).partition(), counts);
    /// }
    /// ```
    pub fn partition(&self) -> &TopicPartition {
        &self.of
    }

    /// Makes a snapshot of all that is committed now. After an error nothing has changed, but
    /// that there may be files which no manifest names; the next step begins with what is there.
    ///
    /// An error of kind `Corrupt` is damage in the log; damage in an older snapshot is mended by
    /// a snapshot that does without it. An error of kind `Invalid` says that the snapshots are
    /// those of another log; see [`find`].
    ///
    /// ```
    /// use suiro_core::Result;
    /// use suiro_store::snapshot::{Changelog, Snapshotter, Step};
    ///
    /// fn rows(snapshotter: &mut Snapshotter, log: &mut dyn Changelog) -> Result<u64> {
    ///     match snapshotter.step(log, &mut || true)? {
    ///         Step::Taken(taken) => Ok(taken.rows),
    ///         _ => Ok(0),
    ///     }
    /// }
    /// ```
    pub fn step(&mut self, log: &mut dyn Changelog, pause: &mut Pause<'_>) -> Result<Step> {
        if self.retired {
            return Ok(Step::GaveWay);
        }
        let base = match self.base.take() {
            Some(base) => base,
            None => self.begin(log)?,
        };
        let mut step = self.extend(base, log, pause);
        // Merging reads files that nobody looked into since they were written.
        if let Err(error) = &step
            && error.kind() == ErrorKind::Corrupt
            && let Some(base) = self.base.take().filter(|base| base.newest.is_some())
        {
            tracing::warn!(error = %error.report(), "the next snapshot begins anew");
            step = self.extend(Base { newest: None, ..base }, log, pause);
        }
        if step.is_err() {
            // What was written may be there all the same: the next step looks.
            self.base = None;
        }
        step
    }

    /// Looks for what there is. An older snapshot is of use if its files are all there.
    fn begin(&self, log: &mut dyn Changelog) -> Result<Base> {
        let found = find(&self.place, &self.of, log)?;
        let files = self.place.objects.list(&self.place.runs(&self.of))?;
        let sizes: HashMap<_, _> =
            files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        let is_whole = |manifest: &Manifest| {
            let mut files = manifest.runs.iter().flat_map(|run| &run.files);
            files.all(|file| {
                let name = self.place.file(&self.of, &file.hash);
                sizes.get(name.as_str()) == Some(&file.bytes)
            })
        };
        let newest = found.usable.into_iter().find(is_whole);
        Ok(Base { epoch: found.epoch + 1, number: found.newest, newest })
    }

    fn extend(
        &mut self,
        base: Base,
        log: &mut dyn Changelog,
        pause: &mut Pause<'_>,
    ) -> Result<Step> {
        let (place, of) = (self.place.clone(), self.of.clone());
        let (epoch, mut number) = (base.epoch, base.number);
        let old = base.newest.clone().filter(|newest| !is_too_old(&place, newest));
        self.base = Some(base);
        // What is appended from now on is younger than this.
        let taken = place.clock.now().as_millis();
        let end = log.offset(&of, Seek::Latest)?;
        let (mut runs, mut seen, from) = match old {
            Some(old) => (old.runs, old.seen, old.offset),
            None => (Vec::new(), Vec::new(), log.offset(&of, Seek::Earliest)?),
        };
        let before: Vec<Run> = runs.clone();
        let (mut next, mut read) = (from, 0);
        while next < end {
            let tail = Tail::gather(log, (&place, &of), (next, end), pause)?;
            let Some(tail) = tail else { return Ok(Step::Stopped) };
            if tail.next <= next {
                break;
            }
            (next, read) = (tail.next, read + tail.records);
            if !tail.seen.is_empty() {
                seen = tail.seen.iter().copied().collect();
            }
            let run = tail.write(&place, &of, runs.is_empty(), pause)?;
            let Some(run) = run else { return Ok(Step::Stopped) };
            if run.rows() > 0 {
                runs.push(run);
            }
            // Many runs are merged at once, and so their rows once, but not too many.
            if (next >= end || runs.len() > AT_ONCE)
                && let Some(lower) = due(&runs, place.tuning.ratio)
            {
                let run = merge(&place, &of, &runs[lower..], lower == 0, pause)?;
                let Some(run) = run else { return Ok(Step::Stopped) };
                runs.truncate(lower);
                if run.rows() > 0 {
                    runs.push(run);
                }
            }
        }
        if next == from {
            return Ok(Step::Unchanged);
        }
        let manifest = Manifest { epoch, offset: next, taken, seen, runs };
        if !self.publish(&mut number, &manifest)? {
            self.retired = true;
            return Ok(Step::GaveWay);
        }
        let taken = summary(&manifest, &before, read);
        // What stays too long is swept by the next step.
        if let Err(error) = sweep(&place, &of, number, &manifest) {
            tracing::warn!(error = %error.report(), "old snapshots are not deleted");
        }
        self.base = Some(Base { epoch, number, newest: Some(manifest) });
        Ok(Step::Taken(taken))
    }

    /// Makes `manifest` the newest; gives way to whoever is as new or newer.
    fn publish(&self, number: &mut u64, manifest: &Manifest) -> Result<bool> {
        let bytes = manifest.encode()?;
        loop {
            // The numbers of old manifests are free again: only the one after the newest counts.
            let newest = manifest::list(&self.place, &self.of)?.first().copied();
            if let Some(newest) = newest.filter(|newest| newest > number) {
                *number = newest;
                let other = manifest::read(&self.place, &self.of, newest);
                if other.is_ok_and(|other| other.epoch >= manifest.epoch) {
                    tracing::info!(partition = %self.of, "somebody newer takes the snapshots");
                    return Ok(false);
                }
            }
            let name = self.place.manifest(&self.of, *number + 1);
            if self.place.objects.create(&name, bytes.clone())? {
                *number += 1;
                return Ok(true);
            }
        }
    }
}

fn summary(manifest: &Manifest, before: &[Run], read: u64) -> Taken {
    let old: Vec<_> = before.iter().flat_map(|run| &run.files).collect();
    let files = manifest.runs.iter().flat_map(|run| &run.files);
    let added = files.filter(|file| !old.contains(file)).map(|file| file.bytes).sum();
    Taken {
        offset: manifest.offset,
        rows: manifest.runs.iter().map(Run::rows).sum(),
        bytes: manifest.runs.iter().map(Run::bytes).sum(),
        runs: manifest.runs.len(),
        read,
        added,
    }
}
