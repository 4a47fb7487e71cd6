//! The snapshots that a store may be restored from.

use super::changelog::Changelog;
use super::manifest::{self, Manifest};
use super::place::Place;
use super::tail::checksum;
use suiro_core::batch::batches;
use suiro_core::broker::Seek;
use suiro_core::{Error, Result, Timestamp, TopicPartition};

/// The snapshots of a partition.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that may be used, the newest first.
    pub usable: Vec<Manifest>,
    /// The number of the newest manifest, usable or not.
    pub(crate) newest: u64,
    /// The largest epoch that was seen.
    pub(crate) epoch: u64,
}

/// Looks for the snapshots of a changelog partition. What is damaged, of another format or too
/// old is passed over, with a warning that names it.
///
/// An error of kind `Invalid` says that the snapshots are not those of this log: they are newer
/// than all that is in it, or it has other records. Then either is lost, and a human must say
/// which. Other errors are those of the object store and of the log.
///
/// ```
/// use suiro_core::{Offset, Result, TopicPartition};
/// use suiro_store::snapshot::{Changelog, Place, find};
///
/// fn tail(place: &Place, of: &TopicPartition, log: &mut dyn Changelog) -> Result<Offset> {
///     Ok(find(place, of, log)?.usable.first().map_or(0, |newest| newest.offset))
/// }
/// ```
pub fn find(place: &Place, of: &TopicPartition, log: &mut dyn Changelog) -> Result<Found> {
    let numbers = manifest::list(place, of)?;
    let mut found = Found { newest: numbers.first().copied().unwrap_or(0), ..Found::default() };
    for number in numbers {
        match manifest::read(place, of, number) {
            Err(error) => tracing::warn!(error = %error.report(), "snapshot is not used"),
            Ok(manifest) => {
                found.epoch = found.epoch.max(manifest.epoch);
                if is_too_old(place, &manifest) {
                    let file = place.manifest(of, number);
                    tracing::warn!(file, "snapshot is older than tombstones are kept");
                    continue;
                }
                if found.usable.is_empty() {
                    check(place, of, &manifest, log)?;
                }
                found.usable.push(manifest);
            }
        }
    }
    Ok(found)
}

/// Whether the changelog behind a snapshot may lack removals.
pub(crate) fn is_too_old(place: &Place, manifest: &Manifest) -> bool {
    let since = place.clock.now() - place.tuning.tombstone_retention;
    Timestamp::from_millis(manifest.taken) <= since
}

/// Checks that `manifest` is a snapshot of this log.
fn check(
    place: &Place,
    of: &TopicPartition,
    manifest: &Manifest,
    log: &mut dyn Changelog,
) -> Result<()> {
    let end = log.offset(of, Seek::Latest)?;
    if end < manifest.offset {
        let text = "snapshot is newer than the changelog: the log was lost, or has lost commits; \
                    bring it back, or delete the snapshots to go on with what the log has";
        return Err(Error::invalid(text)
            .with("changelog", of)
            .with("end", end)
            .with("snapshot", manifest.offset)
            .with("snapshots", place.directory(of)));
    }
    let Some((mut from, _)) = manifest.seen.first().copied() else { return Ok(()) };
    while from < manifest.offset {
        let read = log.read(of, from, 1)?;
        for batch in batches(read.batches) {
            for record in batch?.records()?.iter() {
                let record = record?;
                let seen = manifest.seen.iter().find(|(offset, _)| *offset == record.offset);
                if seen.is_some_and(|(_, seen)| *seen != checksum(&record)) {
                    let text = "snapshot was taken of another log: the changelog has other \
                                records; bring the log back, or delete the snapshots to go on \
                                with what the log has";
                    return Err(Error::invalid(text)
                        .with("changelog", of)
                        .with("offset", record.offset)
                        .with("snapshots", place.directory(of)));
                }
            }
        }
        if read.next <= from {
            break;
        }
        from = read.next;
    }
    Ok(())
}
