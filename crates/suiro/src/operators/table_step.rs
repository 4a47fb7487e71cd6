//! Steps on tables: filter and map. They keep no rows; a look-up goes through to the rows above.

use crate::draft::{maker, step_node};
use crate::row::{emit, typed};
use crate::step::Step;
use crate::table::{Change, Demand, View, copy_changes, show_change};
use crate::{Data, Key, Record, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// What becomes of a row; `None` drops it.
type Turn<V, W> = Arc<dyn Fn(&V) -> Option<W> + Send + Sync>;

pub(crate) fn add<K: Key, V: Data, W: Data>(
    table: Table<K, V>,
    label: &str,
    turn: Turn<V, W>,
    view: impl FnOnce(View<K, V>) -> View<K, W>,
) -> Table<K, W> {
    table.demand.want_old();
    let step = table.draft.step(format!("table {label}"));
    let demand = Demand::default();
    let make = {
        let demand = demand.clone();
        maker(move |_| TableStep::<K, V, W> {
            turn: Arc::clone(&turn),
            step: step.clone(),
            demand: demand.clone(),
            keys: PhantomData,
        })
    };
    let mut node = step_node(&format!("table {label}"), vec![table.from], make);
    node.outputs = vec![Some(copy_changes::<K, W>())];
    let node = table.draft.add(node);
    table.draft.show((node, 0), show_change::<K, V>(table.keys));
    let from = Edge { node, output: 0 };
    let view = view(Arc::clone(&table.view));
    Table::new(&table.draft, from, table.keys, view, table.reads, demand, None)
}

/// Takes the `Option` off rows that always are there.
pub(crate) fn unwrap<K: Key, V: Data>(table: Table<K, Option<V>>) -> Table<K, V> {
    let owner = table.owner.clone();
    let seen = add(table, "map", Arc::new(|row: &Option<V>| row.clone()), |view| {
        Arc::new(move |stores, key, show| {
            view(stores, key, &mut |row: &Option<V>, at| {
                if let Some(row) = row {
                    show(row, at);
                }
            })
        })
    });
    // To the user it is the table that keeps the rows.
    Table { owner, ..seen }
}

struct TableStep<K, V, W> {
    turn: Turn<V, W>,
    step: Step,
    demand: Demand,
    keys: PhantomData<fn() -> K>,
}

impl<K: Key, V: Data, W: Data> Operator for TableStep<K, V, W> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if !self.demand.changes() {
            return Ok(());
        }
        let rows = typed::<K, Change<V>>(rows);
        let mut out = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        self.step.stateless(cx.counters, || {
            for Record { key, value, at, headers } in &mut rows {
                let old = value.old.as_ref().and_then(|row| (self.turn)(row));
                let new = value.new.as_ref().and_then(|row| (self.turn)(row));
                // No change where there was no row and is none (rule A6).
                if old.is_some() || new.is_some() {
                    out.push(Record { key, value: Change { old, new }, at, headers });
                }
            }
            Ok(())
        })?;
        emit(cx, 0, out);
        Ok(())
    }
}
