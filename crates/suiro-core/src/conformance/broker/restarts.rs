//! What a clean restart keeps.

use super::Subject;
use super::groups::{settle, tasks};
use super::rows::{batch, texts};
use super::world::World;
use crate::TopicPartition;
use crate::broker::{Cleanup, Fence, Outcome, Position, TopicSpec};

/// Topics, records, offsets and positions survive, and the log goes on where it was.
pub fn restart_keeps_what_was_committed(subject: Subject) {
    let check = "restart_keeps_what_was_committed";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let compacted =
        TopicSpec { name: world.name("compacted"), partitions: 3, cleanup: Cleanup::Compact };
    world.party().create(vec![compacted.clone()]).expect("restart: a topic is created");
    let places = [0, 1].map(|number| TopicPartition::new(topic.clone(), number));
    let group = world.name("group");
    let mut expected = Vec::new();
    for round in 0..4 {
        let mut party = world.party();
        let before = party.read(&places[0]);
        assert_eq!(texts(&before), expected, "{check}: round {round}: records");
        assert_eq!(texts(&party.read(&places[1])), expected, "{check}: round {round}: others");
        if round > 0 {
            let note = format!("round {}", round - 1);
            let kept = Position { partition: places[0].clone(), next: round, note };
            let found = party.positions(&group, &places);
            assert_eq!(found, [kept], "{check}: round {round}: position");
        }
        let value = round.to_string();
        let batches = batch(&[&value]);
        let commit = party.begin(&[(&places[0], batches.clone()), (&places[1], batches)]);
        let fence = Fence { group: group.clone(), generation: None };
        let note = format!("round {round}");
        let position = Position { partition: places[0].clone(), next: round + 1, note };
        let outcome = party.resolve(commit, Some(fence), vec![position]);
        let offsets = party.committed(outcome);
        let past: Vec<_> = before.iter().map(|row| row.offset).chain([offsets[0]]).collect();
        let numbers: Vec<_> = (0..=round).collect();
        world.assert_offsets(&past, &numbers, "offsets");
        expected.push(value);

        drop(party);
        world = world.restart();
    }
    let found = world.party().describe(&[compacted.name.clone(), topic.clone()]);
    let spec = TopicSpec { name: topic, partitions: 2, cleanup: Cleanup::Keep };
    let found = found.expect("restart: topics are described");
    assert_eq!(found, [compacted, spec], "{check}: topics");
}

/// What was begun and not committed is gone, and its session's name is free.
pub fn restart_forgets_open_commits(subject: Subject) {
    let check = "restart_forgets_open_commits";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    for round in 0..3 {
        let mut party = world.party_called("worker");
        let expected: Vec<_> = (0..round).map(|number| number.to_string()).collect();
        assert_eq!(texts(&party.read(&place)), expected, "{check}: round {round}");
        party.write(&[(&place, batch(&[&round.to_string()]))]);
        party.begin(&[(&place, batch(&["open"]))]);
        drop(party);
        world = world.restart();
    }
}

/// Generations go on growing, so that a commit from before the restart is fenced.
pub fn restart_keeps_generations(subject: Subject) {
    let check = "restart_keeps_generations";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let group = world.name("group");
    let mut last = None;
    for round in 0..3 {
        let mut party = world.party();
        party.session.join(&group, &tasks(2));
        let generation = settle(check, &mut [&mut party], 2);
        assert!(last < Some(generation), "{check}: {generation:?} does not follow {last:?}");
        if let Some(last) = last {
            let commit = party.begin(&[(&place, batch(&["stale"]))]);
            let fence = Fence { group: group.clone(), generation: Some(last) };
            let outcome = party.resolve(commit, Some(fence), Vec::new());
            let fenced = matches!(outcome, Outcome::Fenced(_));
            assert!(fenced, "{check}: round {round}: not fenced but {outcome:?}");
        }
        let commit = party.begin(&[(&place, batch(&["new"]))]);
        let fence = Fence { group: group.clone(), generation: Some(generation) };
        let outcome = party.resolve(commit, Some(fence), Vec::new());
        party.committed(outcome);
        last = Some(generation);
        drop(party);
        world = world.restart();
    }
    assert_eq!(texts(&world.party().read(&place)), ["new"; 3], "{check}: records");
}
