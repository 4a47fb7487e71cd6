//! The place of snapshots: objects that may be away, and of which a loss of power takes or tears
//! those that were written last, since nobody syncs them.

use crate::clock::SimClock;
use crate::fault::{Call, Fault};
use crate::world::World;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use suiro::{Bytes, MemoryObjects, Result};
use suiro_core::objects::{ObjectInfo, Objects};

/// The objects of a world; a clone is the same.
#[derive(Clone)]
pub(crate) struct SimObjects {
    world: World,
    objects: MemoryObjects,
    /// Those that a loss of power may take.
    fresh: Arc<Mutex<BTreeSet<String>>>,
}

impl SimObjects {
    pub(crate) fn new(world: &World) -> Self {
        let objects = MemoryObjects::new(Arc::new(SimClock(world.clone())));
        Self { world: world.clone(), objects, fresh: Arc::default() }
    }

    fn fresh(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process has ended, of `death` if of anything.
    pub(crate) fn end_life(&self, death: Option<Fault>) -> Result<()> {
        let fresh = std::mem::take(&mut *self.fresh());
        if death != Some(Fault::PowerLoss) {
            return Ok(());
        }
        for name in fresh {
            if self.world.state().seed.one_in(3) && self.damage(&name)? {
                self.world.state().counts.torn += 1;
            }
        }
        Ok(())
    }

    /// Somebody deletes snapshots, or some of what they are made of, or damages a byte. Gives
    /// whether there was something.
    pub(crate) fn strike(&self) -> Result<bool> {
        let all = self.objects.list("program")?;
        if all.is_empty() {
            return Ok(false);
        }
        let (way, share) = {
            let seed = &mut self.world.state().seed;
            (seed.below(3), 1 + seed.below(4))
        };
        for ObjectInfo { name, .. } in all {
            match way {
                0 => self.objects.delete(&name)?,
                1 if !self.world.state().seed.one_in(share) => {}
                1 => self.objects.delete(&name)?,
                _ if self.world.state().seed.one_in(share) => {
                    self.damage(&name)?;
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Takes, cuts or changes an object.
    fn damage(&self, name: &str) -> Result<bool> {
        let bytes = self.objects.get(name)?.filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { return Ok(false) };
        let (way, at) = {
            let seed = &mut self.world.state().seed;
            (seed.below(4), seed.below(bytes.len() as u64) as usize)
        };
        self.world.note(|| format!("object {name} is damaged in way {way} at {at}"));
        let mut damaged = bytes.to_vec();
        match way {
            0 => {
                self.objects.delete(name)?;
                return Ok(true);
            }
            1 => damaged.truncate(at),
            2 => damaged[at..].fill(0),
            _ => damaged[at] ^= 0x10,
        }
        self.objects.put(name, Bytes::from(damaged))?;
        Ok(true)
    }

    /// Does something that changes objects. A process that dies of it may have done it.
    fn change<T>(&self, name: &str, change: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.world.touch(Call::Put) {
            Err(error) if !self.world.died_now() => Err(error),
            touched => {
                self.fresh().insert(name.to_owned());
                let changed = change();
                touched.and(changed)
            }
        }
    }
}

impl Objects for SimObjects {
    fn get(&self, name: &str) -> Result<Option<Bytes>> {
        self.world.reaches_objects()?;
        self.objects.get(name)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.change(name, || self.objects.put(name, bytes))
    }

    fn create(&self, name: &str, bytes: Bytes) -> Result<bool> {
        self.change(name, || self.objects.create(name, bytes))
    }

    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>> {
        self.world.reaches_objects()?;
        self.objects.list(under)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.change(name, || self.objects.delete(name))
    }
}
