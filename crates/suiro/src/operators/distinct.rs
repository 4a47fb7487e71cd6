//! Lets the first record of each key pass, and drops those that repeat it within a time.

use super::exchange::settle;
use crate::draft::{maker, step_node};
use crate::expire::{arrive, move_on};
use crate::row::{copy, emit, typed};
use crate::state::{Expiry, Places, TableStore};
use crate::{Data, Key, Stream};
use std::marker::PhantomData;
use suiro_core::Error;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

pub(crate) fn add<K: Key, V: Data>(
    stream: Stream<K, V>,
    name: &str,
    within: i64,
) -> Stream<K, V> {
    let stream = settle(stream, name);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    if within < 1 {
        let text = "`distinct` needs a millisecond at least in which nothing is repeated";
        draft.refuse(Error::invalid(text).with("store", name));
    }
    let label = format!("distinct {name} within {within} ms");
    let store =
        draft.store(name, None, move || TableStore::<K, ()>::new(keys, None, Some(within)));
    let make = {
        let label = label.clone();
        maker(move |_| Distinct::<K, V> { store, label: label.clone(), types: PhantomData })
    };
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = vec![Some(copy::<K, V>)];
    node.stores.push(store);
    let node = draft.add(node);
    Stream::new(&draft, Edge { node, output: 0 }, keys)
}

/// The time of the last record of each key that passed is a row, which goes after a while as
/// those of tables do (rule A5).
struct Distinct<K, V> {
    store: usize,
    label: String,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> Operator for Distinct<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let failed = |cause| Failure::stop(&self.label, cause);
        let (gate, mut rows) = (cx.gate, typed::<K, V>(rows));
        let store = cx.stores.get_mut::<TableStore<K, ()>>(self.store);
        let (mut places, mut late, mut wrong) = (Places::default(), 0, None);
        store.find(rows.iter().map(|row| &row.key), &mut places).map_err(failed)?;
        rows.retain(|row| {
            let place = places.next();
            match arrive(store, (row.at, &gate), false, &mut Vec::new()) {
                Ok(false) => {}
                Ok(true) => {
                    late += 1;
                    return false;
                }
                Err(cause) => {
                    wrong.get_or_insert(cause);
                    return false;
                }
            }
            if store.cells.get_at(place, &row.key).is_some() {
                return false;
            }
            let slot = store.cells.edit_at(place, &row.key);
            slot.replace(Some(()));
            slot.set_at(row.at);
            if let Some(expiry) = &mut store.expiry {
                expiry.note(&row.key, row.at, None);
            }
            true
        });
        cx.counters.late += late;
        emit(cx, 0, rows);
        wrong.map_or(Ok(()), |cause| Err(failed(cause)))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        move_on::<K, ()>((self.store, &self.label), false, cx, Expiry::settle)
    }
}
