//! Folds the values of several streams into one table or into windows, each in its own way, by turn
//! (rule T2).
//!
//! Each input has a fold of its own over the one store, so that a record costs what it costs in any
//! fold, whatever the types of the others.

use super::exchange::settle;
use super::fold::{self, Add, Fold, Init, Spec};
use super::lookup::check;
use super::slice_fold::Combine;
use super::{session_fold, window_fold};
use crate::draft::{Draft, maker};
use crate::format::Format;
use crate::gap::Fixed;
use crate::row::{Batch, emit};
use crate::show;
use crate::state::{Hops, Merge};
use crate::{Data, Key, SameKey, SessionTable, Stream, Table, WindowTable};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use suiro_core::Timestamp;
use suiro_engine::{
    BoxRows, Context, Edge, Failure, MakeOperator, Operator, RowQueue, Show, Stores,
};

/// An input: it knows the type of its values, and makes their fold.
trait Part<A>: Send + Sync {
    fn whole(&self, shared: &fold::Shared<A>) -> Box<dyn Operator>;
    fn windows(&self, shared: &window_fold::Shared<A>) -> Box<dyn Operator>;
    fn sessions(&self, shared: &session_fold::Shared<A, Fixed>) -> Box<dyn Operator>;
}

struct Input<K, V, A> {
    add: Add<A, V>,
    keys: PhantomData<fn() -> K>,
}

impl<K: Key, V: Data, A: Data> Part<A> for Input<K, V, A> {
    fn whole(&self, shared: &fold::Shared<A>) -> Box<dyn Operator> {
        Box::new(Fold::<K, V, A>::new(shared, Arc::clone(&self.add)))
    }

    fn windows(&self, shared: &window_fold::Shared<A>) -> Box<dyn Operator> {
        shared.fold(&self.add, tell_without_values::<K, V>)
    }

    fn sessions(&self, shared: &session_fold::Shared<A, Fixed>) -> Box<dyn Operator> {
        shared.fold(&self.add, tell_without_values::<K, V>)
    }
}

/// Late records of all inputs are one stream, and their values of several types.
fn tell_without_values<K: Key, V: Data>(cx: &mut Context<'_>, late: Batch<K, V>) {
    let late = late.into_iter().map(|record| record.with_value(()));
    emit(cx, 1, late.collect::<Batch<K, ()>>());
}

/// What is said so far: the inputs, how each is folded, and how letters show it.
pub(crate) struct Inputs<K: 'static, A> {
    draft: Draft,
    keys: &'static dyn Format<K>,
    name: String,
    init: Init<A>,
    from: Vec<Edge>,
    parts: Vec<Box<dyn Part<A>>>,
    shows: Vec<Show>,
}

impl<K: Key, A: Data> Inputs<K, A> {
    pub(crate) fn new<V: Data>(
        first: Stream<K, V>,
        name: &str,
        init: Init<A>,
        add: Add<A, V>,
    ) -> Self {
        let (draft, keys, name) = (first.draft.clone(), first.keys, name.to_owned());
        let (from, parts, shows) = (Vec::new(), Vec::new(), Vec::new());
        let mut inputs = Self { draft, keys, name, init, from, parts, shows };
        inputs.push(first, add);
        inputs
    }

    /// The name of the fold, and where mistakes are noted.
    pub(crate) fn place(&self) -> (&str, &Draft) {
        (&self.name, &self.draft)
    }

    /// Adds another input. Its keys must be written as those of the first are.
    pub(crate) fn add<J: Key + SameKey<K>, V: Data>(
        &mut self,
        stream: Stream<J, V>,
        add: Add<A, V>,
    ) {
        check::<K>(&self.draft, (self.keys.name(), false), &stream.draft, stream.keys.name());
        let stream: Box<dyn Any> = Box::new(stream);
        let stream = stream.downcast::<Stream<K, V>>();
        self.push(*stream.expect("`SameKey` holds for equal types only"), add);
    }

    fn push<V: Data>(&mut self, stream: Stream<K, V>, add: Add<A, V>) {
        let name = format!("{}-{}", self.name, self.from.len() + 1);
        let stream = settle(stream, &name);
        self.from.push(stream.from);
        self.shows.push(show::both::<K, V>(self.keys));
        self.parts.push(Box::new(Input::<K, V, A> { add, keys: PhantomData }));
    }

    pub(crate) fn table(self) -> Table<K, A> {
        self.draw(|draft, spec, init, parts| {
            fold::draw(draft, spec, init, |shared| make(parts, move |part| part.whole(&shared)))
        })
    }

    pub(crate) fn windows(
        self,
        hops: Hops,
        combine: Option<Combine<A>>,
    ) -> WindowTable<K, (), A> {
        self.draw(|draft, spec, init, parts| {
            window_fold::draw(draft, spec, hops, (init, combine), |shared| {
                make(parts, move |part| part.windows(&shared))
            })
        })
    }

    /// The gap of `sessions`, and their grace in milliseconds.
    pub(crate) fn sessions(
        self,
        sessions: (Fixed, i64),
        merge: Merge<A>,
    ) -> SessionTable<K, (), A> {
        self.draw(|draft, spec, init, parts| {
            session_fold::draw(draft, spec, sessions, (init, merge), |shared| {
                make(parts, move |part| part.sessions(&shared))
            })
        })
    }

    fn draw<T>(
        self,
        draw: impl FnOnce(&Draft, Spec<'_, K>, Init<A>, Vec<Box<dyn Part<A>>>) -> (T, usize),
    ) -> T {
        let Self { draft, keys, name, init, from, parts, shows } = self;
        let spec = Spec { keys, name: &name, kind: "cogroup", inputs: from };
        let (table, node) = draw(&draft, spec, init, parts);
        for (port, show) in shows.into_iter().enumerate() {
            draft.show((node, port), show);
        }
        table
    }
}

fn make<A: 'static>(
    parts: Vec<Box<dyn Part<A>>>,
    fold: impl Fn(&dyn Part<A>) -> Box<dyn Operator> + Send + Sync + 'static,
) -> MakeOperator {
    maker(move |_| Cogroup { folds: parts.iter().map(|part| fold(&**part)).collect() })
}

struct Cogroup {
    /// By port.
    folds: Vec<Box<dyn Operator>>,
}

impl Operator for Cogroup {
    fn foresee(&mut self, port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        self.folds[port].foresee(0, rows, count, stores);
    }

    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        self.folds[port].process(0, rows, cx)
    }

    // Of what goes by time, and of windows that close, all know the same: it is in the store.
    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.folds[0].observe(at, cx)
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.folds[0].advance(cx)
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.folds[0].end(cx)
    }

    fn rollback(&mut self) {
        self.folds.iter_mut().for_each(|fold| fold.rollback());
    }
}
