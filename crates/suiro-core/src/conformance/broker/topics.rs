//! Describing and creating topics.

use super::Subject;
use super::world::World;
use crate::broker::{Cleanup, Seek, TopicSpec};
use crate::{ErrorKind, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

fn specs(world: &World) -> Vec<TopicSpec> {
    let delete =
        Cleanup::Delete { after: Some(Duration::from_secs(3600)), bytes: Some(1 << 30) };
    [("one", 1, Cleanup::Keep), ("two", 2, Cleanup::Compact), ("three", 3, delete)]
        .map(|(name, partitions, cleanup)| TopicSpec {
            name: world.name(name),
            partitions,
            cleanup,
        })
        .to_vec()
}

/// Describe tells of the topics that exist, in the order asked, as they were created; of all
/// if it is asked for none.
pub fn topics_are_described(subject: Subject) {
    let mut world = World::new("topics_are_described", subject);
    let specs = specs(&world);
    let [one, two, three] = [0, 1, 2].map(|index| specs[index].clone());
    let mut party = world.party();
    let asked: Vec<Arc<str>> =
        ["three", "absent", "one", "two"].map(|name| world.name(name)).to_vec();

    let before = party.describe(&asked);
    assert_eq!(before.expect("described"), [], "topics_are_described: before creation");
    party.create(specs.clone()).expect("topics_are_described: topics are created");
    let after = party.describe(&asked).expect("topics_are_described: describe");
    assert_eq!(after, [three, one, two], "topics_are_described: after creation");
    let all = world.party().describe(&[]).expect("topics_are_described: describe");
    for spec in &specs {
        assert!(all.contains(spec), "topics_are_described: {spec:?} is not in {all:?}");
    }
}

/// Creating a topic that exists with the same number of partitions changes nothing.
pub fn create_is_idempotent(subject: Subject) {
    let mut world = World::new("create_is_idempotent", subject);
    let mut specs = specs(&world);
    let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
    let mut party = world.party();
    party.create(specs[..2].to_vec()).expect("create_is_idempotent: first");
    party.create(specs.clone()).expect("create_is_idempotent: again, with one more");

    let mut changed = specs.clone();
    changed[0].cleanup = Cleanup::Compact;
    world.party().create(changed).expect("create_is_idempotent: with other cleanup");
    let found = party.describe(&names).expect("create_is_idempotent: describe");
    specs.truncate(3);
    assert_eq!(found, specs, "create_is_idempotent: topics are left as they are");
}

/// Creating a topic that exists with another number of partitions, or one without partitions,
/// is invalid and changes nothing.
pub fn create_refuses_another_count(subject: Subject) {
    let check = "create_refuses_another_count";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let mut party = world.party();
    for (name, partitions) in [(&topic, 1), (&topic, 3), (&world.name("none"), 0)] {
        let spec = TopicSpec { name: name.clone(), partitions, cleanup: Cleanup::Keep };
        match party.create(vec![spec]) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{check}: {error}"),
            Ok(()) => panic!("{check}: {name} was created with {partitions} partitions"),
        }
    }
    let found = party.describe(&[topic.clone(), world.name("none")]);
    let found = found.expect("create_refuses_another_count: describe");
    let spec = TopicSpec { name: topic, partitions: 2, cleanup: Cleanup::Keep };
    assert_eq!(found, [spec], "{check}: the topic is left as it is");
}

/// Reading from a topic or a partition that does not exist is invalid.
pub fn unknown_topic_is_invalid(subject: Subject) {
    let check = "unknown_topic_is_invalid";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let mut party = world.party();
    for absent in [TopicPartition::new(world.name("absent"), 0), TopicPartition::new(topic, 2)]
    {
        let fetched = party.try_fetch(&absent, 0, 1 << 20).map(|_| ());
        let offset = party.offset(&absent, Seek::Latest).map(|_| ());
        for (what, answer) in [("fetch", fetched), ("offset", offset)] {
            match answer {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Invalid, "{check}: {what}: {error}");
                }
                Ok(()) => panic!("{check}: {what} of {absent} is answered"),
            }
        }
    }
}
