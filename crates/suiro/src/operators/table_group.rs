//! Groups the rows of a table by what is in them: each change of a row becomes what it changes
//! in its group, or first in its old group and then in its new one (rule A2).

use crate::draft::{maker, step_node};
use crate::format::JsonKey;
use crate::policy::Rule;
use crate::row::{copy, emit, typed};
use crate::step::{Step, caught};
use crate::table::{Change, show_change};
use crate::{Data, Key, Record, Stream, Table};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::Result;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// The group of a row.
pub(crate) type Group<V, G> = Arc<dyn Fn(&V) -> G + Send + Sync>;

/// What a change of a row changes in a group. It is no pair of options, for those that hold
/// nothing could not be told apart once they were written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "W: Data")]
pub(crate) enum Delta<W> {
    /// A row that came.
    Add(W),
    /// A row that went.
    Subtract(W),
    /// A row that stayed: as it was, and as it is.
    Replace(W, W),
}

impl<W> Delta<W> {
    /// What is to be subtracted, and then what is to be added.
    pub(super) fn halves(self) -> (Option<W>, Option<W>) {
        match self {
            Self::Add(new) => (None, Some(new)),
            Self::Subtract(old) => (Some(old), None),
            Self::Replace(old, new) => (Some(old), Some(new)),
        }
    }
}

/// `take` takes out of a row what its group needs of it.
pub(crate) fn add<K: Key, V: Data, G: Key, W: Data>(
    table: Table<K, V>,
    group: Group<V, G>,
    take: fn(V) -> W,
) -> Stream<G, Delta<W>> {
    table.demand.want_old();
    let step = table.draft.step("group_by");
    let make = maker(move |_| TableGroup::<K, V, G, W> {
        group: Arc::clone(&group),
        take,
        step: step.clone(),
        keys: PhantomData,
    });
    let mut node = step_node("group_by", vec![table.from], make);
    node.outputs = vec![Some(copy::<G, Delta<W>>)];
    let node = table.draft.add(node);
    table.draft.show((node, 0), show_change::<K, V>(table.keys));
    Stream::new(&table.draft, Edge { node, output: 0 }, &JsonKey).with_moved(true)
}

struct TableGroup<K, V, G, W> {
    group: Group<V, G>,
    take: fn(V) -> W,
    step: Step,
    keys: PhantomData<fn() -> K>,
}

impl<K, V, G, W> TableGroup<K, V, G, W> {
    fn group_of(&self, row: V) -> Result<(G, W)> {
        caught(|| Ok(((self.group)(&row), (self.take)(row))))
    }

    /// The group of a row that was there before. One whose group cannot be told was passed over
    /// when it came, and is in no group.
    fn old_group_of(&self, row: V) -> Result<Option<(G, W)>> {
        match self.group_of(row) {
            Err(_) if self.step.policy.get().is_some_and(|rule| rule != Rule::Stop) => Ok(None),
            found => found.map(Some),
        }
    }
}

impl<K: Key, V: Data, G: Key, W: Data> Operator for TableGroup<K, V, G, W> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, Change<V>>(rows);
        let mut out = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        let done = self.step.stateless(cx.counters, || {
            for Record { value: Change { old, new }, at, headers, .. } in &mut rows {
                let old = old.map_or(Ok(None), |row| self.old_group_of(row))?;
                let (new, failed) = match new.map(|row| self.group_of(row)).transpose() {
                    Ok(new) => (new, Ok(())),
                    Err(cause) => (None, Err(cause)),
                };
                let mut send = |key, value, headers| {
                    out.push(Record { key, value, at, headers });
                };
                match (old, new) {
                    (Some((group, old)), Some((to, new))) if group == to => {
                        send(group, Delta::Replace(old, new), headers);
                    }
                    (old, new) => {
                        if let Some((group, row)) = old {
                            send(group, Delta::Subtract(row), headers.clone());
                        }
                        if let Some((group, row)) = new {
                            send(group, Delta::Add(row), headers);
                        }
                    }
                }
                failed?;
            }
            Ok(())
        });
        emit(cx, 0, out);
        done
    }
}
