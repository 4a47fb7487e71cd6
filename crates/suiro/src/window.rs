//! Windows: the values of a key, grouped by time.

use crate::operators::fold::{Add, Init};
use crate::operators::session_fold::{self, Merge};
use crate::operators::window_fold;
use crate::{Data, Key, Stream, Topic};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::time::millis;
use suiro_core::{Error, Timestamp};

/// Windows of one fixed size, side by side, aligned to the epoch: `[start, start + size)`
/// (rule W1).
///
/// ```
/// use std::time::Duration;
/// use suiro::{TestDriver, Topic, Topology, Tumbling};
///
/// const SALES: Topic<String, u64> = Topic::json("sales");
/// const HOURLY: Topic<String, u64> = Topic::json("hourly-sales");
///
/// let topology = Topology::new("sales");
/// topology
///     .stream(&SALES)
///     .window(Tumbling::of(Duration::from_secs(10)))
///     .fold("hourly", || 0, |sum, sale| *sum += sale)
///     .on_close()
///     .map(|window| window.value)
///     .to(&HOURLY);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (sale, at) in [(1, 0), (2, 9_999), (4, 10_000)] {
///     driver.send(&SALES, "shop".into(), sale, at)?;
/// }
/// assert_eq!(driver.read(&HOURLY)?[0].value, 3);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    pub(crate) size: Duration,
    pub(crate) grace: Duration,
}

impl Tumbling {
    /// Windows of `size`, at least a millisecond, and no grace.
    pub fn of(size: Duration) -> Self {
        Self { size, grace: Duration::ZERO }
    }

    /// How long after its end a window still takes late records (rule W4).
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }
}

/// Windows that last while records keep coming, and end after a pause: `[first, last]`
/// (rule W3).
///
/// A record that is within the gap of two sessions merges them:
///
/// ```
/// use std::time::Duration;
/// use suiro::{Sessions, TestDriver, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
/// const VISITS: Topic<String, String> = Topic::json("visits");
///
/// let sessions = Sessions::with_gap(Duration::from_secs(5)).grace(Duration::from_secs(60));
/// let topology = Topology::new("visits");
/// topology
///     .stream(&CLICKS)
///     .window(sessions)
///     .fold("visits", String::new, |all, page| *all += &page, |all, later| *all += &later)
///     .on_close()
///     .map(|visit| visit.value)
///     .to(&VISITS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for (page, at) in [("a", 0), ("b", 9_000), ("c", 4_500), ("d", 200_000)] {
///     driver.send(&CLICKS, "ann".into(), page.into(), at)?;
/// }
/// assert_eq!(driver.read(&VISITS)?[0].value, "abc");
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    pub(crate) gap: Duration,
    pub(crate) grace: Duration,
}

impl Sessions {
    /// A session ends when nothing happened for longer than `gap`.
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap, grace: Duration::ZERO }
    }

    /// How long after its end a session still takes late records (rule W4).
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }
}

/// A value together with its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InWindow<A> {
    /// The first time in the window.
    pub start: Timestamp,
    /// The end of the window: exclusive for tumbling windows, inclusive for sessions.
    pub end: Timestamp,
    /// The result of the fold.
    pub value: A,
}

/// A stream on its way to a windowed fold.
#[must_use = "windows do nothing until they are folded"]
pub struct Windowed<K: 'static, V: 'static, W> {
    stream: Stream<K, V>,
    windows: W,
}

impl<K: 'static, V: 'static> Stream<K, V> {
    /// Groups the values of each key by time, before a fold.
    pub fn window<W>(self, windows: W) -> Windowed<K, V, W>
    where
        K: Key,
        V: Data,
    {
        Windowed { stream: self, windows }
    }
}

impl<K: Key, V: Data> Windowed<K, V, Tumbling> {
    /// Folds the values in each window, in order of their arrival. `name` names the store and
    /// its changelog for good.
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
    ) -> WindowTable<K, V, A> {
        let Self { stream, windows } = self;
        let size = millis(windows.size);
        if size == 0 {
            let text = "a window needs a size of a millisecond at least";
            stream.draft.refuse(Error::invalid(text).with("fold", name));
        }
        let spec = window_fold::Spec { size: size.max(1), grace: millis(windows.grace) };
        let (init, add): (Init<A>, Add<A, V>) = (Arc::new(init), Arc::new(add));
        window_fold::add(stream, name, spec, init, add)
    }

    /// Counts the records in each window.
    pub fn count(self, name: &str) -> WindowTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1)
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// Folds the values in each session. `merge` takes the state of a later session into that
    /// of an earlier one, when a record joins the two. `name` names the store for good.
    pub fn fold<A: Data>(
        self,
        name: &str,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&mut A, V) + Send + Sync + 'static,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> SessionTable<K, V, A> {
        let Self { stream, windows } = self;
        let spec =
            session_fold::Spec { gap: millis(windows.gap), grace: millis(windows.grace) };
        let (init, add): (Init<A>, Add<A, V>) = (Arc::new(init), Arc::new(add));
        let merge: Merge<A> = Arc::new(merge);
        session_fold::add(stream, name, spec, init, add, merge)
    }

    /// Counts the records in each session.
    pub fn count(self, name: &str) -> SessionTable<K, V, u64> {
        self.fold(name, || 0, |count, _| *count += 1, |count, later| *count += later)
    }
}

/// Windows that were told when to speak. None are: telling them makes a stream of them. So the
/// steps that ask for it cannot be used, but the compiler says in our words what is missing.
#[diagnostic::on_unimplemented(
    message = "these windows were not told when to speak",
    label = "first say `on_close()` or `on_update()`",
    note = "`on_close()` gives each window once, when it closes; `on_update()` at every update"
)]
pub trait Told {}

/// A windowed fold that has not been told when to speak.
#[must_use = "say when the windows speak: `on_close()` or `on_update()`"]
pub struct WindowTable<K: 'static, V: 'static, A: 'static> {
    pub(crate) results: Stream<K, InWindow<A>>,
    pub(crate) late: Stream<K, V>,
    pub(crate) emit: window_fold::Emit,
}

impl<K: Key, V: Data, A: Data> WindowTable<K, V, A> {
    /// Each window once, with its final value, when it closes (rule W5).
    #[doc(alias = "suppress")]
    pub fn on_close(self) -> Stream<K, InWindow<A>> {
        self.emit.on_close();
        self.results
    }

    /// Each window at every update.
    pub fn on_update(self) -> Stream<K, InWindow<A>> {
        self.emit.on_update();
        self.results
    }

    /// The records that came too late for their window, unchanged.
    #[doc(alias = "sideOutputLateData")]
    pub fn late(&self) -> Stream<K, V> {
        self.emit.want_late();
        self.late.clone()
    }

    #[doc(hidden)]
    pub fn to(self, topic: &Topic<K, InWindow<A>>)
    where
        Self: Told,
    {
        self.on_close().to(topic);
    }

    #[doc(hidden)]
    pub fn map<W: Send + 'static>(
        self,
        change: impl Fn(InWindow<A>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        Self: Told,
    {
        self.on_close().map(change)
    }
}

/// A fold over sessions that has not been told when to speak.
#[must_use = "say when the sessions speak: `on_close()` or `on_update()`"]
pub struct SessionTable<K: 'static, V: 'static, A: 'static> {
    pub(crate) results: Stream<K, InWindow<Option<A>>>,
    pub(crate) late: Stream<K, V>,
    pub(crate) emit: window_fold::Emit,
}

impl<K: Key, V: Data, A: Data> SessionTable<K, V, A> {
    /// Each session once, with its final value, when it closes (rule W5).
    pub fn on_close(self) -> Stream<K, InWindow<A>> {
        self.emit.on_close();
        crate::operators::each::add(self.results, "on_close", |rows, out| {
            for row in rows {
                let InWindow { start, end, value } = row.value;
                let value = value.map(|value| InWindow { start, end, value });
                out.extend(value.map(|value| crate::Record {
                    key: row.key,
                    value,
                    at: row.at,
                    headers: row.headers,
                }));
            }
            Ok(())
        })
    }

    /// Each session at every update. A session whose bounds change is replaced: `None` first
    /// says that the one with the old bounds is gone (rule W6).
    pub fn on_update(self) -> Stream<K, InWindow<Option<A>>> {
        self.emit.on_update();
        self.results
    }

    /// The records that came too late for their session, unchanged.
    #[doc(alias = "sideOutputLateData")]
    pub fn late(&self) -> Stream<K, V> {
        self.emit.want_late();
        self.late.clone()
    }

    #[doc(hidden)]
    pub fn to(self, topic: &Topic<K, InWindow<A>>)
    where
        Self: Told,
    {
        self.on_close().to(topic);
    }

    #[doc(hidden)]
    pub fn map<W: Send + 'static>(
        self,
        change: impl Fn(InWindow<A>) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        Self: Told,
    {
        self.on_close().map(change)
    }
}
