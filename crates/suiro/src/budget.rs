//! What a process spends its memory on, where its state is on a disk.

use suiro_core::{Error, Result};

/// The shares of a memory budget. What is left, almost half of what the log does not take, is
/// for what nobody can foresee to the byte: a commit while it is made, a part of it on its way
/// down, what is fetched, and what the allocator keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// For the rows that are held.
    pub(crate) rows: usize,
    /// For the caches, filters and write buffers of the stores below.
    pub(crate) stores: usize,
    /// For encoded changes on their way down.
    pub(crate) under_way: usize,
}

/// With less than this there is no use in sharing.
const LEAST: usize = 8 << 20;

impl Budget {
    /// Shares out `bytes`, of which the log takes `log`.
    pub(crate) fn of(bytes: usize, log: usize) -> Result<Self> {
        let rest = bytes.saturating_sub(log);
        if rest < log || rest < LEAST {
            let text = "the memory budget is too small: give it 8 MiB beside the log, and the log \
                        no more than half of it, by its option `memory`";
            return Err(Error::invalid(text).with("budget", bytes).with("log", log));
        }
        Ok(Self { rows: rest / 8 * 3, stores: rest / 4, under_way: rest / 32 })
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn the_log_has_its_share_of_the_budget() {
        let budget = Budget::of(64 << 20, 32 << 20);
        let expected = Budget { rows: 12 << 20, stores: 8 << 20, under_way: 1 << 20 };
        assert_eq!(budget.expect("it is enough"), expected);
        for (bytes, log) in [(64 << 20, 33 << 20), (8 << 20, 1), (0, 0)] {
            let error = Budget::of(bytes, log).expect_err("it is not enough");
            assert!(error.report().contains("budget is too small"), "{bytes} {log}");
        }
    }
}
