//! Windows: the values of a key, grouped by time.

mod cogroup;
mod count;
mod dynamic;
mod hopping;
mod session;
mod sliding;
mod tumbling;
mod within;

pub use cogroup::WindowedCogroup;
pub use count::{CountTable, CountWindows};
pub use dynamic::DynamicSessions;
pub use hopping::Hopping;
pub use session::{SessionTable, Sessions};
pub use sliding::Sliding;
pub use tumbling::{Tumbling, WindowTable};
pub use within::Within;

use crate::{Data, Key, Stream};
use serde::{Deserialize, Serialize};
use suiro_core::Timestamp;

/// A value together with its window. The key stays as it was, so nothing has to move.
///
/// ```
/// use std::time::Duration;
/// use suiro::{InWindow, TestDriver, Topic, Topology, Tumbling};
///
/// const SALES: Topic<String, u64> = Topic::json("sales");
/// const COUNTS: Topic<String, InWindow<u64>> = Topic::json("counts");
///
/// let topology = Topology::new("sales");
/// let sales = topology.stream(&SALES).window(Tumbling::of(Duration::from_secs(10)));
/// sales.count("counts").on_update().to(&COUNTS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&SALES, "shop".into(), 1, 12_000)?;
/// let window = driver.read(&COUNTS)?[0].value;
/// assert_eq!((window.start, window.end), (10_000.into(), 20_000.into()));
/// assert_eq!(window.value, 1);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InWindow<A> {
    /// The first time in the window.
    pub start: Timestamp,
    /// The end of the window: exclusive for tumbling and hopping windows, inclusive for sliding and
    /// count windows and sessions.
    pub end: Timestamp,
    /// The result of the fold.
    pub value: A,
}

/// A stream on its way to a windowed fold: [`Stream::window`] gives it, `fold` or `count` takes
/// it.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Topic, Topology, Tumbling, Windowed};
///
/// const SALES: Topic<String, u64> = Topic::json("sales");
///
/// let topology = Topology::new("sales");
/// let sales = topology.stream(&SALES);
/// let minutes: Windowed<String, u64, Tumbling> =
///     sales.window(Tumbling::of(Duration::from_mins(1)));
/// let _counts = minutes.count("per-minute").on_close();
/// assert!(topology.build()?.describe().contains("per-minute"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "windows do nothing until they are folded"]
pub struct Windowed<K: 'static, V: 'static, W> {
    stream: Stream<K, V>,
    windows: W,
}

impl<K: 'static, V: 'static, W: std::fmt::Debug> std::fmt::Debug for Windowed<K, V, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Windowed").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> Stream<K, V> {
    /// Groups the values of each key by time, before a fold: [`Tumbling`], [`Hopping`],
    /// [`Sliding`], [`Sessions`] or [`CountWindows`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const PLAYS: Topic<String, u64> = Topic::json("plays");
    /// const LONGEST: Topic<String, u64> = Topic::json("longest-play");
    ///
    /// let topology = Topology::new("plays");
    /// let gap = Duration::from_hours(1);
    /// let evenings = topology.stream(&PLAYS).window(Sessions::with_gap(gap));
    /// let take = |max: &mut u64, seconds: u64| *max = seconds.max(*max);
    /// let longest = evenings.fold("longest", || 0, take, take);
    /// longest.on_close().map(|evening| evening.value).to(&LONGEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&PLAYS, "ann".into(), 180, 0)?;
    /// driver.send(&PLAYS, "ann".into(), 240, 60_000)?;
    /// driver.finish()?;
    /// assert_eq!(driver.read(&LONGEST)?[0].value, 240);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn window<W>(self, windows: W) -> Windowed<K, V, W>
    where
        K: Key,
        V: Data,
    {
        Windowed { stream: self, windows }
    }
}

/// Windows that were told when to speak. None are: telling them makes a stream of them. So the
/// steps that ask for it cannot be used, but the compiler says in our words what is missing.
#[diagnostic::on_unimplemented(
    message = "these windows were not told when to speak",
    label = "first say `on_close()`, `on_update()` or `every(..)`",
    note = "`on_close()` gives each window once, when it closes; `on_update()` at every update; \
            `every(..)` what has changed, so often"
)]
pub trait Told {}
