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
    pub const fn json(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &JsonKey, values: &Json }
    }
}

impl<K: 'static, V: 'static> Topic<K, V> {
    /// A topic with formats of your choice.
    ///
    /// ```
    /// use suiro::{Integer, Text, Topic};
    ///
    /// const NAMES: Topic<u64, String> = Topic::of("names", &Integer, &Text);
    /// # assert_eq!(NAMES.name(), "names");
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
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Topic<Bytes, Bytes> {
    /// Keys and values as they are.
    pub const fn bytes(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &Raw, values: &Raw }
    }
}

impl Topic<String, String> {
    /// Keys and values in plain UTF-8.
    pub const fn text(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), keys: &Text, values: &Text }
    }
}

impl<V: Data> Topic<NoKey, V> {
    /// A topic without keys, and with JSON values. Its stream has no stateful steps until
    /// [`key_by`](crate::Stream::key_by) gives it keys.
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
