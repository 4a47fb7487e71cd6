//! Keeps the pair of each left row, as the newest version of the row has it.
//!
//! For each task that numbers left rows it knows the largest version of what came from there
//! directly. That tells answers apart for rows that are not held: such a row has not come yet if
//! the version is larger, and is gone if it is not.

use super::{Answer, Says, Version};
use crate::draft::{maker, step_node};
use crate::format::Integer;
use crate::row::{Batch, emit, typed, waiting};
use crate::state::{Paired, Places, TableStore};
use crate::table::{Change, Demand, View, copy_changes};
use crate::{Data, Key, Record, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::Timestamp;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, State, Stores};

/// The port of what comes from the left side directly.
const DIRECT: usize = 1;

pub(super) fn add<K: Key, W: Data>(
    answers: Stream<K, Answer<W>>,
    direct: Stream<K, Answer<W>>,
    name: &str,
    label: &str,
) -> Table<K, W> {
    let label = format!("{label} {name}: settle");
    let (draft, keys, demand) = (answers.draft.clone(), answers.keys, Demand::default());
    let pairs = draft.store(name, None, move || TableStore::<K, Paired<W>>::of_pairs(keys));
    let known =
        draft.store(&format!("{name}.known"), None, || TableStore::<u32, u64>::small(&Integer));
    let make = {
        let (demand, label) = (demand.clone(), label.clone());
        maker(move |_| Settle::<K, W> {
            pairs,
            known,
            demand: demand.clone(),
            places: Places::default(),
            newest: Vec::new(),
            label: label.clone(),
            types: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![answers.from, direct.from], make);
    node.outputs = vec![Some(copy_changes::<K, W>())];
    node.stores.extend([pairs, known]);
    let node = draft.add(node);
    let view: View<K, W> = Arc::new(move |stores, key, show| {
        stores.get::<TableStore<K, Paired<W>>>(pairs).look(key, &mut |pair, at| {
            if let Some(row) = pair.row() {
                show(row, at);
            }
        })
    });
    let from = Edge { node, output: 0 };
    Table::new(&draft, from, keys, view, vec![pairs], demand, None)
}

struct Settle<K, W> {
    pairs: usize,
    /// The store of the largest version that came directly, by the task that gave it.
    known: usize,
    demand: Demand,
    places: Places,
    /// What is in that store.
    newest: Vec<(u32, u64)>,
    label: String,
    types: PhantomData<fn() -> (K, W)>,
}

/// Whether an answer to `version` is older than what is known of its row.
fn is_old(
    row: Option<&Paired<impl Data>>,
    Version(lane, version): Version,
    newest: &[(u32, u64)],
) -> bool {
    match row {
        _ if cfg!(suiro_mutant = "late_answer_believed") => false,
        Some(row) => version < row.version(),
        None => newest.iter().any(|(of, newest)| *of == lane && version <= *newest),
    }
}

/// What a row becomes, and the time of the change. That a pair ends, because the left row went
/// or has another key now, has the time of its right row if that is later (rule Q3).
fn become_of<W>(
    says: Says<W>,
    Version(_, version): Version,
    is_direct: bool,
    (old, at): (Option<&Paired<W>>, Timestamp),
) -> (Option<Paired<W>>, Timestamp) {
    match says {
        Says::Pair(pair, right_at) => (Some(Paired::Pair(version, right_at, pair)), at),
        Says::Ended | Says::Begun => (Some(Paired::Alone(version)), at),
        Says::Alone => {
            let at = old.and_then(Paired::right_at).map_or(at, |right_at| at.max(right_at));
            // Of what came directly it is known how new it is.
            ((!is_direct).then_some(Paired::Alone(version)), at)
        }
    }
}

impl<K: Key, W: Data> Settle<K, W> {
    fn take(
        &mut self,
        is_direct: bool,
        rows: Batch<K, Answer<W>>,
        store: &mut TableStore<K, Paired<W>>,
    ) -> Batch<K, Change<W>> {
        let (speaks, wants_old) = (self.demand.changes(), self.demand.old());
        let mut out = Vec::new();
        if speaks {
            out.reserve(rows.len());
        }
        for Record { key, value: Answer { version, says }, at, headers } in rows {
            let place = self.places.next();
            let row = store.cells.get_at(place, &key).and_then(|slot| slot.get());
            let is_known = row.is_some() && matches!(says, Says::Begun);
            if is_known || is_old(row, version, &self.newest) {
                continue;
            }
            let (new, at) = become_of(says, version, is_direct, (row, at));
            if row.is_none() && new.is_none() {
                continue;
            }
            let is_there = new.as_ref().is_some_and(|row| row.row().is_some());
            let shown = new.as_ref().filter(|_| speaks).and_then(Paired::row).cloned();
            let slot = store.cells.edit_at(place, &key);
            let old = slot.replace(new).and_then(Paired::into_row);
            slot.set_at(at);
            // No change where there was no pair and is none (rules A6 and Q2).
            if speaks && (old.is_some() || is_there) {
                let value = Change { old: old.filter(|_| wants_old), new: shown };
                out.push(Record { key, value, at, headers });
            }
        }
        out
    }

    /// Notes the versions that came directly.
    fn note(&self, versions: &[Version], known: &mut TableStore<u32, u64>) {
        for lane in versions.chunk_by(|one, next| one.0 == next.0) {
            let newest = lane.iter().map(|version| version.1).max();
            let slot = known.cells.edit(&lane[0].0);
            let before = slot.get_or_insert_with(|| 0);
            *before = newest.map_or(*before, |newest| newest.max(*before));
            slot.set_at(Timestamp::ZERO);
        }
    }
}

impl<K: Key, W: Data> Operator for Settle<K, W> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<K, Answer<W>>(rows).take(count).map(|row| &row.key);
        self.places.clear();
        stores.get::<TableStore<K, Paired<W>>>(self.pairs).cells.find(keys, &mut self.places);
        self.places.doubt();
    }

    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, Answer<W>>(rows);
        let store = cx.stores.get_mut::<TableStore<K, Paired<W>>>(self.pairs);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop(&self.label, cause))?;
        }
        let is_direct = port == DIRECT;
        let versions: Vec<Version> = match is_direct {
            true => rows.iter().map(|row| row.value.version).collect(),
            false => Vec::new(),
        };
        let known = cx.stores.get::<TableStore<u32, u64>>(self.known);
        let newest = known.cells.iter().filter_map(|(lane, slot)| Some((*lane, *slot.get()?)));
        self.newest.clear();
        self.newest.extend(newest);
        let store = cx.stores.get_mut::<TableStore<K, Paired<W>>>(self.pairs);
        let out = self.take(is_direct, rows, store);
        self.note(&versions, cx.stores.get_mut(self.known));
        emit(cx, 0, out);
        Ok(())
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
