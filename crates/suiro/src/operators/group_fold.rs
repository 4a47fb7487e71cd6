//! Folds the rows of each group of a table into one: rows that come are added, rows that go are
//! subtracted, and a group goes with its last row (rule A2).

use super::exchange::settle;
use super::fold::{Add, Init};
use super::table_group::Delta;
use crate::draft::{maker, step_node};
use crate::row::{Batch, copy, emit, typed, waiting};
use crate::show;
use crate::state::{Cells, Counted, Place, Places, Slot, TableStore};
use crate::step::Step;
use crate::table::{Change, Demand, View};
use crate::{Data, Key, Record, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Headers, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, State, Stores};

/// What the fold does with rows that come and with rows that go.
pub(crate) struct Arithmetic<A, W> {
    pub(crate) init: Init<A>,
    pub(crate) add: Add<A, W>,
    pub(crate) subtract: Add<A, W>,
}

impl<A, W> Clone for Arithmetic<A, W> {
    fn clone(&self) -> Self {
        let Self { init, add, subtract } = self;
        Self { init: Arc::clone(init), add: Arc::clone(add), subtract: Arc::clone(subtract) }
    }
}

pub(crate) fn add<G: Key, W: Data, A: Data>(
    rows: Stream<G, Delta<W>>,
    name: &str,
    with: Arithmetic<A, W>,
) -> Table<G, A> {
    let rows = settle(rows, name);
    let label = format!("group fold {name}");
    let (keys, draft) = (rows.keys, rows.draft.clone());
    let step = draft.step(&label);
    let demand = Demand::default();
    let store = draft.store(name, None, move || TableStore::<G, Counted<A>>::of_groups(keys));
    let make = {
        let demand = demand.clone();
        maker(move |_| GroupFold::<G, W, A> {
            store,
            with: with.clone(),
            step: step.clone(),
            demand: demand.clone(),
            places: Places::default(),
            keys: PhantomData,
        })
    };
    let mut node = step_node(&label, vec![rows.from], make);
    node.outputs = vec![Some(copy::<G, Change<A>>)];
    node.stores.push(store);
    let node = draft.add(node);
    draft.show((node, 0), show::both::<G, Delta<W>>(keys));
    let view: View<G, A> = Arc::new(move |stores, key, show| {
        let groups = stores.get::<TableStore<G, Counted<A>>>(store);
        groups.look(key, &mut |group, at| show(&group.value, at))
    });
    let from = Edge { node, output: 0 };
    Table::new(&draft, from, keys, view, vec![store], demand, None)
}

struct GroupFold<G, W, A> {
    store: usize,
    with: Arithmetic<A, W>,
    step: Step,
    demand: Demand,
    places: Places,
    keys: PhantomData<fn() -> G>,
}

/// A change at hand. What is done of it is taken out, so that where one half fails the other is
/// done all the same.
struct Hand<G, W, A> {
    place: Place,
    key: G,
    at: Timestamp,
    headers: Headers,
    subtract: Option<W>,
    add: Option<W>,
    /// The group before the change, once it was looked at.
    before: Option<Before<A>>,
    /// Whether a half was done.
    changed: bool,
}

struct Before<A> {
    was_there: bool,
    /// Its value, if somebody wants to know.
    value: Option<A>,
}

impl<G, W, A> Hand<G, W, A> {
    fn new(record: Record<G, Delta<W>>, place: Place) -> Self {
        let Record { key, value, at, headers } = record;
        let (subtract, add) = value.halves();
        Self { place, key, at, headers, subtract, add, before: None, changed: false }
    }
}

/// In careful mode: the key at hand, and its group before the half.
type Undo<G, A> = Option<(G, Option<Counted<A>>)>;

impl<A, W> Arithmetic<A, W> {
    fn subtract(&self, slot: &mut Slot<Counted<A>>, row: W) -> bool {
        // Rows that were skipped when they came may be all that a group ever had.
        let Some(group) = slot.get_mut() else { return false };
        (self.subtract)(&mut group.value, row);
        group.rows = group.rows.saturating_sub(1);
        true
    }

    fn add(&self, slot: &mut Slot<Counted<A>>, row: W) {
        let init = || Counted { rows: 0, value: (self.init)() };
        let group = slot.get_or_insert_with(init);
        (self.add)(&mut group.value, row);
        group.rows += 1;
    }
}

impl<G: Key, W: Data, A: Data> Hand<G, W, A> {
    /// Does what is still to be done; after a panic it is called again for the other half.
    fn run(
        &mut self,
        slot: &mut Slot<Counted<A>>,
        with: &Arithmetic<A, W>,
        wants_old: bool,
        mut remember: impl FnMut(&G, &Slot<Counted<A>>),
    ) {
        self.before.get_or_insert_with(|| Before {
            was_there: slot.get().is_some(),
            value: slot.get().filter(|_| wants_old).map(|group| group.value.clone()),
        });
        if let Some(row) = self.subtract.take() {
            remember(&self.key, slot);
            self.changed |= with.subtract(slot, row);
        }
        if let Some(row) = self.add.take() {
            remember(&self.key, slot);
            with.add(slot, row);
            self.changed = true;
        }
    }

    /// The change of the group; none if nothing was done, or there was no group and is none.
    fn finish(self, slot: &mut Slot<Counted<A>>, speaks: bool) -> Option<Record<G, Change<A>>> {
        let before = self.before.filter(|_| self.changed)?;
        if slot.get().is_some_and(|group| group.rows == 0) {
            slot.replace(None);
        }
        slot.set_at(if before.was_there { slot.at().max(self.at) } else { self.at });
        if !speaks || (!before.was_there && slot.get().is_none()) {
            return None;
        }
        let new = slot.get().map(|group| group.value.clone());
        let value = Change { old: before.value, new };
        Some(Record { key: self.key, value, at: slot.at(), headers: self.headers })
    }
}

impl<G: Key, W: Data, A: Data> Operator for GroupFold<G, W, A> {
    fn foresee(&mut self, _port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let keys = waiting::<G, Delta<W>>(rows).take(count).map(|row| &row.key);
        self.places.clear();
        stores.get::<TableStore<G, Counted<A>>>(self.store).cells.find(keys, &mut self.places);
        self.places.doubt();
    }

    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<G, Delta<W>>(rows).into_iter();
        let store = cx.stores.get_mut::<TableStore<G, Counted<A>>>(self.store);
        if store.is_lean() || self.places.left() < rows.len() {
            self.places.clear();
            store
                .find(rows.as_slice().iter().map(|row| &row.key), &mut self.places)
                .map_err(|cause| Failure::stop(&self.step.label, cause))?;
        }
        let (speaks, wants_old) = (self.demand.changes(), self.demand.old());
        let (places, with, careful) = (&mut self.places, &self.with, cx.careful);
        let mut out: Batch<G, Change<A>> = Vec::new();
        if speaks {
            out.reserve(rows.len());
        }
        let mut hand: Option<Hand<G, W, A>> = None;
        let mut undo: Undo<G, A> = None;
        let mut work = |cells: &mut Cells<G, Counted<A>>, undo: &mut Undo<G, A>| {
            loop {
                let now = match &mut hand {
                    Some(now) => now,
                    None => {
                        let Some(record) = rows.next() else { return Ok(()) };
                        hand.insert(Hand::new(record, places.next()))
                    }
                };
                let slot = cells.edit_at(now.place, &now.key);
                now.run(slot, with, wants_old, |key, slot| {
                    if careful {
                        *undo = Some((key.clone(), slot.get().cloned()));
                    }
                });
                out.extend(hand.take().and_then(|done| done.finish(slot, speaks)));
            }
        };
        let mut state = (&mut store.cells, &mut undo);
        let done = self.step.stateful(
            &mut state,
            cx.counters,
            careful,
            |(cells, undo)| work(cells, undo),
            |(cells, undo)| {
                if let Some((key, group)) = undo.take() {
                    cells.edit(&key).replace(group);
                }
            },
        );
        emit(cx, 0, out);
        done
    }

    fn rollback(&mut self) {
        self.places.clear();
    }
}
