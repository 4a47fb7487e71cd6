//! Stream time of one operator (rules T4 and T6).

use super::prefix;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{Changes, Gate};

/// The largest time that reached an operator, held back by the lanes of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTime {
    now: Timestamp,
    /// The largest time seen; `now` follows it as the gate allows.
    seen: Timestamp,
    /// The largest time among the rows of the run at hand.
    run_max: Timestamp,
    run: u64,
    committed: (Timestamp, Timestamp),
    /// What it was when the commit in flight was asked for.
    sealed: Option<(Timestamp, Timestamp)>,
}

impl StreamTime {
    pub(crate) const NONE: Self = Self {
        now: Timestamp::MIN,
        seen: Timestamp::MIN,
        run_max: Timestamp::MIN,
        run: 0,
        committed: (Timestamp::MIN, Timestamp::MIN),
        sealed: None,
    };

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Stream time, or the largest time seen while the lanes of an exchange hold all of it back.
    pub(crate) fn latest(&self) -> Timestamp {
        if self.now == Timestamp::MIN { self.seen } else { self.now }
    }

    /// What it was at the last commit.
    pub(crate) fn committed(&self) -> Timestamp {
        self.committed.0
    }

    /// A record arrives: gives stream time, this record included.
    #[inline]
    pub(crate) fn observe(&mut self, at: Timestamp, gate: &Gate) -> Timestamp {
        if self.run != gate.run {
            (self.run, self.run_max) = (gate.run, Timestamp::MIN);
        }
        self.run_max = self.run_max.max(at);
        self.seen = self.seen.max(at);
        self.settle(gate)
    }

    /// Follows the gate, which may have risen.
    #[inline]
    pub(crate) fn settle(&mut self, gate: &Gate) -> Timestamp {
        let own = gate.own.map_or(Timestamp::MAX, |lane| lane.max(self.run_max));
        self.now = self.now.max(self.seen.min(gate.others).min(own));
        self.now
    }

    /// The clock goes on in a silence; before the first record there is no time that could
    /// (rule T5).
    pub(crate) fn pass(&mut self, millis: i64) {
        if self.now != Timestamp::MIN {
            self.now = self.now.plus_millis(millis);
        }
    }

    /// How many milliseconds it is from what is due; none before the first record.
    pub(crate) fn until(&self, due: Option<Timestamp>) -> Option<i64> {
        let due = due.filter(|_| self.now != Timestamp::MIN)?;
        Some(due.as_millis().saturating_sub(self.now.as_millis()))
    }

    /// What was restored says that `at` was seen. Nothing is to be saved: it says so again.
    pub(crate) fn have_seen(&mut self, at: Timestamp) {
        self.seen = self.seen.max(at);
        self.committed.1 = self.committed.1.max(at);
    }

    /// What it is now is in a commit that is in flight.
    pub(crate) fn seal(&mut self) {
        self.sealed = Some((self.now, self.seen));
    }

    /// The commit in flight has happened; if there is none, what it is now is committed.
    pub(crate) fn commit(&mut self) {
        self.committed = self.sealed.take().unwrap_or((self.now, self.seen));
    }

    pub(crate) fn rollback(&mut self) {
        (self.now, self.seen) = self.committed;
        self.sealed = None;
        (self.run, self.run_max) = (0, Timestamp::MIN);
    }

    /// Writes it to the changelog, if it has moved.
    pub(crate) fn save(&self, changes: &mut Changes) -> Result<()> {
        if (self.now, self.seen) == self.committed {
            return Ok(());
        }
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.now.as_millis().to_be_bytes());
        value[8..].copy_from_slice(&self.seen.as_millis().to_be_bytes());
        let at = self.seen.max(Timestamp::ZERO);
        changes.put(at, &[prefix::TIME], Some(&value), &Headers::NONE)
    }

    pub(crate) fn restore(&mut self, value: Option<&[u8]>) -> Result<()> {
        if cfg!(suiro_mutant = "stream_time_not_restored") {
            return Ok(());
        }
        let bad = || Error::corrupt("stream time in a changelog has another width");
        let value: &[u8; 16] = value.and_then(|value| value.try_into().ok()).ok_or_else(bad)?;
        let (now, seen) = value.split_at(8);
        let read = |bytes: &[u8]| {
            let bytes = bytes.try_into().expect("sixteen bytes were split in the middle");
            Timestamp::from_millis(i64::from_be_bytes(bytes))
        };
        (self.now, self.seen) = (read(now), read(seen));
        self.commit();
        Ok(())
    }
}
