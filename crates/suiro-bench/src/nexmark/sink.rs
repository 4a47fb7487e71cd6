//! Where results go.

use crate::digest::{Digest, mixed};
use hashbrown::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Adds results up, whatever their order.
#[derive(Clone, Default)]
pub struct Sink(Arc<Sums>);

#[derive(Default)]
struct Sums {
    all: AtomicU64,
    latest: Mutex<HashMap<u64, u64>>,
}

impl Sink {
    /// Takes a result.
    pub fn add(&self, row: &[u64]) {
        // There is one partition, so that nobody else adds at the time.
        let sum = self.0.all.load(Ordering::Relaxed).wrapping_add(mixed(row));
        self.0.all.store(sum, Ordering::Relaxed);
    }

    /// Takes a result that takes the place of an earlier one.
    pub fn update(&self, key: u64, row: &[u64]) {
        let mut latest = self.0.latest.lock().expect("nobody panics with the sums");
        latest.insert(key, mixed(row));
    }

    pub fn digest(&self) -> Digest {
        let latest = self.0.latest.lock().expect("nobody panics with the sums");
        let all = self.0.all.load(Ordering::Relaxed);
        Digest(latest.values().fold(all, |sum, row| sum.wrapping_add(*row)))
    }
}
