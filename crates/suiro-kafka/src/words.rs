//! Strings as the messages want them.

use kafka_protocol::messages::{GroupId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// What is said of partitions, topic by topic: `one` makes the words of a topic out of all that is
/// said of its partitions, in the order given.
pub(crate) fn by_topic<S: AsRef<str> + Ord, P, T>(
    all: impl IntoIterator<Item = (S, P)>,
    one: impl Fn(TopicName, Vec<P>) -> T,
) -> Vec<T> {
    let mut topics = BTreeMap::<S, Vec<P>>::new();
    all.into_iter().for_each(|(name, said)| topics.entry(name).or_default().push(said));
    let topics = topics.into_iter().map(|(name, said)| one(topic(name.as_ref()), said));
    topics.collect()
}

pub(crate) fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

pub(crate) fn transactional(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}
