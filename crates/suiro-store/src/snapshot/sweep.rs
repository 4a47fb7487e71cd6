//! What is not needed any more goes: old manifests, and files that no manifest names.

use super::manifest::{self, Manifest};
use super::place::Place;
use std::collections::HashSet;
use suiro_core::{Result, TopicPartition};

/// Deletes what `newest` and the few manifests before it do not need. Files stay for some time,
/// for somebody may be about to name them.
pub(crate) fn sweep(
    place: &Place,
    of: &TopicPartition,
    number: u64,
    newest: &Manifest,
) -> Result<()> {
    let numbers = manifest::list(place, of)?;
    if numbers.first().is_some_and(|first| *first > number) {
        // Somebody newer does this work now.
        return Ok(());
    }
    let mut needed: HashSet<String> = HashSet::new();
    let mut keep = |manifest: &Manifest| {
        let files = manifest.runs.iter().flat_map(|run| &run.files);
        needed.extend(files.map(|file| file.hash.clone()));
    };
    keep(newest);
    let mut kept = 1;
    for older in numbers.into_iter().filter(|other| *other < number) {
        let read = manifest::read(place, of, older);
        match read {
            Ok(manifest) if kept < place.tuning.keep => {
                keep(&manifest);
                kept += 1;
            }
            Err(error) if error.kind() == suiro_core::ErrorKind::Unavailable => {
                return Err(error);
            }
            _ => place.objects.delete(&place.manifest(of, older))?,
        }
    }
    let old = place.clock.now() - place.tuning.grace;
    for file in place.objects.list(&place.runs(of))? {
        let hash = file.name.rsplit('/').next().unwrap_or_default();
        if file.written <= old && !needed.contains(hash) {
            place.objects.delete(&file.name)?;
        }
    }
    Ok(())
}
