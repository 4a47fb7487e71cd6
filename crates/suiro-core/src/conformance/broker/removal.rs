//! Taking away what a program has left.

use super::Subject;
use super::groups::{settle, tasks};
use super::party::Party;
use super::rows::{batch, texts};
use super::world::World;
use crate::broker::{Cleanup, Fence, Position, TopicSpec};
use crate::{ErrorKind, TopicPartition};
use std::sync::Arc;

/// A group has as many members as have joined it and not left.
pub fn members_are_counted(subject: Subject) {
    let check = "members_are_counted";
    let mut world = World::new(check, subject);
    let (group, other) = (world.name("group"), world.name("other"));
    let mut observer = world.party();
    assert_eq!(observer.members(&group), 0, "{check}: nobody has joined");
    let (mut one, mut two) = (world.party(), world.party());
    one.session.join(&group, &tasks(2));
    settle(check, &mut [&mut one], 2);
    assert_eq!(observer.members(&group), 1, "{check}: one has joined");
    two.session.join(&group, &tasks(2));
    settle(check, &mut [&mut one, &mut two], 2);
    assert_eq!(observer.members(&group), 2, "{check}: two have joined");
    assert_eq!(observer.members(&other), 0, "{check}: another group");
    two.session.leave();
    drop(one);
    observer.until("group without members", |it| (it.members(&group) == 0).then_some(()));
}

fn commit_position(party: &mut Party, fence: Fence, of: &TopicPartition) {
    let position = Position { partition: of.clone(), next: 1, note: String::new() };
    let commit = party.session.begin();
    let outcome = party.resolve(commit, Some(fence), vec![position]);
    party.committed(outcome);
}

/// While a group has members, neither its positions nor any topic is removed.
pub fn what_lives_is_not_removed(subject: Subject) {
    let check = "what_lives_is_not_removed";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let group = world.name("group");
    let mut member = world.party();
    member.session.join(&group, &tasks(1));
    let generation = settle(check, &mut [&mut member], 1);
    member.write(&[(&place, batch(&["row"]))]);
    let fence = Fence { group: group.clone(), generation: Some(generation) };
    commit_position(&mut member, fence, &place);

    let mut other = world.party();
    match other.remove(&group, std::slice::from_ref(&place.topic)) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{check}: {error}"),
        Ok(()) => panic!("{check}: a group that has a member is removed"),
    }
    assert_eq!(texts(&other.read(&place)), ["row"], "{check}: records");
    let positions = other.positions(&group, std::slice::from_ref(&place));
    assert_eq!(positions.len(), 1, "{check}: positions");
    drop(member);
    other.until("group without members", |it| (it.members(&group) == 0).then_some(()));
    let removed = other.remove(&group, std::slice::from_ref(&place.topic));
    removed.expect("what_lives_is_not_removed: nobody is a member any more");
}

/// What was removed is gone, also after a restart, and nothing else; a topic that is created
/// under a name that was removed is a new one.
pub fn what_is_removed_begins_anew(subject: Subject) {
    let check = "what_is_removed_begins_anew";
    let mut world = World::new(check, subject);
    let (topic, kept) = (world.topic("topic", 2), world.topic("kept", 1));
    let place = TopicPartition::new(topic.clone(), 1);
    let stays = TopicPartition::new(kept.clone(), 0);
    let [one, other] = ["one", "other"].map(|name| world.name(name));
    let mut party = world.party();
    party.write(&[(&place, batch(&["old", "older"])), (&stays, batch(&["stays"]))]);
    for group in [&one, &other] {
        let fence = Fence { group: Arc::clone(group), generation: None };
        commit_position(&mut party, fence.clone(), &stays);
        commit_position(&mut party, fence, &place);
    }

    let gone = [topic.clone(), world.name("absent")];
    party.remove(&one, &gone).expect("what_is_removed_begins_anew: removed");
    party.remove(&one, &gone).expect("what_is_removed_begins_anew: once more");
    let found = party.describe(&[topic.clone(), kept.clone()]).expect("described");
    let spec = |name: &Arc<str>, partitions, cleanup| TopicSpec {
        name: Arc::clone(name),
        partitions,
        cleanup,
    };
    assert_eq!(found, [spec(&kept, 1, Cleanup::Keep)], "{check}: topics");
    let fetched = party.try_fetch(&place, 0, 1 << 20).map(|_| ());
    let error = fetched.expect_err("what_is_removed_begins_anew: records of a removed topic");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{check}: {error}");
    assert_eq!(party.positions(&one, std::slice::from_ref(&stays)), [], "{check}: positions");

    drop(party);
    let mut world = world.restart();
    let mut party = world.party();
    let anew = spec(&topic, 3, Cleanup::Delete { after: None, bytes: Some(1 << 30) });
    party.create(vec![anew.clone()]).expect("what_is_removed_begins_anew: created anew");
    assert_eq!(texts(&party.read(&place)), [""; 0], "{check}: a new topic has no records");
    let commit = party.begin(&[(&place, batch(&["new"]))]);
    let outcome = party.resolve(commit, None, Vec::new());
    assert_eq!(party.committed(outcome), [0], "{check}: a new topic begins at its beginning");

    drop(party);
    let mut world = world.restart();
    let mut party = world.party();
    let found = party.describe(&[kept.clone(), topic.clone()]).expect("described");
    assert_eq!(found, [spec(&kept, 1, Cleanup::Keep), anew], "{check}: topics after a restart");
    assert_eq!(texts(&party.read(&place)), ["new"], "{check}: records after a restart");
    assert_eq!(texts(&party.read(&stays)), ["stays"], "{check}: records that stay");
    let all = [place, stays.clone()];
    assert_eq!(party.positions(&one, &all), [], "{check}: positions after a restart");
    let positions = party.positions(&other, std::slice::from_ref(&stays));
    assert_eq!(positions.len(), 1, "{check}: positions of another group");
}
