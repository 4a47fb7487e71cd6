//! Folds the values of several streams into one table, each in its own way, by turn (rule T2).
//!
//! Each input has a fold of its own over the one store, so that a record costs what it costs in any
//! fold, whatever the types of the others.

use super::exchange::settle;
use super::fold::{Add, Fold, Init, Shared, Spec, draw};
use super::lookup::check;
use crate::draft::{Draft, maker};
use crate::format::Format;
use crate::show;
use crate::{Data, Key, SameKey, Stream, Table};
use std::any::Any;
use std::sync::Arc;
use suiro_core::Timestamp;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator, RowQueue, Show, Stores};

/// Makes the fold of an input.
type Part<A> = Arc<dyn Fn(&Shared<A>) -> Box<dyn Operator> + Send + Sync>;

/// What is said so far: the inputs, how each is folded, and how letters show it.
pub(crate) struct Inputs<K: 'static, A> {
    draft: Draft,
    keys: &'static dyn Format<K>,
    name: String,
    init: Init<A>,
    from: Vec<Edge>,
    parts: Vec<Part<A>>,
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
        self.parts.push(Arc::new(move |shared| {
            Box::new(Fold::<K, V, A>::new(shared, Arc::clone(&add)))
        }));
    }

    pub(crate) fn table(self) -> Table<K, A> {
        let Self { draft, keys, name, init, from, parts, shows } = self;
        let spec = Spec { keys, name: &name, kind: "cogroup", inputs: from };
        let (table, node) = draw(&draft, spec, init, |shared| {
            let make =
                move |_| Cogroup { folds: parts.iter().map(|part| part(&shared)).collect() };
            maker(make)
        });
        for (port, show) in shows.into_iter().enumerate() {
            draft.show((node, port), show);
        }
        table
    }
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

    // Of what goes by time all know the same: it is in the store.
    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.folds[0].observe(at, cx)
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.folds[0].advance(cx)
    }

    fn rollback(&mut self) {
        self.folds.iter_mut().for_each(|fold| fold.rollback());
    }
}
