//! Steps of the user's own: typed stores, timers, and several outputs (rules R1 to R5).

mod define;
mod handles;
mod parts;
mod turn;

pub use define::Process;
pub(crate) use handles::Names;
pub use handles::{OutputOf, StoreOf, TableOf};
pub(crate) use parts::{Buffer, Parts};
pub use turn::Turn;

use crate::{Data, Key};

/// What a turn of a [`Processor`] comes to. Any error can be returned with `?`; then the policy
/// of the step decides, as it does after a panic.
///
/// ```
/// use suiro::Outcome;
///
/// fn take(text: &str) -> Outcome {
///     let _number: u64 = text.parse()?;
///     Ok(())
/// }
/// assert!(take("7").is_ok() && take("many").is_err());
/// ```
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A step of your own: what it does with a record, and when a timer fires. It is drawn by
/// [`Stream::process`](crate::Stream::process).
///
/// A processor remembers nothing by itself (it is shared by all tasks, and its methods take
/// `&self`): what it knows of a key is in stores, so that it is committed, rolled back, and
/// restored with all else. Its code must not look at clocks, files or the network; the time of
/// day is [`Turn::wall_time`].
///
/// * **R1** Records are taken one at a time, in turn (rule T2). What a turn sends has the key, the
///   time and the headers of its record (rule H1).
/// * **R2** A timer of event time fires when the stream time of the step (rule T4) has come to its
///   time: before the record that moved the time is taken, as rows go that go by time (rule A5),
///   or in a silence (rule T5). So it knows what was true at its time, and nothing of later.
///   Timers fire in order of time, key bytes, and the order in which those of a key were set;
///   each sees what the ones before it did. What one sends has its time, and no headers. One
///   that is set for a time that has come fires as soon as the turn at hand is over.
/// * **R3** A timer of wall time fires at the first round of the engine in which the time of day
///   has come to its time, in the same order; what was due while the program did not run fires
///   at the start. What it sends has the stream time of the step and no headers. When it fires is
///   an input, and so outside of rule D1; what it did is committed together with the
///   positions, and once.
/// * **R4** A timer is told from others by its key, its name, and whether it is of event or wall
///   time. Setting it for another time moves it, behind those of its key that are set
///   already; setting it for the same time changes nothing.
/// * **R5** At the end of a bounded run the timers of event time that are set fire, once, in their
///   order and with their own times; stream time is not advanced, and what they set for later
///   stays. Timers of wall time stay, too.
///
/// If a turn fails, by an error or a panic, and the policy is not to stop, then all that it did is
/// taken back: rows, timers, and what it sent. A record is skipped, or becomes a letter; a timer
/// that fails has fired, and its letter shows the key and the name of the timer.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Outcome, OutputOf, Processor, StoreOf, TestDriver, Topic, Topology, Turn};
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// enum Event {
///     Ordered { cents: u64 },
///     Paid,
/// }
///
/// #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
/// enum Due {
///     Reminder,
///     Cancelled,
/// }
///
/// /// Reminds of orders that are not paid after half an hour, and cancels them after a day.
/// struct Reminders {
///     unpaid: StoreOf<u64>,
///     reminders: OutputOf<u64>,
///     cancelled: OutputOf<u64>,
/// }
///
/// impl Processor for Reminders {
///     type Key = String;
///     type In = Event;
///     type Timer = Due;
///
///     fn on_record(&self, turn: &mut Turn<'_, Self>, event: Event) -> Outcome {
///         match event {
///             Event::Ordered { cents } => {
///                 turn.put(self.unpaid, cents);
///                 turn.set_timer(Due::Reminder, turn.at() + Duration::from_mins(30));
///                 turn.set_timer(Due::Cancelled, turn.at() + Duration::from_hours(24));
///             }
///             Event::Paid => {
///                 turn.remove(self.unpaid).ok_or("paid without an order")?;
///                 turn.cancel_timer(&Due::Reminder);
///                 turn.cancel_timer(&Due::Cancelled);
///             }
///         }
///         Ok(())
///     }
///
///     fn on_timer(&self, turn: &mut Turn<'_, Self>, due: Due) -> Outcome {
///         match (due, turn.get(self.unpaid).copied()) {
///             (Due::Reminder, Some(cents)) => turn.send(self.reminders, cents),
///             (Due::Cancelled, Some(cents)) => {
///                 turn.remove(self.unpaid);
///                 turn.send(self.cancelled, cents);
///             }
///             (_, None) => {}
///         }
///         Ok(())
///     }
/// }
///
/// const ORDERS: Topic<String, u64> = Topic::json("orders");
/// const PAYMENTS: Topic<String, u64> = Topic::json("payments");
/// const REMINDERS: Topic<String, u64> = Topic::json("reminders");
/// const CANCELLED: Topic<String, u64> = Topic::json("cancelled");
///
/// let topology = Topology::new("shop");
/// let orders = topology.stream(&ORDERS).map(|cents| Event::Ordered { cents });
/// let payments = topology.stream(&PAYMENTS).map(|_| Event::Paid);
///
/// let mut process = orders.merge(payments).process("payments");
/// let unpaid = process.store("unpaid");
/// let (reminders, reminded) = process.output();
/// let (cancelled, given_up) = process.output();
/// process.with(Reminders { unpaid, reminders, cancelled });
/// reminded.to(&REMINDERS);
/// given_up.to(&CANCELLED);
///
/// let minutes = |minutes: i64| minutes * 60_000;
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&ORDERS, "o-1".into(), 250, minutes(0))?;
/// driver.send(&ORDERS, "o-2".into(), 900, minutes(5))?;
/// driver.send(&PAYMENTS, "o-1".into(), 250, minutes(20))?;
/// driver.send(&ORDERS, "o-3".into(), 120, minutes(60))?;
/// let reminders = driver.read(&REMINDERS)?;
/// assert_eq!(reminders.len(), 1);
/// assert_eq!((&*reminders[0].key, reminders[0].value), ("o-2", 900));
/// assert_eq!(reminders[0].at.as_millis(), minutes(35));
/// # Ok::<(), suiro::Error>(())
/// ```
#[doc(alias = "ProcessorSupplier")]
#[doc(alias = "KeyedProcessFunction")]
#[doc(alias = "Transformer")]
pub trait Processor: Sized + Send + Sync + 'static {
    /// The key of its records: what it knows, it knows by key.
    type Key: Key;
    /// The value of its records. To read several streams, [`merge`](crate::Stream::merge) them as
    /// values of one enum: they come in the order of their turns (rule T2).
    type In: Data;
    /// What its timers are called, such as an enum of what may be due, or `()`. It is kept, so it
    /// is durable as the rows of a store are.
    type Timer: Data + PartialEq;

    /// Takes a record.
    fn on_record(&self, turn: &mut Turn<'_, Self>, value: Self::In) -> Outcome;

    /// Takes the turn of a timer, which is no longer set. A processor that sets timers must have
    /// it: without it a timer that fires is an error.
    #[doc(alias = "punctuate")]
    fn on_timer(&self, turn: &mut Turn<'_, Self>, timer: Self::Timer) -> Outcome {
        let _ = (turn, timer);
        Err("a timer fired, and the processor has no `on_timer`".into())
    }
}
