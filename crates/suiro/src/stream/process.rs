//! Steps of the user's own.

use crate::operators;
use crate::{Data, Key, Process, Stream};

impl<K: 'static, V: 'static> Stream<K, V> {
    /// Begins a step of your own, for what no operator does: a [`Processor`](crate::Processor)
    /// with typed stores, timers of each key in event time and in wall time, tables to look at, and
    /// any number of typed outputs. `name` names its stores for good.
    ///
    /// To take several streams, [`merge`](Stream::merge) them first, as values of one enum: their
    /// records come in the order of their turns (rule T2).
    ///
    /// Records are moved to where their keys belong first, if `key_by` gave them new ones. The
    /// key of what comes out is that of what came in; give it another with
    /// [`key_by`](Stream::key_by) behind the step.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Outcome, OutputOf, Processor, TestDriver, Topic, Topology, Turn};
    ///
    /// /// Tells of machines that have said nothing for a minute, by the clock on the wall.
    /// struct Silent {
    ///     silent: OutputOf<&'static str>,
    /// }
    ///
    /// impl Processor for Silent {
    ///     type Key = String;
    ///     type In = f64;
    ///     type Timer = ();
    ///
    ///     fn on_record(&self, turn: &mut Turn<'_, Self>, _load: f64) -> Outcome {
    ///         turn.set_wall_timer((), turn.wall_time() + Duration::from_mins(1));
    ///         Ok(())
    ///     }
    ///
    ///     fn on_timer(&self, turn: &mut Turn<'_, Self>, _: ()) -> Outcome {
    ///         turn.send(self.silent, "silent");
    ///         Ok(())
    ///     }
    /// }
    ///
    /// const LOADS: Topic<String, f64> = Topic::json("loads");
    /// const ALARMS: Topic<String, String> = Topic::json("alarms");
    ///
    /// let topology = Topology::new("machines");
    /// let mut process = topology.stream(&LOADS).process("silent");
    /// let (silent, alarms) = process.output();
    /// process.with(Silent { silent });
    /// alarms.map(String::from).to(&ALARMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LOADS, "m-1".into(), 0.5, 0)?;
    /// driver.send(&LOADS, "m-2".into(), 0.7, 0)?;
    /// driver.advance_to(59_000)?;
    /// driver.send(&LOADS, "m-2".into(), 0.6, 59_000)?;
    /// driver.advance_to(60_000)?;
    /// let alarms = driver.read(&ALARMS)?;
    /// assert_eq!((alarms.len(), &*alarms[0].key), (1, "m-1"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "transform")]
    #[doc(alias = "transformValues")]
    #[doc(alias = "processValues")]
    #[doc(alias = "KeyedProcessFunction")]
    #[doc(alias = "punctuate")]
    pub fn process(self, name: &str) -> Process<K, V>
    where
        K: Key,
        V: Data,
    {
        operators::process::begin(self, name)
    }
}
