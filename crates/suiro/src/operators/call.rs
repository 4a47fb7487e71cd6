//! Makes a call for each record, and hands on what it brings, with the record's key, time and
//! headers.
//!
//! Two parts: one makes the calls and hears of their ends, and the other says what becomes of those
//! that failed. So a failed call meets the policy as the failure of any step does.

use super::each;
use super::exchange::settle;
use crate::calls::{Asking, Calls};
use crate::draft::{maker, step_node};
use crate::row::{Batch, emit, typed};
use crate::show;
use crate::state::{Answer, CallStore, Due};
use crate::{Data, Key, Record, Stream};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use suiro_core::Error;
use suiro_engine::{Asks, BoxRows, Context, Edge, Failure, Operator, Stores};

/// A record and what its call has brought.
type Called<V, W> = (V, Answer<W>);

/// Makes calls as `how` says; `ask` makes one of a value.
pub(crate) fn add<K: Key, V: Data, W: Clone + Send + Sync + 'static>(
    stream: Stream<K, V>,
    (name, how): (&str, Calls),
    ask: Asking<V, W>,
) -> Stream<K, W> {
    let stream = settle(stream, name);
    let (keys, draft) = (stream.keys, stream.draft.clone());
    how.check(name).unwrap_or_else(|error| draft.refuse(error));
    let label = format!("call {name}, {how}");
    let store = draft.store(name, None, move || CallStore::<K, V, W>::new(keys, how.in_order));
    let make = maker(move |_| Call::<K, V, W> {
        store,
        limit: how.limit,
        ask: Arc::clone(&ask),
        inbox: Arc::default(),
        one_by_one: false,
        types: PhantomData,
    });
    let mut node = step_node(&label, vec![stream.from], make);
    node.stores.push(store);
    // How long a call takes has nothing to do with stream time.
    node.delay = i64::MAX;
    let node = draft.add(node);
    draft.sketch().graph.askers.insert(node);
    draft.show((node, 0), show::both::<K, V>(keys));
    let called = Stream::<K, Called<V, W>>::new(&draft, Edge { node, output: 0 }, keys);
    let results = each::add_to(called, draft.step(label), |rows, out| {
        for Record { key, value: (_, answer), at, headers } in rows {
            let failed = |cause| Error::invalid("the call failed").caused_by(cause);
            out.push(Record { key, value: answer.map_err(failed)?, at, headers });
        }
        Ok(())
    });
    let shown = show::with(keys, |(value, _): &Called<V, W>, out| {
        crate::format::write_state(value, out).is_ok()
    });
    draft.show((results.from.node, 0), shown);
    results
}

/// The ends of calls that were not yet heard of: the record, the call, and what it has brought.
type Inbox<W> = Arc<Mutex<Vec<(u64, u64, Answer<W>)>>>;

struct Call<K, V, W> {
    store: usize,
    limit: usize,
    ask: Asking<V, W>,
    inbox: Inbox<W>,
    /// Something failed behind it: what was handed on goes again, one record in each round, so that
    /// the one that fails is known.
    one_by_one: bool,
    types: PhantomData<fn() -> K>,
}

/// So many records for each call that may be under way are enough to keep them busy.
const BACKLOG: usize = 4;

impl<K: Key, V: Data, W: Clone + Send + Sync + 'static> Call<K, V, W> {
    /// Makes calls while there is room.
    fn start(&self, cx: &mut Context<'_>) {
        while let Some(due) =
            cx.stores.get_mut::<CallStore<K, V, W>>(self.store).start(self.limit)
        {
            let Due { number, token, value } = due;
            let outside = cx.stores.outside();
            let call = (self.ask)(value, outside.executor.clone());
            let (inbox, waker) = (Arc::clone(&self.inbox), Arc::clone(&outside.waker));
            outside.executor.spawn(Box::pin(async move {
                let answer = call.await;
                let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
                inbox.push((number, token, answer));
                drop(inbox);
                waker.wake();
            }));
        }
    }
}

impl<K: Key, V: Data, W: Clone + Send + Sync + 'static> Operator for Call<K, V, W> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let store = cx.stores.get_mut::<CallStore<K, V, W>>(self.store);
        typed::<K, V>(rows).into_iter().for_each(|record| store.keep(record));
        self.start(cx);
        Ok(())
    }

    fn hear(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let ends =
            std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        let store = cx.stores.get_mut::<CallStore<K, V, W>>(self.store);
        for (number, token, answer) in ends {
            store.end(number, token, answer);
        }
        let mut called: Batch<K, Called<V, W>> = Vec::new();
        while let Some((record, answer)) = store.take() {
            let Record { key, value, at, headers } = record;
            called.push(Record { key, value: (value, answer), at, headers });
            if self.one_by_one {
                break;
            }
        }
        self.one_by_one &= store.has_answers();
        emit(cx, 0, called);
        self.start(cx);
        Ok(())
    }

    fn asks(&self, stores: &Stores) -> Asks {
        let under_way = stores.get::<CallStore<K, V, W>>(self.store).len();
        Asks {
            is_owed: under_way > 0,
            is_full: under_way >= self.limit.saturating_mul(BACKLOG),
        }
    }

    fn rollback(&mut self) {
        self.one_by_one = true;
    }
}
