//! A place in a map of rows: the row, or the place of one that was removed.

use suiro_core::Timestamp;

/// A row, or the place of one that was removed in this generation.
///
/// The row is part of the variant and not an option in a struct, so that what tells them apart
/// shares a word with `touch`: a map of numbers is a fifth smaller for it.
#[derive(Clone)]
pub(super) enum Content<A> {
    Row { touch: u32, at: Timestamp, value: A },
    Gone { touch: u32, at: Timestamp },
}

/// What is held for a key.
#[derive(Clone)]
pub(crate) struct Slot<A>(Content<A>);

impl<A> Slot<A> {
    pub(super) fn gone(touch: u32) -> Self {
        Self(Content::Gone { touch, at: Timestamp::MIN })
    }

    pub(super) fn row(touch: u32, value: A, at: Timestamp) -> Self {
        Self(Content::Row { touch, at, value })
    }

    /// If it is larger than the base of the map: the place of the before-image, counted from
    /// there, from 1.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        match self.0 {
            Content::Row { touch, .. } | Content::Gone { touch, .. } => touch,
        }
    }

    #[inline]
    pub(super) fn set_touch(&mut self, number: u32) {
        match &mut self.0 {
            Content::Row { touch, .. } | Content::Gone { touch, .. } => *touch = number,
        }
    }

    /// The row, if there is one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&A> {
        match &self.0 {
            Content::Row { value, .. } => Some(value),
            Content::Gone { .. } => None,
        }
    }

    /// The row, to be changed, if there is one.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut A> {
        match &mut self.0 {
            Content::Row { value, .. } => Some(value),
            Content::Gone { .. } => None,
        }
    }

    /// The row, to be changed; made by `init` if there is none.
    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, init: impl FnOnce() -> A) -> &mut A {
        if let Content::Gone { touch, at } = self.0 {
            self.0 = Content::Row { touch, at, value: init() };
        }
        match &mut self.0 {
            Content::Row { value, .. } => value,
            Content::Gone { .. } => unreachable!("the row was just put"),
        }
    }

    /// The time of the row.
    #[inline]
    pub(crate) fn at(&self) -> Timestamp {
        match self.0 {
            Content::Row { at, .. } | Content::Gone { at, .. } => at,
        }
    }

    #[inline]
    pub(crate) fn set_at(&mut self, time: Timestamp) {
        match &mut self.0 {
            Content::Row { at, .. } | Content::Gone { at, .. } => *at = time,
        }
    }

    /// Puts a row, or none; gives what was there.
    #[inline]
    pub(crate) fn replace(&mut self, row: Option<A>) -> Option<A> {
        let (touch, at) = (self.touch(), self.at());
        let next = match row {
            Some(value) => Content::Row { touch, at, value },
            None => Content::Gone { touch, at },
        };
        match std::mem::replace(&mut self.0, next) {
            Content::Row { value, .. } => Some(value),
            Content::Gone { .. } => None,
        }
    }
}
