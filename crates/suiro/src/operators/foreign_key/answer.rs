//! Pairs the left rows that name a key with the right row of it. An update on either side is
//! answered for each left row that it is about, in order of the bytes of their keys (rule F1).

use super::{Answer, Reference, Row, Says, Version};
use crate::draft::{maker, step_node};
use crate::format::Format;
use crate::operators::join_tables::Combine;
use crate::row::{Batch, copy, emit, typed};
use crate::show;
use crate::state::{KeyBytes, Referrer, ReferrerStore, encode_key};
use crate::step::Step;
use crate::table::{Change, View, show_change};
use crate::{Data, Key, Record, Stream, Table};
use std::sync::Arc;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, Stores};

pub(super) fn add<K: Key, V: Data, F: Key, T: Data, W: Data>(
    references: Stream<F, Reference<K, V>>,
    right: &Table<F, T>,
    keys: &'static dyn Format<K>,
    (name, label): (&str, &str),
    combine: Combine<V, T, W>,
) -> Stream<K, Answer<W>> {
    right.demand.want_changes();
    let label = format!("{label} {name}");
    let (draft, foreign) = (references.draft.clone(), right.keys);
    let step = draft.step(&label);
    let store = draft.store(&format!("{name}.left"), None, move || {
        ReferrerStore::<F, K, V>::new(foreign, keys)
    });
    let view = Arc::clone(&right.view);
    let make = maker(move |_| Answers::<K, V, F, T, W> {
        store,
        view: Arc::clone(&view),
        keys,
        combine: Arc::clone(&combine),
        step: step.clone(),
        slots: Vec::new(),
        bytes: Vec::new(),
    });
    let mut node = step_node(&label, vec![references.from, right.from], make);
    node.outputs = vec![Some(copy::<K, Answer<W>>)];
    node.stores.push(store);
    node.stores.extend(&right.reads);
    node.looks.extend(right.reads.iter().map(|store| (0, *store)));
    let node = draft.add(node);
    draft.show((node, 0), show::both::<F, Reference<K, V>>(foreign));
    draft.show((node, 1), show_change::<F, T>(foreign));
    Stream::new(&draft, Edge { node, output: 0 }, keys).with_moved(true)
}

struct Answers<K: 'static, V, F, T, W> {
    store: usize,
    view: View<F, T>,
    keys: &'static dyn Format<K>,
    combine: Combine<V, T, W>,
    step: Step,
    /// Where the rows of the keys of a batch are.
    slots: Vec<u32>,
    bytes: Vec<u8>,
}

impl<K: Key, V: Data, F: Key, T: Data, W: Data> Answers<K, V, F, T, W> {
    /// The pair of a left row that came, and its time; none if it makes none.
    fn pair(
        &self,
        stores: &Stores,
        foreign: &F,
        (row, at): (&V, Timestamp),
    ) -> Result<Option<(Says<W>, Timestamp)>> {
        let mut found = None;
        (self.view)(stores, foreign, &mut |right, right_at| {
            let pair = (self.combine)(Some(row), Some(right));
            let says = pair.map(|pair| Says::Pair(pair, Some(right_at.as_millis())));
            found = Some(says.map(|says| (says, at.max(right_at))));
        })?;
        Ok(found
            .unwrap_or_else(|| Some((Says::Pair((self.combine)(Some(row), None)?, None), at))))
    }

    /// Answers left rows that came.
    fn answer(
        &mut self,
        rows: &Batch<F, Reference<K, V>>,
        cx: &mut Context<'_>,
        out: &mut Batch<K, Answer<W>>,
    ) -> Result<(), Failure> {
        let (stores, mut broken) = (&*cx.stores, None);
        let mut rows = rows.iter();
        let mut body = || {
            for Record { key: foreign, value, at, headers } in &mut rows {
                let Reference { key, version, row: Some(Row(row)) } = value else { continue };
                // What is said if `combine` fails.
                let answer = Answer { version: *version, says: Says::Alone };
                let (key, headers) = (key.clone(), headers.clone());
                out.push(Record { key, value: answer, at: *at, headers });
                match self.pair(stores, foreign, (row, *at)) {
                    Ok(None) => {}
                    Ok(Some((says, at))) => {
                        if let Some(last) = out.last_mut() {
                            (last.value.says, last.at) = (says, at);
                        }
                    }
                    // A store failed, and not the record: that is nothing for a policy.
                    Err(error) => {
                        broken = Some(error);
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        let careful = cx.careful;
        let done = self.step.stateful(&mut (), cx.counters, careful, |()| body(), |()| {});
        broken.map_or(done, |error: Error| Err(self.failed(error)))
    }

    fn failed(&self, cause: Error) -> Failure {
        Failure::stop(&self.step.label, cause)
    }

    /// Keeps left rows that came, and lets go of those that went.
    fn keep(
        &mut self,
        rows: Batch<F, Reference<K, V>>,
        store: &mut ReferrerStore<F, K, V>,
    ) -> Result<()> {
        for (Record { value, at, .. }, slot) in rows.into_iter().zip(&self.slots) {
            let Reference { key, version: Version(lane, version), row } = value;
            self.bytes.clear();
            encode_key(self.keys, &key, &mut self.bytes)?;
            let row = row.map(|Row(value)| Referrer::new(key, value, at, (lane, version)));
            store.change(*slot, KeyBytes::from_slice(&self.bytes), row);
        }
        Ok(())
    }

    /// Answers right rows that changed, for all left rows that name them.
    fn answer_all(
        &mut self,
        rows: Batch<F, Change<T>>,
        cx: &mut Context<'_>,
        out: &mut Batch<K, Answer<W>>,
    ) -> Result<(), Failure> {
        let store = cx.stores.get::<ReferrerStore<F, K, V>>(self.store);
        let mut rows = rows.iter().zip(&self.slots);
        let mut now = None;
        let mut body = || {
            loop {
                let (change, referrers) = match &mut now {
                    Some(now) => now,
                    None => {
                        let Some((change, slot)) = rows.next() else { return Ok(()) };
                        now.insert((change, store.rows(*slot)))
                    }
                };
                let Record { value, at, headers, .. } = *change;
                let right = value.new.as_ref();
                let right_at = right.map(|_| at.as_millis());
                for row in referrers {
                    out.push(ended(row, *at, headers));
                    if let Some(pair) = (self.combine)(Some(&row.value), right)
                        && let Some(last) = out.last_mut()
                    {
                        last.value.says = Says::Pair(pair, right_at);
                    }
                }
                now = None;
            }
        };
        let careful = cx.careful;
        self.step.stateful(&mut (), cx.counters, careful, |()| body(), |()| {})
    }
}

/// What is said of a left row when the right one has changed, unless there is a pair.
fn ended<K: Key, V, W>(
    row: &Referrer<K, V>,
    at: Timestamp,
    headers: &Headers,
) -> Record<K, Answer<W>> {
    let value = Answer { version: Version(row.lane, row.version), says: Says::Ended };
    Record { key: row.key.clone(), value, at: at.max(row.at), headers: headers.clone() }
}

impl<K: Key, V: Data, F: Key, T: Data, W: Data> Operator for Answers<K, V, F, T, W> {
    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        self.slots.clear();
        let mut out = Vec::new();
        let done = if port == 0 {
            let rows = typed::<F, Reference<K, V>>(rows);
            out.reserve(rows.len());
            let done = self.answer(&rows, cx, &mut out);
            let store = cx.stores.get_mut::<ReferrerStore<F, K, V>>(self.store);
            let kept = store
                .find(rows.iter().map(|row| &row.key), &mut self.slots)
                .and_then(|()| self.keep(rows, store));
            kept.map_err(|cause| self.failed(cause))?;
            done
        } else {
            let rows = typed::<F, Change<T>>(rows);
            let store = cx.stores.get_mut::<ReferrerStore<F, K, V>>(self.store);
            let found = store.look(rows.iter().map(|row| &row.key), &mut self.slots);
            found.map_err(|cause| self.failed(cause))?;
            self.answer_all(rows, cx, &mut out)
        };
        emit(cx, 0, out);
        done
    }
}
