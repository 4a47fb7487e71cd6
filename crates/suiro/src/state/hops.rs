//! Windows of fixed size (rule W1), and the slices that they are made of.

use std::ops::Range;
use suiro_core::Timestamp;

/// Size, distance of starts and grace of windows, in milliseconds.
///
/// A slice is what lies between two moments at which a window begins or ends: so each window is
/// whole slices, and a record is in one. There are at most two of them to each distance of starts,
/// where slices of the greatest common divisor could be milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hops {
    pub(crate) size: i64,
    pub(crate) advance: i64,
    pub(crate) grace: i64,
}

impl Hops {
    /// The start of the last window that a time is in.
    #[inline]
    pub(crate) fn last(self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.as_millis() - at.as_millis().rem_euclid(self.advance))
    }

    /// Whether that is the window that starts at `start`. The last of all times is in a window,
    /// too, whose end there is no time for.
    #[inline]
    pub(crate) fn is_last(self, start: Timestamp, at: Timestamp) -> bool {
        (0..self.advance).contains(&at.as_millis().wrapping_sub(start.as_millis()))
    }

    /// The start of the first one; none starts before the epoch.
    #[inline]
    pub(crate) fn first(self, at: Timestamp) -> Timestamp {
        self.after(at.as_millis() - self.size)
    }

    /// The start of the first window that begins after a time.
    fn after(self, millis: i64) -> Timestamp {
        let number = millis.div_euclid(self.advance) + 1;
        Timestamp::from_millis(number.saturating_mul(self.advance).max(0))
    }

    /// The start of the first window that is open at `now`.
    #[inline]
    pub(crate) fn first_open(self, now: Timestamp) -> Timestamp {
        let behind = now.as_millis().saturating_sub(self.size).saturating_sub(self.grace);
        self.after(behind)
    }

    /// Whether a time is in one window and no other.
    pub(crate) fn is_tumbling(self) -> bool {
        self.size == self.advance
    }

    /// Where a window ends; that time is not in it.
    #[inline]
    pub(crate) fn end(self, start: Timestamp) -> Timestamp {
        start.plus_millis(self.size)
    }

    /// When a window is closed (rule W4).
    #[inline]
    pub(crate) fn closing(self, start: Timestamp) -> Timestamp {
        self.end(start).plus_millis(self.grace)
    }

    #[inline]
    pub(crate) fn is_closed(self, start: Timestamp, now: Timestamp) -> bool {
        self.closing(start) <= now
    }

    /// The start of the slice that a time is in.
    #[inline]
    pub(super) fn slice(self, at: Timestamp) -> Timestamp {
        self.slice_span(at).start
    }

    /// The times that are in one slice with `at`.
    pub(super) fn slice_span(self, at: Timestamp) -> Range<Timestamp> {
        let last = self.last(at);
        let end = last.plus_millis(self.size % self.advance);
        if at < end { last..end } else { end..last.plus_millis(self.advance) }
    }

    /// Where the parts of a window meet: the one such moment in `[start, start + size)` that it
    /// shares with most of its neighbours.
    pub(super) fn middle(self, start: Timestamp) -> Timestamp {
        let step = self.size / self.advance * self.advance;
        let (number, rest) = (start.as_millis() / step, start.as_millis() % step);
        let number = if rest == 0 { number } else { number + 1 };
        Timestamp::from_millis(number.saturating_mul(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_of_all_times_is_in_a_window() {
        let hops = Hops { size: 10, advance: 10, grace: 0 };
        let max = Timestamp::MAX.as_millis();
        for at in [0, 9, 10, max - 20, max - 1, max].map(Timestamp::from_millis) {
            assert!(hops.is_last(hops.last(at), at), "{at:?}");
        }
    }

    proptest! {
        /// What is in a window is whole slices, and its middle is where slices meet.
        #[test]
        fn windows_are_whole_slices(
            (size, advance) in (1..60_i64).prop_flat_map(|size| (Just(size), 1..=size)),
            (left, right) in (0..200_i64, 0..200_i64),
        ) {
            let hops = Hops { size, advance, grace: 0 };
            let [left, right] = [left, right].map(Timestamp::from_millis);
            let windows = |at: Timestamp| {
                let starts = (0..200).map(|number| Timestamp::from_millis(number * advance));
                starts.filter(|start| *start <= at && at < hops.end(*start)).collect::<Vec<_>>()
            };
            let all = windows(left);
            prop_assert_eq!(all.first(), Some(&hops.first(left)));
            prop_assert_eq!(all.last(), Some(&hops.last(left)));
            prop_assert_eq!(&windows(hops.slice(left)), &all);
            let is_last = hops.last(left) == hops.last(right);
            prop_assert_eq!(hops.is_last(hops.last(left), right), is_last);
            let is_one = hops.slice(left) == hops.slice(right);
            prop_assert_eq!(hops.slice_span(left).contains(&right), is_one);
            if is_one {
                prop_assert_eq!(&windows(right), &all);
            }
            for start in all {
                let middle = hops.middle(start);
                prop_assert!(start <= middle && middle < hops.end(start));
                prop_assert_eq!(hops.slice(middle), middle);
            }
            let open = hops.first_open(left);
            prop_assert!(!hops.is_closed(open, left));
            let before = open.plus_millis(-advance);
            prop_assert!(open == Timestamp::ZERO || hops.is_closed(before, left));
        }
    }
}
