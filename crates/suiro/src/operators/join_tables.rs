//! Two tables with the same key: an update on either side changes the joined row (Q1 to Q3).
//! The kinds of join differ only in which sides a joined row needs.

use super::lookup::{check, same_key};
use crate::draft::{maker, step_node};
use crate::row::{emit, typed};
use crate::step::Step;
use crate::table::{Change, Demand, View, copy_changes, show_change};
use crate::{Data, Key, Record, SameKey, Table};
use std::sync::Arc;
use suiro_core::{Error, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, Stores};

/// Makes the joined row of the rows of both sides, or none where the kind of join has none.
pub(crate) type Combine<V, T, W> =
    Arc<dyn Fn(Option<&V>, Option<&T>) -> Option<W> + Send + Sync>;

pub(crate) fn add<K, V, J, T, W>(
    left: Table<K, V>,
    right: &Table<J, T>,
    label: &str,
    combine: Combine<V, T, W>,
) -> Table<K, W>
where
    K: Key,
    V: Data,
    J: Key + SameKey<K>,
    T: Data,
    W: Data,
{
    let draft = left.draft.clone();
    check::<K>(&draft, (left.keys.name(), false), &right.draft, right.keys.name());
    if left.reads.iter().any(|store| right.reads.contains(store)) {
        draft.refuse(Error::invalid(
            "a table cannot be joined with a table that is made of it; make the joined row with \
             one `map`",
        ));
    }
    left.demand.want_old();
    right.demand.want_old();
    let step = draft.step(label);
    let demand = Demand::default();
    let views = (Arc::clone(&left.view), same_key::<K, J, T>(&right.view));
    let make = {
        let (demand, views, combine) = (demand.clone(), views.clone(), Arc::clone(&combine));
        maker(move |_| JoinTables {
            views: views.clone(),
            combine: Arc::clone(&combine),
            step: step.clone(),
            demand: demand.clone(),
        })
    };
    let mut reads = left.reads.clone();
    reads.extend(&right.reads);
    let mut node = step_node(label, vec![left.from, right.from], make);
    node.outputs = vec![Some(copy_changes::<K, W>())];
    node.stores.clone_from(&reads);
    node.looks.extend(right.reads.iter().map(|store| (0, *store)));
    node.looks.extend(left.reads.iter().map(|store| (1, *store)));
    let node = draft.add(node);
    draft.show((node, 0), show_change::<K, V>(left.keys));
    draft.show((node, 1), show_change::<K, T>(left.keys));
    let from = Edge { node, output: 0 };
    let view: View<K, W> = Arc::new(move |stores, key, show| {
        let (left, right) = &views;
        seen(stores, left, key, &mut |row| {
            seen(stores, right, key, &mut |other| {
                let joined = combine(row.map(|(row, _)| row), other.map(|(row, _)| row));
                if let Some(joined) = joined {
                    let times = [row.map(|(_, at)| at), other.map(|(_, at)| at)];
                    let at = times.into_iter().flatten().max();
                    show(&joined, at.expect("a joined row is made of one row at least"));
                }
                Ok(())
            })
        })
    });
    Table::new(&draft, from, left.keys, view, reads, demand, None)
}

struct JoinTables<K, V, T, W> {
    views: (View<K, V>, View<K, T>),
    combine: Combine<V, T, W>,
    step: Step,
    demand: Demand,
}

/// Is shown a row with its time, or that there is none.
type Seen<'a, V> = dyn FnMut(Option<(&V, Timestamp)>) -> Result<()> + 'a;

/// Shows the row of `key` with its time once, or once that there is none.
fn seen<K, V>(
    stores: &Stores,
    view: &View<K, V>,
    key: &K,
    show: &mut Seen<'_, V>,
) -> Result<()> {
    let mut shown = None;
    view(stores, key, &mut |row, at| shown = Some(show(Some((row, at)))))?;
    shown.unwrap_or_else(|| show(None))
}

impl<K: Key, V: Data, T: Data, W: Data> JoinTables<K, V, T, W> {
    /// The change of the joined row that a change on one side makes, seen with what the other
    /// side has; none if there was no joined row and is none (rules Q2 and A6).
    fn join<S: Data, O: Data>(
        &self,
        stores: &Stores,
        view: &View<K, O>,
        (key, change, at): (&K, &Change<S>, Timestamp),
        pair: impl Fn(Option<&S>, Option<&O>) -> Option<W>,
    ) -> Result<Option<(Change<W>, Timestamp)>> {
        let mut joined = None;
        seen(stores, view, key, &mut |other| {
            let (other, other_at) = other.unzip();
            let old = pair(change.old.as_ref(), other);
            let new = pair(change.new.as_ref(), other);
            if old.is_some() || new.is_some() {
                joined =
                    Some((Change { old, new }, other_at.map_or(at, |other| at.max(other))));
            }
            Ok(())
        })?;
        Ok(joined)
    }
}

/// A store failed, and not the record: that is nothing for a policy.
fn broken_by(error: Error, broken: &mut Option<Error>) -> Result<()> {
    *broken = Some(error);
    Ok(())
}

impl<K: Key, V: Data, T: Data, W: Data> Operator for JoinTables<K, V, T, W> {
    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if !self.demand.changes() {
            return Ok(());
        }
        let (mut out, mut broken) = (Vec::new(), None);
        let stores = &*cx.stores;
        let combine = &self.combine;
        if port == 0 {
            let mut rows = typed::<K, Change<V>>(rows).into_iter();
            self.step.stateless(cx.counters, || {
                for Record { key, value, at, headers } in &mut rows {
                    let change = (&key, &value, at);
                    match self.join(stores, &self.views.1, change, |l, r| combine(l, r)) {
                        Ok(None) => {}
                        Ok(Some((value, at))) => out.push(Record { key, value, at, headers }),
                        Err(error) => return broken_by(error, &mut broken),
                    }
                }
                Ok(())
            })?;
        } else {
            let mut rows = typed::<K, Change<T>>(rows).into_iter();
            self.step.stateless(cx.counters, || {
                for Record { key, value, at, headers } in &mut rows {
                    let change = (&key, &value, at);
                    match self.join(stores, &self.views.0, change, |r, l| combine(l, r)) {
                        Ok(None) => {}
                        Ok(Some((value, at))) => out.push(Record { key, value, at, headers }),
                        Err(error) => return broken_by(error, &mut broken),
                    }
                }
                Ok(())
            })?;
        }
        if let Some(error) = broken {
            return Err(Failure::stop(&self.step.label, error));
        }
        emit(cx, 0, out);
        Ok(())
    }
}
