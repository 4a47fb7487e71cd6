//! A log in a directory of its own, and what benches read back from it.

use crate::digest::Digest;
use hashbrown::HashMap;
use std::hash::Hash;
use std::time::Duration;
use suiro::{Durability, Log, LogOptions, Reader, Received, Result, Topic};
use tempfile::TempDir;

/// A directory that goes with the value, and the log in it.
pub struct Place {
    pub log: Log,
    dir: TempDir,
}

impl Place {
    pub fn new(durability: Durability) -> crate::benches::Outcome<Self> {
        Self::with(Log::options().durability(durability))
    }

    /// A log that is opened in this way.
    pub fn with(options: LogOptions) -> crate::benches::Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("suiro-bench-").tempdir()?;
        let log = options.open(dir.path())?;
        Ok(Self { log, dir })
    }

    /// Opens the log anew, in another way.
    pub fn reopen(self, options: LogOptions) -> Result<Self> {
        let Self { log, dir } = self;
        log.close()?;
        let log = options.open(dir.path())?;
        Ok(Self { log, dir })
    }

    /// Shows all that is in a topic.
    pub fn each<K, V>(
        &self,
        topic: &Topic<K, V>,
        mut show: impl FnMut(Received<K, V>),
    ) -> Result<()> {
        let mut reader = Reader::open(&self.log, topic)?;
        loop {
            let read = reader.follow(Duration::ZERO)?;
            if read.is_empty() {
                return Ok(());
            }
            read.into_iter().for_each(&mut show);
        }
    }

    /// The digest of a table that was written to a topic: the last row of each key.
    pub fn table<K: Eq + Hash, V>(
        &self,
        topic: &Topic<K, V>,
        row: impl Fn(&K, &V) -> [u64; 2],
    ) -> Result<Digest> {
        let mut last: HashMap<K, V> = HashMap::new();
        self.each(topic, |record| {
            match record.value {
                Some(value) => last.insert(record.key, value),
                None => last.remove(&record.key),
            };
        })?;
        let mut digest = Digest::default();
        last.iter().for_each(|(key, value)| digest.add(&row(key, value)));
        Ok(digest)
    }
}
