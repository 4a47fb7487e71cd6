//! What a processor names its stores, tables and outputs by.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// Names a store of a processor: one row of type `A` for each key.
///
/// It is made by [`Process::store`](crate::Process::store), is copied into the processor, and
/// is used with [`Turn::get`](crate::Turn::get), `put`, `update` and `remove`.
///
/// ```
/// use suiro::{Outcome, Processor, StoreOf, Turn};
///
/// struct Counter {
///     seen: StoreOf<u64>,
/// }
///
/// impl Processor for Counter {
///     type Key = String;
///     type In = String;
///     type Timer = ();
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
///         turn.update(self.seen, |seen| *seen = Some(seen.unwrap_or(0) + 1));
///         Ok(())
///     }
/// }
/// ```
pub struct StoreOf<A>(Handle<A>);

/// Names an output of a processor: a stream of values of type `U`.
///
/// It is made by [`Process::output`](crate::Process::output), is copied into the processor, and
/// is used with [`Turn::send`](crate::Turn::send).
///
/// ```
/// use suiro::{Outcome, OutputOf, Processor, Turn};
///
/// struct Sorted {
///     small: OutputOf<u64>,
///     large: OutputOf<String>,
/// }
///
/// impl Processor for Sorted {
///     type Key = String;
///     type In = u64;
///     type Timer = ();
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, cents: u64) -> Outcome {
///         match cents {
///             ..100 => turn.send(self.small, cents),
///             _ => turn.send(self.large, format!("{} euros", cents / 100)),
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct OutputOf<U>(Handle<U>);

/// Names a table in which a processor looks rows up.
///
/// It is made by [`Process::table`](crate::Process::table), is copied into the processor, and is
/// used with [`Turn::look_up`](crate::Turn::look_up).
///
/// ```
/// use suiro::{Outcome, OutputOf, Processor, TableOf, Turn};
///
/// struct Priced {
///     prices: TableOf<u64>,
///     bills: OutputOf<u64>,
/// }
///
/// impl Processor for Priced {
///     type Key = String;
///     type In = u64;
///     type Timer = ();
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, count: u64) -> Outcome {
///         let price = turn.look_up(self.prices).ok_or("an article without a price")?;
///         turn.send(self.bills, count * price);
///         Ok(())
///     }
/// }
/// ```
pub struct TableOf<R>(Handle<R>);

/// A place among the things of a processor, with the type of what is there.
struct Handle<A> {
    node: usize,
    place: usize,
    types: PhantomData<fn() -> A>,
}

impl<A> Clone for Handle<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Handle<A> {}

impl<A: Any> Handle<A> {
    /// The place, for the processor of that node.
    #[inline]
    fn place(self, kind: &str, node: usize, names: &Names) -> usize {
        if self.node != node {
            names.refuse(kind, self.node, node);
        }
        self.place
    }
}

/// How the processors of a program are called, by node.
#[derive(Default)]
pub(crate) struct Names(Mutex<BTreeMap<usize, String>>);

impl Names {
    pub(crate) fn add(&self, node: usize, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node, name.to_owned());
    }

    /// Says that a handle of one processor was used in another, which no compiler sees: a
    /// processor is code, and what it uses is known when it uses it.
    #[cold]
    fn refuse(&self, kind: &str, made: usize, used: usize) -> ! {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let name = |node| names.get(&node).map_or("of another topology", String::as_str);
        let (made, used) = (name(made), name(used));
        panic!(
            "`{kind}` of a processor is used in another one; give each its own \
             made_by=`{made}` used_by=`{used}`"
        )
    }
}

macro_rules! handle {
    ($name:ident) => {
        impl<A> Clone for $name<A> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<A> Copy for $name<A> {}

        impl<A> fmt::Debug for $name<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("place", &self.0.place).finish()
            }
        }

        impl<A: Any> $name<A> {
            pub(super) fn new(node: usize, place: usize) -> Self {
                Self(Handle { node, place, types: PhantomData })
            }

            #[inline]
            pub(super) fn place(self, node: usize, names: &Names) -> usize {
                self.0.place(stringify!($name), node, names)
            }
        }
    };
}

handle!(StoreOf);
handle!(OutputOf);
handle!(TableOf);
