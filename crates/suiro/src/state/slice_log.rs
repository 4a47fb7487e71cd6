//! What was done to slices in a generation, to be taken back or saved.
//!
//! A slice knows whether it was changed or made since then, and a slot how many of its slices
//! were: so that most records, and most new slices, are not written down here.

use super::slices::Slice;

pub(super) struct SliceLog<A> {
    /// The slots of which something was changed.
    pub(super) touched: Vec<u32>,
    /// Slices that were changed, as they were before, with their slots.
    pub(super) before: Vec<(u32, Slice<A>)>,
    /// Slices that were there and are gone.
    pub(super) gone: Vec<(u32, Slice<A>)>,
    /// How many slices were changed, made or are gone.
    pub(super) changes: usize,
}

impl<A> Default for SliceLog<A> {
    fn default() -> Self {
        Self { touched: Vec::new(), before: Vec::new(), gone: Vec::new(), changes: 0 }
    }
}
