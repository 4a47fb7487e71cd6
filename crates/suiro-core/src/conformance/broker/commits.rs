//! A commit happens whole, in order, or not at all.

use super::Subject;
use super::rows::{batch, texts};
use super::world::World;
use crate::broker::{Fence, Outcome, Position};
use crate::{ErrorKind, TopicPartition};
use bytes::Bytes;

fn position(partition: &TopicPartition, next: i64) -> Position {
    Position { partition: partition.clone(), next, note: String::new() }
}

/// All appends and positions of a commit become visible, in several topics and partitions, and
/// nothing of them before.
pub fn commit_is_atomic(subject: Subject) {
    let check = "commit_is_atomic";
    let mut world = World::new(check, subject);
    let (left, right) = (world.topic("left", 2), world.topic("right", 1));
    let places =
        [(&left, 0), (&left, 1), (&right, 0)].map(|(t, p)| TopicPartition::new(t.clone(), p));
    let (mut writer, mut reader) = (world.party(), world.party());
    let group = world.name("group");
    let fence = Fence { group: group.clone(), generation: None };

    for round in 0..3_i64 {
        let value = round.to_string();
        let appends: Vec<_> =
            places.iter().map(|place| (place, batch(&[&value, &value]))).collect();
        let commit = writer.begin(&appends);
        for place in &places {
            let read = reader.read(place).len();
            assert_eq!(read as i64, 2 * round, "{check}: {place} shows what is not committed");
        }
        let positions = places.iter().map(|place| position(place, round + 1)).collect();
        let outcome = writer.resolve(commit, Some(fence.clone()), positions);
        assert_eq!(writer.committed(outcome).len(), 3, "{check}: offsets");
        for place in &places {
            let read = texts(&reader.read(place));
            let all: Vec<_> =
                (0..=round).flat_map(|n| [n.to_string(), n.to_string()]).collect();
            assert_eq!(read, all, "{check}: {place}");
        }
        let positions = reader.positions(&group, &places);
        let next: Vec<_> = positions.iter().map(|position| position.next).collect();
        assert_eq!(next, [round + 1; 3], "{check}: positions");
    }
}

/// What an open commit holds stays invisible while others commit to the same partition, and
/// comes after theirs.
pub fn open_commit_is_invisible(subject: Subject) {
    let check = "open_commit_is_invisible";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let (mut slow, mut quick, mut reader) = (world.party(), world.party(), world.party());

    let open = slow.begin(&[(&place, batch(&["slow"]))]);
    assert_eq!(reader.read(&place), [], "{check}: an open commit is read");
    quick.write(&[(&place, batch(&["quick"]))]);
    assert_eq!(texts(&reader.read(&place)), ["quick"], "{check}: the other commit");
    let outcome = slow.resolve(open, None, Vec::new());
    world.assert_offsets(&slow.committed(outcome), &[1], "offset");
    assert_eq!(texts(&reader.read(&place)), ["quick", "slow"], "{check}: both");
}

/// An aborted commit leaves no trace and does not disturb the other commits of its session.
pub fn aborted_commit_leaves_no_trace(subject: Subject) {
    let check = "aborted_commit_leaves_no_trace";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();

    let kept = party.begin(&[(&place, batch(&["kept"]))]);
    let aborted = party.begin(&[(&place, batch(&["aborted"]))]);
    party.session.append(kept, &place, batch(&["too"]));
    party.session.abort(aborted);
    assert_eq!(party.read(&place), [], "{check}: an aborted commit is read");
    let outcome = party.resolve(kept, None, Vec::new());
    party.committed(outcome);
    party.write(&[(&place, batch(&["next"]))]);
    assert_eq!(texts(&party.read(&place)), ["kept", "too", "next"], "{check}");
}

/// Dropping a session aborts its open commits; what it committed stays.
pub fn dropped_session_leaves_no_trace(subject: Subject) {
    let check = "dropped_session_leaves_no_trace";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let (mut dropped, mut other) = (world.party(), world.party());

    dropped.write(&[(&place, batch(&["committed"]))]);
    dropped.begin(&[(&place, batch(&["open"]))]);
    drop(dropped);
    assert_eq!(texts(&other.read(&place)), ["committed"], "{check}");
    other.write(&[(&place, batch(&["next"]))]);
    assert_eq!(texts(&other.read(&place)), ["committed", "next"], "{check}");
}

/// A commit that cannot happen, for want of a topic (which is invalid) or for bytes that are no
/// batch, is aborted whole, and the session goes on.
pub fn refused_commit_leaves_no_trace(subject: Subject) {
    let check = "refused_commit_leaves_no_trace";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 1);
    let place = TopicPartition::new(topic.clone(), 0);
    let mut party = world.party();
    let group = world.name("group");

    let good = batch(&["good"]);
    let bad = [
        (TopicPartition::new(world.name("absent"), 0), good.clone()),
        (TopicPartition::new(topic, 1), good.clone()),
        (place.clone(), Bytes::from_static(b"not a batch")),
        (place.clone(), Bytes::from(vec![0xff; 200])),
        (place.clone(), good.slice(..good.len() - 1)),
        (place.clone(), [&good[..], b"and more"].concat().into()),
    ];
    for (number, (place_of_bad, bytes)) in bad.into_iter().enumerate() {
        let appends = [(&place, good.clone()), (&place_of_bad, bytes), (&place, good.clone())];
        let commit = party.begin(&appends);
        let fence = Fence { group: group.clone(), generation: None };
        match party.resolve(commit, Some(fence), vec![position(&place, 1)]) {
            Outcome::Aborted(error) => {
                let invalid = error.kind() == ErrorKind::Invalid;
                assert!(invalid || place_of_bad == place, "{check}: case {number}: {error}");
            }
            other => panic!("{check}: case {number} resolves as {other:?}"),
        }
        assert_eq!(party.read(&place), [], "{check}: case {number} left records");
        let positions = party.positions(&group, std::slice::from_ref(&place));
        assert_eq!(positions, [], "{check}: case {number} left a position");
    }
    party.write(&[(&place, good)]);
    assert_eq!(texts(&party.read(&place)), ["good"], "{check}: the session goes on");
}

/// A committed outcome has the first offset of each append, in the order of the appends.
pub fn offsets_answer_appends(subject: Subject) {
    let check = "offsets_answer_appends";
    let mut world = World::new(check, subject);
    let topic = world.topic("topic", 2);
    let [zero, one] = [0, 1].map(|number| TopicPartition::new(topic.clone(), number));
    let mut party = world.party();

    party.write(&[(&one, batch(&["v", "w", "x", "y", "z"]))]);
    let offsets = party.write(&[
        (&one, batch(&["b0", "b1"])),
        (&zero, batch(&["a1", "a2", "a3"])),
        (&one, batch(&["b2"])),
        (&zero, batch(&["a4"])),
    ]);
    assert_eq!(offsets.len(), 4, "{check}: one offset per append");
    world.assert_offsets(&[offsets[0], offsets[2]], &[5, 7], "one");
    world.assert_offsets(&[offsets[1], offsets[3]], &[0, 3], "zero");
    let firsts = [(&one, "b0"), (&zero, "a1"), (&one, "b2"), (&zero, "a4")];
    for ((place, text), offset) in firsts.into_iter().zip(offsets) {
        let rows = party.read_from(place, offset, 1);
        assert_eq!(rows[0].offset, offset, "{check}: the offset of {text} is of no record");
        assert_eq!(rows[0].text(), text, "{check}: the offset of {text} is of another record");
    }
}

/// The log numbers the records, whatever base offsets the batches bring, also those of several
/// batches in one append.
pub fn log_assigns_offsets(subject: Subject) {
    let check = "log_assigns_offsets";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    let renumbered = {
        let mut bytes = batch(&["f", "g"]).to_vec();
        bytes[..8].copy_from_slice(&77_i64.to_be_bytes());
        Bytes::from(bytes)
    };
    let several = [batch(&["a", "b", "c"]), batch(&["d"]), batch(&["e"])].concat();

    party.write(&[(&place, several.into()), (&place, renumbered.clone())]);
    party.write(&[(&place, renumbered)]);
    let rows = party.read(&place);
    assert_eq!(texts(&rows).concat(), "abcdefgfg", "{check}: records");
    let offsets: Vec<_> = rows.iter().map(|row| row.offset).collect();
    world.assert_offsets(&offsets, &[0, 1, 2, 3, 4, 5, 6, 7, 8], "offsets");
}

/// Commits of one session are resolved, and lie in the log, in the order in which they were
/// committed, whenever they were begun.
pub fn commits_resolve_in_order(subject: Subject) {
    let check = "commits_resolve_in_order";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();

    let mut commits: Vec<_> = (0..20)
        .map(|number| party.begin(&[(&place, batch(&[&number.to_string()]))]))
        .zip(0..20)
        .collect();
    commits[5..15].reverse();
    for (commit, _) in &commits {
        party.session.commit(*commit, None, Vec::new());
    }
    for (commit, number) in &commits {
        let (resolved, outcome) = party.next_outcome();
        assert_eq!(resolved, *commit, "{check}: commit {number} is resolved out of order");
        party.committed(outcome);
    }
    let expected: Vec<_> = commits.iter().map(|(_, number)| number.to_string()).collect();
    assert_eq!(texts(&party.read(&place)), expected, "{check}: order in the log");
}

/// A commit may hold positions without records, records without positions, or nothing.
pub fn commit_may_hold_no_records(subject: Subject) {
    let check = "commit_may_hold_no_records";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut party = world.party();
    let group = world.name("group");

    assert_eq!(party.write(&[]), [], "{check}: nothing at all");
    let commit = party.session.begin();
    let fence = Fence { group: group.clone(), generation: None };
    let outcome = party.resolve(commit, Some(fence), vec![position(&place, 5)]);
    assert_eq!(party.committed(outcome), [], "{check}: offsets of positions alone");
    let positions = world.party().positions(&group, std::slice::from_ref(&place));
    assert_eq!(positions, [position(&place, 5)], "{check}: positions");
    assert_eq!(party.read(&place), [], "{check}: no records");
}

/// Many sessions write to one partition: nothing is lost, each keeps its own order, and every
/// record is where its commit said.
pub fn sessions_share_a_partition(subject: Subject) {
    let check = "sessions_share_a_partition";
    let mut world = World::new(check, subject);
    let place = TopicPartition::new(world.topic("topic", 1), 0);
    let mut parties: Vec<_> = (0..8).map(|_| world.party()).collect();
    let mut commits = Vec::new();
    for round in 0..10 {
        for (number, party) in parties.iter_mut().enumerate() {
            let value = format!("{number}:{round}");
            let commit = party.begin(&[(&place, batch(&[&value, "rest"]))]);
            party.session.commit(commit, None, Vec::new());
            commits.push((number, value, commit));
        }
    }
    let mut reader = world.party();
    let mut last = [-1; 8];
    // What one session has committed may be seen only when the others have ended what they had
    // begun, and those go on when they are listened to.
    let mut placed = Vec::new();
    for (number, value, commit) in commits {
        let outcome = parties[number].outcome(commit);
        let offset = parties[number].committed(outcome)[0];
        assert!(last[number] < offset, "{check}: session {number} is out of order at {value}");
        last[number] = offset;
        placed.push((offset, value));
    }
    for (offset, value) in placed {
        let row = reader.read_from(&place, offset, 1).remove(0);
        assert_eq!((row.offset, row.text()), (offset, value), "{check}: record of a commit");
    }
    let offsets: Vec<_> = reader.read(&place).iter().map(|row| row.offset).collect();
    let expected: Vec<_> = (0..160).collect();
    world.assert_offsets(&offsets, &expected, "offsets");
}
