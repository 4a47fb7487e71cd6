//! What an app has left, before it is taken away.

use std::fmt;
use suiro_core::Result;

/// What an app has left: what [`App::reset`](crate::App::reset) found. It prints as a list of
/// what [`carry_out`](Reset::carry_out) would remove.
///
/// ```
/// use suiro::{App, Log, Reset, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("clicks");
/// let _counts = topology.stream(&CLICKS).count("counts");
/// let (plan, log) = (topology.build()?, Log::in_memory());
/// App::new(plan.clone(), log.clone()).partitions(2).run_to_end()?;
///
/// let reset: Reset = App::new(plan, log).reset()?;
/// assert!(reset.to_string().contains("topic     clicks.counts.changelog with 2 partitions"));
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Reset(pub(crate) suiro_engine::Reset);

impl fmt::Debug for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reset")
            .field("positions", &self.0.positions)
            .field("topics", &self.0.topics)
            .field("stores", &self.0.stores)
            .field("snapshots", &self.0.snapshots)
            .field("members", &self.0.members)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Reset {
    /// Whether the app has left nothing on the log, and no snapshot.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// assert!(App::new(topology.build()?, Log::in_memory()).reset()?.is_empty());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all of it. Do not start the app before it is done.
    ///
    /// # Errors
    ///
    /// `Invalid`, and nothing is removed, while a process runs the app; on Kafka one that died
    /// counts until its `session.timeout.ms` is over. After any other error a part may be
    /// removed: then reset the app once more, before it is started.
    ///
    /// ```
    /// use suiro::{App, Log, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let (plan, log) = (topology.build()?, Log::in_memory());
    /// let app = || App::new(plan.clone(), log.clone()).partitions(2);
    ///
    /// let running = app().start()?;
    /// assert!(app().reset()?.carry_out().is_err());
    /// running.shutdown()?;
    /// app().reset()?.carry_out()?;
    /// assert!(app().reset()?.is_empty());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn carry_out(self) -> Result<()> {
        self.0.carry_out()
    }
}
