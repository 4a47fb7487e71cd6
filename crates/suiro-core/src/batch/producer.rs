//! Who wrote a batch.

/// The producer that wrote a batch, as the log knows it.
///
/// ```
/// use suiro_core::batch::Producer;
///
/// assert_eq!(Producer::default(), Producer::NONE);
/// let own = Producer { id: 7, epoch: 1, sequence: 0, transactional: true };
/// assert_ne!(own, Producer::NONE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    /// The number that the log gave to the producer; -1 for none.
    pub id: i64,
    /// How often that number was given out before; -1 for none.
    pub epoch: i16,
    /// The number of the batch's first record in the producer's sequence for the partition;
    /// -1 for none.
    pub sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

impl Producer {
    /// Nobody in particular: a batch that is neither idempotent nor transactional.
    pub const NONE: Self = Self { id: -1, epoch: -1, sequence: -1, transactional: false };

    /// The same producer with a sequence moved on by `count` records; the sequence starts
    /// again at 0 after the largest number, as Kafka counts.
    pub(super) fn after(self, count: usize) -> Self {
        if self.sequence < 0 {
            return self;
        }
        let sequence = (self.sequence as usize).wrapping_add(count) % (1 << 31);
        Self { sequence: sequence as i32, ..self }
    }
}

impl Default for Producer {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::Producer;

    #[test]
    fn the_sequence_wraps_to_zero() {
        let last = Producer { id: 1, epoch: 0, sequence: i32::MAX, transactional: false };
        assert_eq!(last.after(1).sequence, 0);
        assert_eq!(last.after(3).sequence, 2);
        assert_eq!(last.after(0), last);
        assert_eq!(Producer::NONE.after(5), Producer::NONE);
    }
}
