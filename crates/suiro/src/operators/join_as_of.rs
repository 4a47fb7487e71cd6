//! A stream looks up the row of a versioned table that was valid at its record's time (rules K2
//! and K3), at once or when the table has had some time to hear of it.

use super::each;
use super::exchange::settle;
use super::lookup::check;
use super::lookup_as_of;
use super::versioned_source::{Source, TIMES};
use crate::draft::{Draft, maker, step_node};
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::state::{VersionStore, WaitStore};
use crate::{Data, Key, Record, SameKey, Stream};
use std::marker::PhantomData;
use suiro_core::{Error, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// The ports of a join whose records wait.
const STREAM: usize = 0;
const TABLE: usize = 1;

/// So many rows are looked up in one pass: few enough to stay in the caches until they are used.
const PASS: usize = 512;

/// Joins the records of a stream with what was valid at their times. `combine` joins a value with
/// the row that was found, if there is one; where it gives `None` the record is dropped. With a
/// grace, in milliseconds, records wait that long in the store `name`.
pub(crate) fn add<K, V, J, T, W>(
    stream: Stream<K, V>,
    (table, of): (&Source<J>, &Draft),
    (kind, name, grace): (&str, &str, i64),
    combine: impl Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Send + 'static,
{
    let stream = settle(stream, name);
    let draft = stream.draft.clone();
    check::<K>(&draft, (stream.keys.name(), false), of, table.keys.name());
    if grace > table.history {
        let text = "the grace of a join is longer than the history of its table, so that what a \
                    record waits for may be forgotten when it is looked up; give the table a \
                    longer history, or the join a shorter grace";
        let error = Error::invalid(text).with("join", name).with("grace_ms", grace);
        draft.refuse(error.with("history_ms", table.history));
    }
    let label = format!("{kind} {name}, grace {grace} ms");
    match grace {
        0 => lookup_as_of::add(stream, table, &label, combine),
        _ => waits(stream, table, (name, &label, grace), combine),
    }
}

/// Two parts: one looks up when a record has waited long enough, and the other runs user code. What
/// fails there is nothing that the record which moved the time is to blame for.
fn waits<K, V, J, T, W>(
    stream: Stream<K, V>,
    table: &Source<J>,
    (name, label, grace): (&str, &str, i64),
    combine: impl Fn(V, Option<&T>) -> Option<W> + Send + Sync + 'static,
) -> Stream<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Send + 'static,
{
    let (draft, keys, versions) = (stream.draft.clone(), stream.keys, table.store);
    let store = draft.store(name, None, move || WaitStore::<K, V>::new(keys, grace));
    let make = maker(move |_| Waits::<K, V, T> {
        store,
        versions,
        grace,
        slots: Vec::new(),
        types: PhantomData,
    });
    let times = Edge { node: table.node, output: TIMES };
    let mut node = step_node(label, vec![stream.from, times], make);
    node.stores = vec![store, versions];
    node.looks = vec![(STREAM, versions), (TABLE, versions)];
    node.delay = grace;
    let node = draft.add(node);
    draft.sketch().graph.nodes[table.node].ages = true;
    draft.show((node, STREAM), show::both::<K, V>(keys));
    let pairs = Stream::<K, (V, Option<T>)>::new(&draft, Edge { node, output: 0 }, keys);
    each::add_to(pairs, draft.step(label), move |rows, out| {
        for Record { key, value: (value, row), at, headers } in rows {
            if let Some(value) = combine(value, row.as_ref()) {
                out.push(Record { key, value, at, headers });
            }
        }
        Ok(())
    })
}

/// Keeps records until stream time, which both sides move, has come to their time + grace.
struct Waits<K, V, T> {
    store: usize,
    versions: usize,
    grace: i64,
    /// Where the keys of a batch are in the table's store.
    slots: Vec<Option<u32>>,
    types: PhantomData<fn(K, V) -> T>,
}

impl<K: Key, V: Data, T: Data> Waits<K, V, T> {
    /// Looks up for records that have waited long enough, and sends them.
    fn send(&mut self, mut due: Batch<K, V>, cx: &mut Context<'_>) {
        let versions = cx.stores.get::<VersionStore<K, T>>(self.versions);
        let mut out = Vec::with_capacity(due.len());
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(PASS));
            let now = std::mem::replace(&mut due, rest);
            self.slots.clear();
            versions.find(now.iter().map(|row| &row.key), &mut self.slots);
            out.extend(now.into_iter().zip(&self.slots).map(|(row, slot)| {
                let Record { key, value, at, headers } = row;
                let valid = versions.as_of(*slot, at).cloned();
                Record { key, value: (value, valid), at, headers }
            }));
        }
        emit(cx, 0, out);
    }

    fn waiting<'a>(&self, cx: &'a mut Context<'_>) -> &'a mut WaitStore<K, V> {
        cx.stores.get_mut(self.store)
    }

    /// Takes out what is due at `now`, in order of time and arrival.
    fn release(&self, waiting: &mut WaitStore<K, V>, now: Timestamp, due: &mut Batch<K, V>) {
        let until = now.plus_millis(-self.grace);
        due.extend(std::iter::from_fn(|| waiting.release(until)));
    }
}

impl<K: Key, V: Data, T: Data> Operator for Waits<K, V, T> {
    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let (gate, mut due) = (cx.gate, Vec::new());
        let waiting = self.waiting(cx);
        // The table takes nothing while records of the stream are at hand, so that all that a
        // batch lets go may be looked up together.
        if port == STREAM {
            for record in typed::<K, V>(rows) {
                let now = waiting.time.observe(record.at, &gate);
                waiting.keep(record);
                self.release(waiting, now, &mut due);
            }
        } else {
            for row in typed::<(), ()>(rows) {
                let now = waiting.time.observe(row.at, &gate);
                self.release(waiting, now, &mut due);
            }
        }
        self.send(due, cx);
        Ok(())
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let (gate, mut due) = (cx.gate, Vec::new());
        let waiting = self.waiting(cx);
        let now = waiting.time.settle(&gate);
        self.release(waiting, now, &mut due);
        self.send(due, cx);
        Ok(())
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let waiting = self.waiting(cx);
        let all = std::iter::from_fn(|| waiting.release(Timestamp::MAX)).collect();
        self.send(all, cx);
        Ok(())
    }
}
