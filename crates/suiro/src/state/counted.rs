//! The row of a group of rows: its value, and how many rows the group has.

use super::TableStore;
use super::form::form;
use crate::format::Format;
use crate::{Data, Key};
use serde::{Deserialize, Serialize};

/// A group goes with its last row, which its value alone does not tell (rule A2).
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "A: Data")]
pub(crate) struct Counted<A> {
    pub(crate) rows: u64,
    pub(crate) value: A,
}

/// The kind of store that holds groups.
pub(super) const KIND: &str = "groups";

impl<G: Key, A: Data> TableStore<G, Counted<A>> {
    /// A store of groups: its form is that of their values, so that these can be migrated.
    pub(crate) fn of_groups(keys: &'static dyn Format<G>) -> Self {
        Self::with_form(keys, None, None, |keys| form::<G, A>(KIND.to_owned(), keys))
    }
}
