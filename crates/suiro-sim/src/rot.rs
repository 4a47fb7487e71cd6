//! Bit rot: a byte changes while the process is down. The log may heal it or refuse it by name;
//! it must not give other data.

use crate::fault::Fault;
use crate::ledger::{Ledger, Seen};
use crate::world::World;
use std::path::{Path, PathBuf};
use suiro::{ErrorKind, LogOptions};
use suiro_log::{Disk, FaultyDisk, Mode};

/// Damages a file, opens the log, looks at all of it, and takes the damage back, as a copy of the
/// file would.
pub(crate) fn strike(
    world: &World,
    options: &LogOptions,
    ledger: &Ledger,
    group: &str,
) -> Result<(), String> {
    world.state().begin_life(&[], false);
    let disk = world.state().disk.clone();
    let Some((path, position)) = choose(world, &disk) else { return Ok(()) };
    let damage = || disk.damage(&path, position).map_err(|error| error.to_string());
    damage()?;
    let rotten = byte(&disk, &path, position);
    world.note(|| format!("*** BitRot in {} at {position}", path.display()));
    world.state().counts.struck(Fault::BitRot);
    let seen = world.calmly(|| {
        let log = options.clone().open("log")?;
        let seen = Seen::read(&log, group);
        world.state().death = Some(Fault::Kill);
        seen
    });
    world.state().end_life();
    let verdict = match seen {
        Ok(seen) => seen.is_right(ledger),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            world.note(|| format!("=== refused: {}", error.report()));
            world.state().counts.refused += 1;
            Ok(())
        }
        Err(error) => Err(error.report()),
    };
    verdict.map_err(|wrong| format!("bit rot in {} at {position}: {wrong}", path.display()))?;
    // What was written anew in the meantime is sound.
    if rotten.is_some() && byte(&disk, &path, position) == rotten {
        damage()?;
    }
    Ok(())
}

fn byte(disk: &FaultyDisk, path: &Path, position: u64) -> Option<u8> {
    let file = disk.open(path, Mode::Read).ok()?;
    let mut byte = [0];
    (file.read_at(position, &mut byte).ok()? == 1).then_some(byte[0])
}

/// A byte of some file that damage can be proved of.
fn choose(world: &World, disk: &FaultyDisk) -> Option<(PathBuf, u64)> {
    let mut files = Vec::new();
    collect(disk, Path::new("log"), &mut files);
    files.retain(|(path, _)| !path.ends_with("LOCK") && !path.ends_with("COMMITTED"));
    if files.is_empty() {
        return None;
    }
    let mut state = world.state();
    // A journal that was never begun says nothing of the one before it.
    let begun = files.iter().filter(|(path, _)| is_journal(path) && state.has_begun(path));
    let newest = begun.map(|(path, _)| path).max().cloned();
    let (path, size) = &files[state.seed.below(files.len() as u64) as usize];
    let limit = match is_journal(path) && newest.as_ref().is_none_or(|newest| path >= newest) {
        true => state.proved(path),
        false => *size,
    };
    (limit > 0).then(|| (path.clone(), state.seed.below(limit)))
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journal")
}

fn collect(disk: &FaultyDisk, dir: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for name in disk.list(dir).unwrap_or_default() {
        let path = dir.join(name);
        match disk.open(&path, Mode::Read) {
            Ok(file) => files.push((path, file.size().unwrap_or(0))),
            Err(_) => collect(disk, &path, files),
        }
    }
}
