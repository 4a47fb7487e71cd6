//! A topic as a typed constant: the only place where types are written down.

use crate::format::{Format, Json, JsonKey, Raw, Text, Unkeyed};
use crate::{Data, Key, NoKey};
use bytes::Bytes;
use std::borrow::Cow;

/// A named topic whose keys are `K` and whose values are `V`, with their formats.
///
/// Declare it once, as a constant, next to the types it carries. Every stream, closure and
/// test that touches the topic takes its types from here.
///
/// ```
/// use suiro::Topic;
///
/// const SCORES: Topic<String, u64> = Topic::json("scores");
/// assert_eq!(SCORES.name(), "scores");
/// ```
pub struct Topic<K: 'static, V: 'static> {
    name: Cow<'static, str>,
    pub(crate) keys: &'static dyn Format<K>,
    pub(crate) values: &'static dyn Format<V>,
}

impl<K: Key, V: Data> Topic<K, V> {
    /// JSON values. String and integer keys are plain text, as other Kafka programs write
    /// them; other keys are JSON.
    ///
    /// ```
    /// use suiro::{Log, Producer, Reader, Topic};
    ///
    /// #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     cents: u64,
    /// }
    /// const ORDERS: Topic<String, Order> = Topic::json("orders");
    ///
    /// let log = Log::in_memory();
    /// let mut orders = Producer::open(&log, &ORDERS)?;
    /// orders.create(1)?;
    /// orders.send("ann".into(), Order { cents: 250 }, 0)?;
    /// orders.flush()?;
    /// let raw = Reader::open(&log, &Topic::text("orders"))?.read_to_end()?;
    /// assert_eq!(raw[0].value.as_deref(), Some(r#"{"cents":250}"#));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub const fn json(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &JsonKey, values: &Json }
    }
}

impl<K: 'static, V: 'static> Topic<K, V> {
    /// A topic with formats of your choice, one for keys and one for values.
    ///
    /// ```
    /// use suiro::{Integer, Log, Producer, Reader, Text, Topic};
    ///
    /// const NAMES: Topic<u64, String> = Topic::of("names", &Integer, &Text);
    ///
    /// let log = Log::in_memory();
    /// let mut names = Producer::open(&log, &NAMES)?;
    /// names.create(1)?;
    /// names.send(7, "ann".into(), 0)?;
    /// names.flush()?;
    /// let raw = Reader::open(&log, &Topic::bytes("names"))?.read_to_end()?;
    /// assert_eq!(raw[0].key[..], [0, 0, 0, 0, 0, 0, 0, 7]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub const fn of(
        name: &'static str,
        keys: &'static dyn Format<K>,
        values: &'static dyn Format<V>,
    ) -> Self {
        Self { name: Cow::Borrowed(name), keys, values }
    }

    /// The same topic under a name that is known only when the program runs.
    ///
    /// ```
    /// use suiro::Topic;
    ///
    /// const SCORES: Topic<String, u64> = Topic::json("scores");
    /// assert_eq!(SCORES.named("scores-eu").name(), "scores-eu");
    /// ```
    #[must_use]
    pub fn named(&self, name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), keys: self.keys, values: self.values }
    }

    /// The name.
    ///
    /// ```
    /// use suiro::Topic;
    ///
    /// const SCORES: Topic<String, u64> = Topic::json("scores");
    /// assert_eq!(SCORES.name(), "scores");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Topic<Bytes, Bytes> {
    /// Keys and values as they are.
    ///
    /// ```
    /// use suiro::{Bytes, TestDriver, Topic, Topology};
    ///
    /// const FRAMES: Topic<Bytes, Bytes> = Topic::bytes("frames");
    /// const SMALL: Topic<Bytes, Bytes> = Topic::bytes("small-frames");
    ///
    /// let topology = Topology::new("frames");
    /// topology.stream(&FRAMES).filter(|frame| frame.len() < 4).to(&SMALL);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&FRAMES, "camera".into(), Bytes::from_static(b"\x00\xff"), 0)?;
    /// assert_eq!(driver.read(&SMALL)?[0].value[..], [0, 255]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub const fn bytes(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &Raw, values: &Raw }
    }
}

impl Topic<String, String> {
    /// Keys and values in plain UTF-8.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LINES: Topic<String, String> = Topic::text("lines");
    /// const COUNTS: Topic<String, u64> = Topic::json("line-counts");
    ///
    /// let topology = Topology::new("lines");
    /// topology.stream(&LINES).count("counts").to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LINES, "ann".into(), "tea, please".into(), 0)?;
    /// assert_eq!(driver.read(&COUNTS)?[0].value, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub const fn text(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &Text, values: &Text }
    }
}

impl<V: Data> Topic<NoKey, V> {
    /// A topic without keys, and with JSON values. Its stream has no stateful steps until
    /// [`key_by`](crate::Stream::key_by) gives it keys.
    ///
    /// ```
    /// use suiro::{NoKey, TestDriver, Topic, Topology};
    ///
    /// const VISITS: Topic<NoKey, String> = Topic::unkeyed("visits");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("visits");
    /// topology.stream(&VISITS).key_by(|page| page.clone()).count("counts").to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&VISITS, NoKey, "home".into(), 0)?;
    /// assert_eq!(driver.read_last(&COUNTS)?["home"], 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub const fn unkeyed(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &Unkeyed, values: &Json }
    }
}

impl<K: 'static, V: 'static> Clone for Topic<K, V> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), keys: self.keys, values: self.values }
    }
}

impl<K: 'static, V: 'static> std::fmt::Debug for Topic<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("Topic");
        text.field("name", &self.name).field("keys", &self.keys.name());
        text.field("values", &self.values.name()).finish()
    }
}
