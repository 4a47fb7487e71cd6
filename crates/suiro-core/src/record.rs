//! What a log is made of: offsets, partitions of topics, headers.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The number of a record in its partition, from 0. A position is the offset of the next
/// record to read.
pub type Offset = i64;

/// One partition of one topic. Cheap to clone.
///
/// ```
/// use suiro_core::TopicPartition;
///
/// let views = TopicPartition::new("views", 3);
/// assert_eq!(views.to_string(), "views/3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The name of the topic.
    pub topic: Arc<str>,
    /// The number of the partition, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Partition number `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A named value that travels with a record. A value may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name; names may repeat.
    pub key: String,
    /// The value, or nothing.
    pub value: Option<Bytes>,
}

/// The headers of a record, in order. Cloning shares them; a record without headers carries
/// one null pointer.
///
/// ```
/// use suiro_core::Headers;
///
/// let headers: Headers = [("trace", "7f")].into_iter().collect();
/// assert_eq!(headers.get("trace").map(|value| &value[..]), Some(&b"7f"[..]));
/// assert!(Headers::default().is_empty());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// No headers.
    pub const NONE: Self = Self(None);

    /// The headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_deref().map_or(&[][..], Vec::as_slice).iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_deref().map_or(0, Vec::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the last header called `key`, if it has one.
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.iter().rev().find(|header| header.key == key)?.value.as_ref()
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Self {
        Self((!headers.is_empty()).then(|| Arc::new(headers)))
    }
}

impl<K: Into<String>, V: Into<Bytes>> FromIterator<(K, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(headers: I) -> Self {
        headers
            .into_iter()
            .map(|(key, value)| Header { key: key.into(), value: Some(value.into()) })
            .collect::<Vec<_>>()
            .into()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
