//! Who may no longer commit.

use super::Subject;
use super::groups::{settle, tasks};
use super::party::Party;
use super::rows::{batch, texts};
use super::world::World;
use crate::broker::{Fence, Generation, Outcome, Position};
use crate::{ErrorKind, TopicPartition};
use std::sync::Arc;

/// Commits one record and a position under a generation.
fn commit_under(
    party: &mut Party,
    place: &TopicPartition,
    group: &Arc<str>,
    generation: Generation,
    value: &str,
) -> Outcome {
    let commit = party.begin(&[(place, batch(&[value]))]);
    let fence = Fence { group: group.clone(), generation: Some(generation) };
    let position = Position { partition: place.clone(), next: 1, note: value.to_owned() };
    party.resolve(commit, Some(fence), vec![position])
}

fn assert_fenced(check: &str, what: &str, outcome: Outcome) {
    match outcome {
        Outcome::Fenced(error) => {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{check}: {what}: {error}");
        }
        other => panic!("{check}: {what} is not fenced but {other:?}"),
    }
}

/// A commit that names an older generation than the newest is fenced and leaves neither records
/// nor positions; the newest generation commits.
pub fn older_generation_is_fenced(subject: Subject) {
    let check = "older_generation_is_fenced";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let group = world.name("group");
    let (mut one, mut two) = (world.party(), world.party());

    one.session.join(&group, &tasks(2));
    let first = settle(check, &mut [&mut one], 2);
    let outcome = commit_under(&mut one, &place, &group, first, "first");
    one.committed(outcome);

    two.session.join(&group, &tasks(2));
    let second = settle(check, &mut [&mut one, &mut two], 2);
    let outcome = commit_under(&mut one, &place, &group, first, "stale");
    assert_fenced(check, "a commit of the older generation", outcome);
    assert_eq!(texts(&two.read(&place)), ["first"], "{check}: records");
    let positions = two.positions(&group, std::slice::from_ref(&place));
    assert_eq!(positions[0].note, "first", "{check}: positions");

    for (party, value) in [(&mut one, "second"), (&mut two, "third")] {
        let outcome = commit_under(party, &place, &group, second, value);
        party.committed(outcome);
    }
    assert_eq!(texts(&two.read(&place)), ["first", "second", "third"], "{check}: records");
}

/// A member that left commits no longer under the generation it had, once another has taken
/// over.
pub fn former_member_is_fenced(subject: Subject) {
    let check = "former_member_is_fenced";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let group = world.name("group");
    let (mut one, mut two) = (world.party(), world.party());

    one.session.join(&group, &tasks(1));
    let first = settle(check, &mut [&mut one], 1);
    let begun = one.begin(&[(&place, batch(&["begun before"]))]);
    one.session.leave();
    two.session.join(&group, &tasks(1));
    let second = settle(check, &mut [&mut two], 1);
    assert!(first < second, "{check}: {second:?} follows {first:?}");

    let fence = Fence { group: group.clone(), generation: Some(first) };
    let outcome = one.resolve(begun, Some(fence), Vec::new());
    assert_fenced(check, "a commit that was begun before", outcome);
    let outcome = commit_under(&mut one, &place, &group, first, "stale");
    assert_fenced(check, "a commit that was begun after", outcome);
    let outcome = commit_under(&mut two, &place, &group, second, "new");
    two.committed(outcome);
    assert_eq!(texts(&two.read(&place)), ["new"], "{check}: records");
}

/// A second session of a name fences every commit of the first, for ever.
pub fn older_session_is_fenced(subject: Subject) {
    let check = "older_session_is_fenced";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut bystander = world.party();
    let mut older = world.party_called("worker");
    older.write(&[(&place, batch(&["older"]))]);
    let begun = older.begin(&[(&place, batch(&["stale"]))]);

    let mut newer = world.party_called("worker");
    let outcome = older.resolve(begun, None, Vec::new());
    assert_fenced(check, "a commit that was begun before", outcome);
    newer.write(&[(&place, batch(&["newer"]))]);
    let begun = older.begin(&[(&place, batch(&["stale"]))]);
    let outcome = older.resolve(begun, None, Vec::new());
    assert_fenced(check, "a commit that was begun after", outcome);

    let open = newer.begin(&[(&place, batch(&["last"]))]);
    drop(older);
    let outcome = newer.resolve(open, None, Vec::new());
    newer.committed(outcome);
    bystander.write(&[(&place, batch(&["bystander"]))]);
    let read = texts(&bystander.read(&place));
    assert_eq!(read, ["older", "newer", "last", "bystander"], "{check}: records");
}
