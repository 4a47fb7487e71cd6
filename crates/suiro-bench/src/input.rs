//! What benches read: numbers that are a function of a partition and a number.

use crate::digest::splitmix;
use crate::options::Setup;

/// The records of a bench. Each partition has keys of its own.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    partitions: u64,
    /// Records in a partition.
    records: u64,
    /// Keys in a partition.
    keys: u64,
}

impl Input {
    pub fn new(setup: &Setup) -> Self {
        let partitions = u64::from(setup.threads);
        let (records, keys) = (setup.records / partitions, setup.keys / partitions);
        Self { partitions, records, keys }
    }

    /// Key and random bits of record `number` of `partition`; `None` behind the last one.
    #[inline]
    pub fn at(&self, partition: u64, number: u64) -> Option<(u64, u64)> {
        if number >= self.records {
            return None;
        }
        let bits = splitmix(number * self.partitions + partition);
        // The high half of the product is a number below `keys`, as a remainder would be.
        let place = ((u128::from(bits) * u128::from(self.keys)) >> 64) as u64;
        Some((place * self.partitions + partition, bits & 0xffff))
    }

    /// Partitions and record numbers, for a loop over everything.
    pub fn partitions(&self) -> std::ops::Range<u64> {
        0..self.partitions
    }

    pub fn records(&self) -> u64 {
        self.records
    }
}
