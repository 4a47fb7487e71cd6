//! What a processor can do in its turn.

use super::parts::Buffer;
use super::{Names, OutputOf, Processor, StoreOf, TableOf};
use crate::row::Batch;
use crate::state::{Clock, Place, Slot, TableStore, TimerStore};
use crate::table::View;
use crate::{Data, Record};
use std::any::Any;
use std::sync::Arc;
use suiro_core::{Error, Headers, Timestamp};
use suiro_engine::Stores;

/// The turn of a record or of a timer: who it is about, and all that can be done about it.
///
/// Stores, timers and tables show the row of the turn's key, and no other: so what a processor
/// knows moves with the key when partitions move. All that is done in a turn is one commit with
/// what else follows from its record; if the turn fails, none of it is done.
///
/// ```
/// use suiro::{Outcome, OutputOf, Processor, StoreOf, TestDriver, Topic, Topology, Turn};
///
/// /// Numbers the orders of each customer.
/// struct Numbering {
///     last: StoreOf<u64>,
///     numbered: OutputOf<(u64, String)>,
/// }
///
/// impl Processor for Numbering {
///     type Key = String;
///     type In = String;
///     type Timer = ();
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, order: String) -> Outcome {
///         let number = turn.get(self.last).map_or(1, |last| last + 1);
///         turn.put(self.last, number);
///         turn.send(self.numbered, (number, order));
///         Ok(())
///     }
/// }
///
/// const ORDERS: Topic<String, String> = Topic::json("orders");
/// const NUMBERED: Topic<String, (u64, String)> = Topic::json("numbered");
///
/// let topology = Topology::new("shop");
/// let mut process = topology.stream(&ORDERS).process("numbering");
/// let last = process.store("last");
/// let (numbered, results) = process.output();
/// process.with(Numbering { last, numbered });
/// results.to(&NUMBERED);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&ORDERS, "ann".into(), "tea".into(), 0)?;
/// driver.send(&ORDERS, "ann".into(), "milk".into(), 1)?;
/// assert_eq!(driver.read(&NUMBERED)?[1].value, (2, "milk".to_owned()));
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Turn<'a, P: Processor> {
    pub(crate) key: &'a P::Key,
    pub(crate) at: Timestamp,
    pub(crate) headers: &'a Headers,
    pub(crate) stream_time: Timestamp,
    pub(crate) wall: Timestamp,
    /// Timers of each clock are set for that time at the earliest.
    pub(crate) earliest: [Timestamp; 2],
    pub(crate) node: usize,
    pub(crate) names: &'a Names,
    pub(crate) slots: &'a [usize],
    pub(crate) places: &'a [Place],
    pub(crate) timers: usize,
    pub(crate) tables: &'a [Arc<dyn Any + Send + Sync>],
    pub(crate) stores: &'a mut Stores,
    pub(crate) outputs: &'a mut [Box<dyn Buffer>],
    /// Why a table could not be read, if one could not.
    pub(crate) broken: &'a mut Option<Error>,
}

impl<P: Processor<Key: std::fmt::Debug>> std::fmt::Debug for Turn<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("key", self.key).field("at", &self.at).finish()
    }
}

impl<P: Processor> Turn<'_, P> {
    /// The key of the record, or of the timer.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, Turn};
    /// # struct Step { told: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     let text = format!("{} says {value}", turn.key());
    ///     turn.send(self.told, text);
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn key(&self) -> &P::Key {
        self.key
    }

    /// The time of the turn, which is that of what it sends: the time of the record; for a timer
    /// of event time the time for which it was set; for one of wall time the stream time.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # use std::time::Duration;
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     turn.set_timer((), turn.at() + Duration::from_mins(30));
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The headers of the record (rule H1); a timer has none.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, Turn};
    /// # struct Step { urgent: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     if turn.headers().iter().any(|header| header.key == "urgent") {
    ///         turn.send(self.urgent, value);
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn headers(&self) -> &Headers {
        self.headers
    }

    /// The stream time of this step: the largest time that has reached it, this record included
    /// (rule T4). Behind an exchange it may be held back by what other partitions have still to
    /// send (rule T6), and be [`Timestamp::MIN`] while all of it is.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, Turn};
    /// # struct Step { out_of_order: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     if turn.at() < turn.stream_time() {
    ///         turn.send(self.out_of_order, value);
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "currentStreamTimeMs")]
    #[doc(alias = "currentWatermark")]
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// The time of day. After a crash a record may be taken again at another time of day: what is
    /// made of it is outside of rule D1.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # use std::time::Duration;
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     turn.set_wall_timer((), turn.wall_time() + Duration::from_secs(1));
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "currentSystemTimeMs")]
    #[doc(alias = "currentProcessingTime")]
    pub fn wall_time(&self) -> Timestamp {
        self.wall
    }

    /// The row of this key in a store, if there is one.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, StoreOf, Turn};
    /// # struct Step { seen: StoreOf<u64>, first: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     if turn.get(self.seen).is_none() {
    ///         turn.send(self.first, value);
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn get<A: Data>(&self, store: StoreOf<A>) -> Option<&A> {
        let place = store.place(self.node, self.names);
        let store = self.stores.get::<TableStore<P::Key, A>>(self.slots[place]);
        store.cells.get_at(self.places[place], self.key).and_then(Slot::get)
    }

    /// Puts a row in the place of the one of this key.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # struct Step { last: StoreOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     turn.put(self.last, value);
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn put<A: Data>(&mut self, store: StoreOf<A>, row: A) {
        self.update(store, |old| *old = Some(row));
    }

    /// Takes away the row of this key, and gives it.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, StoreOf, Turn};
    /// # struct Step { last: StoreOf<String>, replaced: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     if let Some(last) = turn.remove(self.last) {
    ///         turn.send(self.replaced, last);
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn remove<A: Data>(&mut self, store: StoreOf<A>) -> Option<A> {
        self.get(store)?;
        self.update(store, Option::take)
    }

    /// Changes the row of this key: `change` may also put one where there was none, or take it
    /// away. Gives what `change` gives.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, StoreOf, Turn};
    /// # struct Step { seen: StoreOf<u64>, numbers: OutputOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     let seen = turn.update(self.seen, |seen| {
    ///         *seen.insert(seen.unwrap_or(0) + 1)
    ///     });
    ///     turn.send(self.numbers, seen);
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn update<A: Data, R>(
        &mut self,
        store: StoreOf<A>,
        change: impl FnOnce(&mut Option<A>) -> R,
    ) -> R {
        let place = store.place(self.node, self.names);
        let store = self.stores.get_mut::<TableStore<P::Key, A>>(self.slots[place]);
        let slot = store.cells.edit_at(self.places[place], self.key);
        let mut row = slot.replace(None);
        let given = change(&mut row);
        slot.replace(row);
        slot.set_at(self.at);
        given
    }

    /// The row of this key in a table, as it is at this turn (rule K1).
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, TableOf, Turn};
    /// # struct Step { prices: TableOf<u64>, bills: OutputOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = u64;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: u64) -> Outcome {
    ///     let price = turn.look_up(self.prices).ok_or("an article without a price")?;
    ///     turn.send(self.bills, value * price);
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn look_up<R: Data>(&mut self, table: TableOf<R>) -> Option<R> {
        let view =
            self.tables[table.place(self.node, self.names)].downcast_ref::<View<P::Key, R>>();
        let view = view.expect("a handle has the type of the table that it names");
        let mut found = None;
        let looked = view(self.stores, self.key, &mut |row, _| found = Some(row.clone()));
        if let Err(error) = looked {
            self.broken.get_or_insert(error);
        }
        found
    }

    /// Sends a value to an output, with the key, the time and the headers of this turn. What one
    /// turn sends goes output by output, in order of their declaration, and in the order in
    /// which it was sent to each.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, Turn};
    /// # struct Step { zeros: OutputOf<String>, numbers: OutputOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = u64;
    /// #     type Timer = ();
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: u64) -> Outcome {
    ///     match value {
    ///         0 => turn.send(self.zeros, "zero".to_owned()),
    ///         _ => turn.send(self.numbers, value),
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "forward")]
    #[doc(alias = "collect")]
    #[inline]
    pub fn send<U: Send + 'static>(&mut self, output: OutputOf<U>, value: U) {
        let buffer = self.outputs[output.place(self.node, self.names)].as_any_mut();
        let buffer = buffer.downcast_mut::<Batch<P::Key, U>>();
        let buffer = buffer.expect("a handle has the type of the output that it names");
        let (key, at, headers) = (self.key.clone(), self.at, self.headers.clone());
        buffer.push(Record { key, value, at, headers });
    }

    /// Sets a timer of this key that fires when event time has come to `at` (rules R2 and R4). A
    /// key has one timer of each name: one that is set for another time is moved, and one that
    /// is set for this time stays as it is.
    ///
    /// If stream time has come that far already, the timer fires as soon as this turn is over;
    /// so that a timer which sets itself again comes to an end, one that is set by a timer is a
    /// millisecond later than that at least.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # use std::time::Duration;
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     // However often it is set: the key is silent for a minute when it fires.
    ///     turn.set_timer("silent".to_owned(), turn.at() + Duration::from_mins(1));
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "registerEventTimeTimer")]
    #[doc(alias = "schedule")]
    pub fn set_timer(&mut self, name: P::Timer, at: impl Into<Timestamp>) {
        self.set(Clock::Event, name, at.into());
    }

    /// Sets a timer of this key that fires when the time of day has come to `at` (rules R3 and
    /// R4). It has nothing to do with one of event time of the same name.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # use std::time::Duration;
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     turn.set_wall_timer("again".to_owned(), turn.wall_time() + Duration::from_secs(5));
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "registerProcessingTimeTimer")]
    #[doc(alias = "schedule")]
    pub fn set_wall_timer(&mut self, name: P::Timer, at: impl Into<Timestamp>) {
        self.set(Clock::Wall, name, at.into());
    }

    fn set(&mut self, clock: Clock, name: P::Timer, at: Timestamp) {
        let at = at.max(self.earliest[clock as usize]);
        let timers = self.stores.get_mut::<TimerStore<P::Key, P::Timer>>(self.timers);
        timers.set(self.key, clock, name, at, self.at);
    }

    /// Takes back the timer of this name in event time; gives for when it was set, if it was.
    ///
    /// ```
    /// # use suiro::{Outcome, OutputOf, Processor, Turn};
    /// # struct Step { in_time: OutputOf<String> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, value: String) -> Outcome {
    ///     if turn.cancel_timer(&"unpaid".to_owned()).is_some() {
    ///         turn.send(self.in_time, value);
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "deleteEventTimeTimer")]
    pub fn cancel_timer(&mut self, name: &P::Timer) -> Option<Timestamp> {
        self.cancel(Clock::Event, name)
    }

    /// Takes back the timer of this name in wall time; gives for when it was set, if it was.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     turn.cancel_wall_timer(&"again".to_owned());
    ///     Ok(())
    /// }
    /// # }
    /// ```
    #[doc(alias = "deleteProcessingTimeTimer")]
    pub fn cancel_wall_timer(&mut self, name: &P::Timer) -> Option<Timestamp> {
        self.cancel(Clock::Wall, name)
    }

    fn cancel(&mut self, clock: Clock, name: &P::Timer) -> Option<Timestamp> {
        let timers = self.stores.get_mut::<TimerStore<P::Key, P::Timer>>(self.timers);
        timers.cancel(self.key, clock, name, self.at)
    }

    /// For when the timer of this name is set in event time, if it is.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # use std::time::Duration;
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     if turn.timer(&"unpaid".to_owned()).is_none() {
    ///         turn.set_timer("unpaid".to_owned(), turn.at() + Duration::from_mins(30));
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn timer(&self, name: &P::Timer) -> Option<Timestamp> {
        self.stores.get::<TimerStore<P::Key, P::Timer>>(self.timers).when(
            self.key,
            Clock::Event,
            name,
        )
    }

    /// For when the timer of this name is set in wall time, if it is.
    ///
    /// ```
    /// # use suiro::{Outcome, Processor, StoreOf, Turn};
    /// # struct Step { seen: StoreOf<u64> }
    /// # impl Processor for Step {
    /// #     type Key = String;
    /// #     type In = String;
    /// #     type Timer = String;
    /// fn on_record(&self, turn: &mut Turn<'_, Self>, _value: String) -> Outcome {
    ///     if turn.wall_timer(&"again".to_owned()).is_none() {
    ///         turn.set_wall_timer("again".to_owned(), turn.wall_time());
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn wall_timer(&self, name: &P::Timer) -> Option<Timestamp> {
        self.stores.get::<TimerStore<P::Key, P::Timer>>(self.timers).when(
            self.key,
            Clock::Wall,
            name,
        )
    }
}
