//! How far a group has read.

use super::Subject;
use super::world::World;
use crate::TopicPartition;
use crate::broker::{Fence, Position};

/// Each group has positions of its own, the newest per partition; a partition without one is
/// left out.
pub fn positions_belong_to_a_group(subject: Subject) {
    let check = "positions_belong_to_a_group";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 3);
    let places = [0, 1, 2].map(|number| TopicPartition::new(topic.clone(), number));
    let mut party = world.party();
    let [one, other, empty] = ["one", "other", "empty"].map(|name| world.name(name));

    let rounds = [(&one, vec![(0, 5), (1, 7)]), (&other, vec![(1, 70)]), (&one, vec![(1, 3)])];
    for (group, positions) in rounds {
        let fence = Fence { group: group.clone(), generation: None };
        let positions = positions.into_iter().map(|(number, next): (usize, i64)| Position {
            partition: places[number].clone(),
            next,
            note: String::new(),
        });
        let commit = party.session.begin();
        let outcome = party.resolve(commit, Some(fence), positions.collect());
        party.committed(outcome);
    }
    let mut reader = world.party();
    let mut next = |group: &str, places: &[TopicPartition]| {
        let positions = reader.positions(group, places);
        let pairs = positions.iter().map(|found| (found.partition.partition, found.next));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(next(&one, &places), [(0, 5), (1, 3)], "{check}: one");
    assert_eq!(next(&other, &places), [(1, 70)], "{check}: other");
    assert_eq!(next(&empty, &places), [], "{check}: a group that never committed");
    assert_eq!(next(&one, &places[1..]), [(1, 3)], "{check}: only what is asked for");
}

/// A position keeps its note, of up to 4 KiB, until the next commit.
pub fn positions_carry_notes(subject: Subject) {
    let check = "positions_carry_notes";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let group = world.name("group");
    let mut party = world.party();
    for note in ["", "ended", "水路 \"and\"\n\u{0}", &"n".repeat(4096), ""] {
        let position = Position { partition: place.clone(), next: 1, note: note.to_owned() };
        let fence = Fence { group: group.clone(), generation: None };
        let commit = party.session.begin();
        let outcome = party.resolve(commit, Some(fence), vec![position.clone()]);
        party.committed(outcome);
        let found = world.party().positions(&group, std::slice::from_ref(&place));
        assert_eq!(found, [position], "{check}");
    }
}
