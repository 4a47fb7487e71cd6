//! How a test driver runs a plan.

use std::time::Duration;
use suiro_engine::ExchangeKind;

/// How a [`TestDriver`](crate::TestDriver) runs a plan. The result must not depend on it (rule
/// D1), so a test may run the same records under several:
///
/// ```
/// use suiro::{ExchangeKind, TestDriver, TestOptions, Topic, Topology};
///
/// const ORDERS: Topic<String, u64> = Topic::json("orders");
/// const TOTALS: Topic<String, u64> = Topic::json("totals");
///
/// fn totals(options: TestOptions) -> suiro::Result<Option<u64>> {
///     let topology = Topology::new("totals");
///     topology.stream(&ORDERS).fold("totals", || 0, |sum, cents| *sum += cents).to(&TOTALS);
///     let mut driver = TestDriver::with_options(topology.build()?, options)?;
///     driver.send(&ORDERS, "ann".into(), 3, 0)?;
///     driver.send(&ORDERS, "ann".into(), 4, 1)?;
///     Ok(driver.read_last(&TOTALS)?.remove("ann"))
/// }
///
/// for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
///     let options = TestOptions { partitions: 3, exchange, ..TestOptions::default() };
///     assert_eq!(totals(options)?, Some(7));
/// }
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// How many partitions source topics have that do not exist yet. Default: 1.
    pub partitions: u32,
    /// How rows cross between tasks. Default: through the internal topic.
    pub exchange: ExchangeKind,
    /// How many rows a task takes at most in one go. Default: 8192.
    pub batch_rows: usize,
    /// How much longer a task waits for an input that is caught up and empty (rule T3), by the
    /// clock of [`TestDriver::advance_to`](crate::TestDriver::advance_to). Default: not at all.
    pub max_idle: Duration,
    /// Whether each send is followed by a run (the default). If not, call
    /// [`TestDriver::run`](crate::TestDriver::run).
    pub run_at_send: bool,
    /// Whether tables hold as few rows in memory as they can; the others are in a store below,
    /// as with [`App::stores`](crate::App::stores). Default: no.
    pub lean: bool,
    /// How many threads share the tasks. Default: 1, that of the test.
    pub threads: usize,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            exchange: ExchangeKind::Topic,
            batch_rows: 8192,
            max_idle: Duration::ZERO,
            run_at_send: true,
            lean: false,
            threads: 1,
        }
    }
}
