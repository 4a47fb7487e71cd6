//! Every change of a table, as a stream.

use crate::draft::{maker, step_node};
use crate::row::{copy, emit, typed};
use crate::table::Change;
use crate::{Data, Key, Stream, Table};
use std::marker::PhantomData;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

pub(crate) fn add<K: Key, V: Data>(table: Table<K, V>) -> Stream<K, Option<V>> {
    table.demand.want_changes();
    let make = maker(|_| Changes::<K, V>(PhantomData));
    let mut node = step_node("changes", vec![table.from], make);
    node.outputs = vec![Some(copy::<K, Option<V>>)];
    let from = Edge { node: table.draft.add(node), output: 0 };
    Stream::new(&table.draft, from, table.keys)
}

struct Changes<K, V>(PhantomData<fn() -> (K, V)>);

impl<K: Key, V: Data> Operator for Changes<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, Change<V>>(rows).into_iter();
        let changes = rows.map(|mut row| {
            let new = row.value.new.take();
            row.with_value(new)
        });
        emit(cx, 0, changes.collect());
        Ok(())
    }
}
