//! Sends each change of a left row to the key that it names.

use super::{Answer, Foreign, Reference, Row, Says, Version};
use crate::draft::{maker, step_node};
use crate::format::{Format, Integer};
use crate::operators::join_tables::Combine;
use crate::policy::Rule;
use crate::row::{Batch, copy, emit, typed};
use crate::state::TableStore;
use crate::step::{Step, caught};
use crate::table::{Change, show_change};
use crate::{Data, Key, Record, Stream, Table};
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::{Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

/// What goes to the keys that rows name, and what goes back to the left key at once.
type Sent<K, V, F, W> = (Stream<F, Reference<K, V>>, Stream<K, Answer<W>>);

/// The pair of a row that names no key, if it makes one.
type Lone<V, W> = Arc<dyn Fn(&V) -> Option<W> + Send + Sync>;

/// Where a row leads.
enum Aim<V, F, W> {
    /// To a key.
    Key(F, V),
    /// To none; the pair that it makes alone, if it makes one.
    Nowhere(Option<W>),
}

pub(super) fn add<K: Key, V: Data, F: Key, T: Data, W: Data>(
    left: Table<K, V>,
    keys: &'static dyn Format<F>,
    (name, label): (&str, &str),
    foreign: Foreign<V, F>,
    combine: &Combine<V, T, W>,
) -> Sent<K, V, F, W> {
    left.demand.want_old();
    let label = format!("{label} {name}: refer");
    let (draft, step) = (left.draft.clone(), left.draft.step(&label));
    let versions = draft
        .store(&format!("{name}.versions"), None, || TableStore::<u32, u64>::small(&Integer));
    let combine = Arc::clone(combine);
    let alone: Lone<V, W> = Arc::new(move |row| combine(Some(row), None));
    let make = maker(move |info| Refer::<K, V, F, W> {
        lane: info.partition,
        versions,
        foreign: Arc::clone(&foreign),
        alone: Arc::clone(&alone),
        step: step.clone(),
        keys: PhantomData,
    });
    let mut node = step_node(&label, vec![left.from], make);
    node.outputs = vec![Some(copy::<F, Reference<K, V>>), Some(copy::<K, Answer<W>>)];
    node.stores.push(versions);
    let node = draft.add(node);
    draft.show((node, 0), show_change::<K, V>(left.keys));
    let references = Stream::new(&draft, Edge { node, output: 0 }, keys);
    let direct = Stream::new(&draft, Edge { node, output: 1 }, left.keys);
    (references.with_moved(true), direct)
}

struct Refer<K, V, F, W> {
    lane: u32,
    /// The store of the number of the last change, under the number of this task.
    versions: usize,
    foreign: Foreign<V, F>,
    alone: Lone<V, W>,
    step: Step,
    keys: PhantomData<fn() -> K>,
}

/// What a batch sends.
struct Out<K, V, F, W> {
    references: Batch<F, Reference<K, V>>,
    direct: Batch<K, Answer<W>>,
}

impl<K: Key, V: Data, F: Key, W: Data> Refer<K, V, F, W> {
    /// The key that a row named which was there before. One whose key cannot be told was passed
    /// over when it came, and named none.
    fn old_foreign(&self, row: &V) -> Result<Option<F>> {
        match caught(|| Ok((self.foreign)(row))) {
            Err(_) if self.step.policy.get().is_some_and(|rule| rule != Rule::Stop) => Ok(None),
            found => found,
        }
    }

    fn aim(&self, row: V) -> Result<Aim<V, F, W>> {
        caught(|| {
            Ok(match (self.foreign)(&row) {
                Some(foreign) => Aim::Key(foreign, row),
                None => Aim::Nowhere((self.alone)(&row)),
            })
        })
    }

    /// Sends what follows from a change.
    fn take(
        &self,
        record: Record<K, Change<V>>,
        version: Version,
        out: &mut Out<K, V, F, W>,
    ) -> Result<()> {
        let Record { key, value: Change { old, new }, at, headers } = record;
        let from = old.as_ref().map_or(Ok(None), |row| self.old_foreign(row))?;
        let (aim, failed) = match new.map(|row| self.aim(row)).transpose() {
            Ok(aim) => (aim.unwrap_or(Aim::Nowhere(None)), Ok(())),
            Err(cause) => (Aim::Nowhere(None), Err(cause)),
        };
        let mut direct = |says, headers| {
            let value = Answer { version, says };
            out.direct.push(Record { key: key.clone(), value, at, headers });
        };
        let (mut has_left, mut new) = (from.is_some(), None);
        match aim {
            Aim::Key(foreign, row) => {
                has_left = from.as_ref().is_some_and(|from| *from != foreign);
                if from.is_none() {
                    direct(Says::Begun, Headers::NONE);
                }
                new = Some((foreign, Some(Row(row))));
            }
            Aim::Nowhere(Some(pair)) => direct(Says::Pair(pair, None), headers.clone()),
            Aim::Nowhere(None) if old.is_some() => direct(Says::Alone, headers.clone()),
            Aim::Nowhere(None) => {}
        }
        // First to the new key: what comes of the old one must not be the last word.
        let gone = from.filter(|_| has_left).map(|from| (from, None));
        for (foreign, row) in new.into_iter().chain(gone) {
            let value = Reference { key: key.clone(), version, row };
            let headers = headers.clone();
            out.references.push(Record { key: foreign, value, at, headers });
        }
        failed
    }
}

impl<K: Key, V: Data, F: Key, W: Data> Operator for Refer<K, V, F, W> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<K, Change<V>>(rows);
        let store = cx.stores.get_mut::<TableStore<u32, u64>>(self.versions);
        let slot = store.cells.edit(&self.lane);
        let number = slot.get_or_insert_with(|| 0);
        let mut out = Out { references: Vec::with_capacity(rows.len()), direct: Vec::new() };
        let mut rows = rows.into_iter();
        let done = self.step.stateless(cx.counters, || {
            for record in &mut rows {
                *number += 1;
                self.take(record, Version(self.lane, *number), &mut out)?;
            }
            Ok(())
        });
        slot.set_at(Timestamp::ZERO);
        emit(cx, 0, out.references);
        emit(cx, 1, out.direct);
        done
    }
}
