//! A join on a foreign key: the rows of the left table name the keys of the right one (rules F1
//! to F3). It is three operators, each where its keys belong, with an exchange between them.
//!
//! ```text
//! refer   at the left key     numbers the changes of left rows, and sends each to the key it names
//! answer  at the foreign key  keeps the left rows by that key, and pairs them with the right row
//! settle  at the left key     keeps the pair of each left row, as its newest version has it
//! ```
//!
//! An answer may come late: the task that a row has moved away from may not know it yet. So each
//! change of a left row has a version, which grows, and an answer to an older version than is
//! known counts for nothing. That a row came or went, and what becomes of one that names no key,
//! `settle` hears from `refer` directly, in order: so it holds every row that is there, knows an
//! answer for one that is gone by its version, and keeps nothing of rows that are gone.

mod answer;
mod refer;
mod settle;

use super::exchange;
use super::join_tables::Combine;
use crate::{Data, Key, Table};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use suiro_core::Error;

/// The key that a left row names, if it names one.
pub(crate) type Foreign<V, F> = Arc<dyn Fn(&V) -> Option<F> + Send + Sync>;

/// A change of a left row, on its way to the key that it names or has named.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "K: Key, V: Data")]
struct Reference<K, V> {
    key: K,
    version: Version,
    /// None if it does not name this key any more.
    row: Option<Row<V>>,
}

/// A left row. It is no option by itself, for a row that is one could not be told from none.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "V: Data")]
struct Row<V>(V);

/// Which change of a left row it is: the task that it came to, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version(u32, u64);

/// What became of a left row.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "W: Data")]
struct Answer<W> {
    version: Version,
    says: Says<W>,
}

/// What an answer says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "W: Data")]
enum Says<W> {
    /// There is a pair. The time is that of the right row, if the pair has one.
    Pair(W, Option<i64>),
    /// The left row came, and makes no pair; or it went.
    Alone,
    /// The pair has lost its right row.
    Ended,
    /// The left row has come, and will be answered.
    Begun,
}

/// Draws the join. Its stores and exchanges begin with `name`.
pub(crate) fn add<K, V, F, T, W>(
    left: Table<K, V>,
    right: &Table<F, T>,
    name: &str,
    label: &str,
    foreign: Foreign<V, F>,
    combine: Combine<V, T, W>,
) -> Table<K, W>
where
    K: Key,
    V: Data,
    F: Key,
    T: Data,
    W: Data,
{
    let (draft, keys) = (left.draft.clone(), left.keys);
    draft.is_same(&right.draft);
    if left.reads.iter().any(|store| right.reads.contains(store)) {
        let text = "a table cannot be joined on a foreign key with a table that is made of it; \
                    write one of them to a topic, and join with that in a second program";
        draft.refuse(Error::invalid(text).with("join", name));
    }
    let (references, direct) = refer::add(left, right.keys, (name, label), foreign, &combine);
    let references = exchange::add(references, &format!("{name}.left"));
    let answers = answer::add(references, right, keys, (name, label), combine);
    let beside = draft.sketch().graph.exchanges.len();
    let answers = exchange::add(answers, &format!("{name}.joined"));
    let direct = exchange::add_beside(direct, &format!("{name}.direct"), Some(beside));
    settle::add(answers, direct, name, label)
}
