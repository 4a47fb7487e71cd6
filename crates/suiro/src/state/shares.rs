//! Of which windows the changes are that are on their way to a store below.

use std::collections::VecDeque;
use suiro_core::Timestamp;

/// How many changes each window has in each commit, in the order in which they are saved.
///
/// A store below says how many changes have arrived; each window must know how many of its own.
#[derive(Default)]
pub(crate) struct Shares {
    at_hand: VecDeque<(Timestamp, usize)>,
    under_way: VecDeque<VecDeque<(Timestamp, usize)>>,
}

impl Shares {
    /// Begins anew with what a commit saves.
    pub(crate) fn begin(&mut self) {
        self.at_hand.clear();
    }

    /// The window that starts at `start` has saved `count` changes.
    pub(crate) fn saved(&mut self, start: Timestamp, count: usize) {
        self.at_hand.push_back((start, count));
    }

    /// What was saved is committed, and goes down.
    pub(crate) fn commit(&mut self) {
        self.under_way.push_back(std::mem::take(&mut self.at_hand));
    }

    /// So many more changes of the oldest commit are below; `last`: all of it is. Tells each
    /// window how many of its own are.
    pub(crate) fn lowered(
        &mut self,
        mut count: usize,
        last: bool,
        mut tell: impl FnMut(Timestamp, usize, bool),
    ) {
        let Some(commit) = self.under_way.front_mut() else { return };
        for (start, left) in commit.iter_mut() {
            let arrived = count.min(*left);
            (*left, count) = (*left - arrived, count - arrived);
            if arrived > 0 || last {
                tell(*start, arrived, last);
            }
        }
        if last {
            self.under_way.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_hears_of_its_own_changes() {
        let mut shares = Shares::default();
        let [first, second] = [1, 2].map(Timestamp::from_millis);
        shares.begin();
        shares.saved(first, 2);
        shares.saved(second, 3);
        shares.commit();
        shares.begin();
        shares.saved(second, 1);
        shares.commit();
        let mut heard = Vec::new();
        for (count, last) in [(1, false), (2, false), (9, true), (1, true), (1, true)] {
            shares.lowered(count, last, |start, count, last| heard.push((start, count, last)));
            heard.push((Timestamp::MIN, 0, false));
        }
        let pause = (Timestamp::MIN, 0, false);
        let expected = [
            (first, 1, false),
            pause,
            (first, 1, false),
            (second, 1, false),
            pause,
            (first, 0, true),
            (second, 2, true),
            pause,
            (second, 1, true),
            pause,
            pause,
        ];
        assert_eq!(heard, expected);
    }
}
