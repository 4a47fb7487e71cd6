//! The topics of a log.

use crate::frame::Place;
use crate::partition::Partition;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro_core::broker::TopicSpec;
use suiro_core::{Error, Result, TopicPartition};

/// The longest name of a topic's directory.
const LONGEST: usize = 249;

/// The topics of a log, by number and by name.
#[derive(Default)]
pub(crate) struct Catalog {
    topics: Vec<Topic>,
    numbers: HashMap<Arc<str>, u32>,
}

/// A topic and its partitions. One that was removed keeps its number and its name, and has no
/// partitions.
pub(crate) struct Topic {
    pub spec: TopicSpec,
    pub partitions: Vec<Arc<Partition>>,
    pub dir: PathBuf,
}

impl Topic {
    /// Whether it was removed.
    pub fn is_gone(&self) -> bool {
        self.partitions.is_empty()
    }
}

impl Catalog {
    /// All topics that ever were, by their numbers.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The topic called `name`.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(*self.numbers.get(name)? as usize)
    }

    /// The number of the topic called `name`.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// Adds a topic, unless there is one of this name.
    pub fn add(&mut self, root: &Path, spec: TopicSpec) {
        if !self.numbers.contains_key(&spec.name) {
            self.push(root, spec);
        }
    }

    /// Takes what a checkpoint has under a number; one without partitions was removed.
    pub fn restore(&mut self, root: &Path, number: u32, spec: TopicSpec) -> Option<&Topic> {
        match self.topics.get(number as usize) {
            None => self.push(root, spec),
            Some(_) if spec.partitions == 0 => self.remove(number),
            Some(_) => {}
        }
        self.topics.get(number as usize)
    }

    /// Removes a topic.
    pub fn remove(&mut self, number: u32) {
        let Some(topic) = self.topics.get_mut(number as usize) else { return };
        topic.spec.partitions = 0;
        topic.partitions.clear();
        if self.numbers.get(&topic.spec.name) == Some(&number) {
            self.numbers.remove(&topic.spec.name);
        }
    }

    fn push(&mut self, root: &Path, spec: TopicSpec) {
        let number = u32::try_from(self.topics.len()).expect("there are fewer topics");
        let mut dir = topic_dir(root, &spec.name);
        if self.topics.iter().any(|topic| topic.spec.name == spec.name) {
            // Files of the topic that had the name before may still be there.
            dir.as_mut_os_string().push(format!("@{number}"));
        }
        let at = dir.as_path();
        let partition = |partition: u32| {
            let name = TopicPartition::new(Arc::clone(&spec.name), partition);
            let dir = at.join(partition.to_string());
            Arc::new(Partition::new(name, (number, partition), spec.cleanup, dir))
        };
        let partitions: Vec<_> = (0..spec.partitions).map(partition).collect();
        if !partitions.is_empty() {
            self.numbers.insert(Arc::clone(&spec.name), number);
        }
        self.topics.push(Topic { spec, partitions, dir });
    }

    /// The partition called `name`.
    pub fn partition(&self, name: &TopicPartition) -> Result<&Arc<Partition>> {
        let topic = self.topic(&name.topic).ok_or_else(|| {
            Error::invalid("topic does not exist: create it first").with("topic", &name.topic)
        })?;
        topic.partitions.get(name.partition as usize).ok_or_else(|| {
            Error::invalid("topic has no such partition")
                .with("topic", &name.topic)
                .with("partition", name.partition)
                .with("partitions", topic.partitions.len())
        })
    }

    /// The partition at `place`.
    pub fn at(&self, (topic, partition): Place) -> Option<&Arc<Partition>> {
        self.topics.get(topic as usize)?.partitions.get(partition as usize)
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.topics.iter().flat_map(|topic| &topic.partitions)
    }

    /// Whether `spec` still has to be created; an error if it cannot be.
    pub fn is_new(&self, spec: &TopicSpec) -> Result<bool> {
        let wrong = |message: &str| Err(Error::invalid(message).with("topic", &spec.name));
        match self.topic(&spec.name) {
            Some(topic) if topic.spec.partitions == spec.partitions => Ok(false),
            Some(topic) => {
                Err(Error::invalid("topic exists with another number of partitions")
                    .with("topic", &spec.name)
                    .with("partitions", topic.spec.partitions)
                    .with("wanted", spec.partitions))
            }
            None if spec.partitions == 0 => wrong("topic needs at least one partition"),
            None if spec.name.is_empty() => wrong("topic needs a name"),
            None if escape(&spec.name).len() > LONGEST => {
                wrong("name of the topic is too long")
            }
            None => Ok(true),
        }
    }
}

/// The directory of all topics.
pub(crate) fn topics_dir(root: &Path) -> PathBuf {
    root.join("topics")
}

fn topic_dir(root: &Path, name: &str) -> PathBuf {
    topics_dir(root).join(escape(name))
}

/// A topic's name as the name of a directory: what is not a plain letter becomes `%` and its
/// byte.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => escaped += "%2E",
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                escaped.push(byte.into());
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_become_directories() {
        assert_eq!(escape("app.counts-1_x"), "app.counts-1_x");
        assert_eq!(escape("../etc/é"), "%2E.%2Fetc%2F%C3%A9");
    }
}
