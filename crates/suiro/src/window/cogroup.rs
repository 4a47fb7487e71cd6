//! Windows over several streams in one fold.

use super::{Hopping, SessionTable, Sessions, Tumbling, WindowTable};
use crate::operators::cogroup::Inputs;
use crate::operators::slice_fold::Combine;
use crate::{Cogroup, Data, Key};
use std::sync::Arc;

/// Several streams on their way to one windowed fold: [`Cogroup::window`] gives it, and `table`
/// folds them.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Topic, Topology, Tumbling, WindowedCogroup};
///
/// const ORDERS: Topic<u32, u64> = Topic::json("orders");
///
/// let topology = Topology::new("shop");
/// let orders = topology.stream(&ORDERS).cogroup("hourly", || 0, |sum, pieces| *sum += pieces);
/// let hours: WindowedCogroup<u32, u64, Tumbling> =
///     orders.window(Tumbling::of(Duration::from_hours(1)));
/// let _sums = hours.table().on_close();
/// assert!(topology.build()?.describe().contains("tumbling cogroup hourly"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "windows do nothing until `table` has folded the streams"]
pub struct WindowedCogroup<K: 'static, A: 'static, W> {
    inputs: Inputs<K, A>,
    windows: W,
}

impl<K, A, W: std::fmt::Debug> std::fmt::Debug for WindowedCogroup<K, A, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowedCogroup")
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

impl<K: Key, A: Data> Cogroup<K, A> {
    /// Groups the values of all streams by time, before the fold: [`Tumbling`], [`Hopping`] or
    /// [`Sessions`]. The windows have one time, which the records of all streams move (rule T4).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const ORDERS: Topic<u32, u64> = Topic::json("orders");
    /// const PAYMENTS: Topic<u32, f64> = Topic::json("payments");
    /// const HOURLY: Topic<u32, (u64, f64)> = Topic::json("hourly");
    ///
    /// let topology = Topology::new("shop");
    /// let payments = topology.stream(&PAYMENTS);
    /// topology
    ///     .stream(&ORDERS)
    ///     .cogroup("hourly", || (0, 0.0), |hour, pieces| hour.0 += pieces)
    ///     .with(payments, |hour, euros| hour.1 += euros)
    ///     .window(Tumbling::of(Duration::from_hours(1)))
    ///     .table()
    ///     .on_close()
    ///     .map(|hour| hour.value)
    ///     .to(&HOURLY);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, 7, 3, 0)?;
    /// driver.send(&PAYMENTS, 7, 9.5, 60_000)?;
    /// driver.send(&ORDERS, 7, 1, 3_600_000)?;
    /// assert_eq!(driver.read(&HOURLY)?[0].value, (3, 9.5));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "windowedBy")]
    #[doc(alias = "TimeWindowedCogroupedKStream")]
    pub fn window<W>(self, windows: W) -> WindowedCogroup<K, A, W> {
        WindowedCogroup { inputs: self.inputs, windows }
    }
}

impl<K: Key, A: Data> WindowedCogroup<K, A, Tumbling> {
    /// The windows of what the streams come to. The values of late records are of several types:
    /// [`late`](WindowTable::late) gives the records without them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const PLUS: Topic<u32, i64> = Topic::json("plus");
    /// const MINUS: Topic<u32, i64> = Topic::json("minus");
    /// const LATE: Topic<u32, ()> = Topic::json("late");
    ///
    /// let topology = Topology::new("sums");
    /// let minus = topology.stream(&MINUS);
    /// let sums = topology.stream(&PLUS).cogroup("sums", || 0, |sum, more| *sum += more);
    /// let sums = sums.with(minus, |sum, less| *sum -= less);
    /// let minutes = sums.window(Tumbling::of(Duration::from_mins(1))).table();
    /// minutes.late().to(&LATE);
    /// let _sums = minutes.on_close();
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PLUS, 1, 7, 60_000)?;
    /// driver.send(&MINUS, 1, 4, 0)?;
    /// assert_eq!(driver.read(&LATE)?[0].at.as_millis(), 0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn table(self) -> WindowTable<K, (), A> {
        let hops = self.windows.hops(self.inputs.place());
        self.inputs.windows(hops, None)
    }
}

impl<K: Key, A: Data> WindowedCogroup<K, A, Hopping> {
    /// The windows of what the streams come to. The values of late records are of several types:
    /// [`late`](WindowTable::late) gives the records without them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const PLUS: Topic<u32, i64> = Topic::json("plus");
    /// const MINUS: Topic<u32, i64> = Topic::json("minus");
    /// const SUMS: Topic<u32, i64> = Topic::json("sums");
    ///
    /// let topology = Topology::new("sums");
    /// let minus = topology.stream(&MINUS);
    /// let sums = topology.stream(&PLUS).cogroup("sums", || 0, |sum, more| *sum += more);
    /// let sums = sums.with(minus, |sum, less| *sum -= less);
    /// let minutes = Hopping::of(Duration::from_mins(2)).every(Duration::from_mins(1));
    /// let minutes = sums.window(minutes).table().combining(|sum, more| *sum += more);
    /// minutes.on_close().map(|minute| minute.value).to(&SUMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PLUS, 1, 7, 0)?;
    /// driver.send(&MINUS, 1, 4, 60_000)?;
    /// driver.finish()?;
    /// let sums: Vec<_> = driver.read(&SUMS)?.into_iter().map(|sum| sum.value).collect();
    /// assert_eq!(sums, [3, -4]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn table(self) -> WindowTable<K, (), A> {
        let hops = self.windows.hops(self.inputs.place());
        self.inputs.windows(hops, Some(Combine::default()))
    }
}

impl<K: Key, A: Data> WindowedCogroup<K, A, Sessions> {
    /// The sessions of what the streams come to; `merge` takes the state of a later session into
    /// that of an earlier one. The values of late records are of several types:
    /// [`late`](SessionTable::late) gives the records without them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const VIEWS: Topic<u32, String> = Topic::json("views");
    /// const CLICKS: Topic<u32, u64> = Topic::json("clicks");
    /// const VISITS: Topic<u32, (u64, u64)> = Topic::json("visits");
    ///
    /// let topology = Topology::new("visits");
    /// let clicks = topology.stream(&CLICKS);
    /// let visits = topology.stream(&VIEWS).cogroup("visits", || (0, 0), |visit, _| visit.0 += 1);
    /// visits
    ///     .with(clicks, |visit, _| visit.1 += 1)
    ///     .window(Sessions::with_gap(Duration::from_mins(30)))
    ///     .table(|visit, later| *visit = (visit.0 + later.0, visit.1 + later.1))
    ///     .on_close()
    ///     .map(|visit| visit.value)
    ///     .to(&VISITS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&VIEWS, 7, "home".into(), 0)?;
    /// driver.send(&CLICKS, 7, 1, 60_000)?;
    /// driver.finish()?;
    /// assert_eq!(driver.read(&VISITS)?[0].value, (1, 1));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn table(
        self,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> SessionTable<K, (), A> {
        self.inputs.sessions(self.windows.spec(), Arc::new(merge))
    }
}
