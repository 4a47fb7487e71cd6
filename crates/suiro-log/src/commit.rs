//! A commit: checked, given its offsets, recorded, resolved.

use crate::core::Core;
use crate::frame::{Append, Entry, Place, Progress};
use crate::ledger::{Failure, Ledger, Prepared};
use crate::mailbox::Mailbox;
use crate::view::ViewState;
use crate::walk::check;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use suiro_core::broker::{CommitId, Event, Fence, Generation, Outcome, Position};
use suiro_core::{Error, Offset, TopicPartition};

/// The longest note of a position.
const NOTE: usize = 4096;

/// A commit that a session wants.
pub(crate) struct Request {
    pub session: u64,
    pub name: Arc<str>,
    pub mailbox: Arc<Mailbox>,
    pub id: CommitId,
    pub appends: Vec<(TopicPartition, Bytes)>,
    pub fence: Option<Fence>,
    pub positions: Vec<Position>,
}

/// Records commits in the order given, as one write, and tells their sessions.
pub(crate) fn commit_all(core: &Core, ledger: &mut Ledger, requests: Vec<Request>) {
    let mut ends = HashMap::new();
    let mut prepared = Vec::new();
    let mut checked = Vec::with_capacity(requests.len());
    for request in requests {
        let (mailbox, id) = (Arc::clone(&request.mailbox), request.id);
        let outcome = prepare(core, &mut ends, request).map(|(commit, offsets)| {
            if !commit.entry.appends.is_empty() || commit.entry.positions.is_some() {
                prepared.push(commit);
            }
            offsets
        });
        checked.push((mailbox, id, outcome));
    }
    let recorded = match prepared.is_empty() {
        true => Ok(()),
        false => ledger.record(core, &prepared, true),
    };
    for (mailbox, id, outcome) in checked {
        let outcome = match (outcome, &recorded) {
            (Ok(offsets), Ok(())) => Outcome::Committed { offsets },
            (Ok(_), Err(failure)) => failure.again().into(),
            (Err(outcome), _) => outcome,
        };
        mailbox.post(Event::Resolved(id, outcome));
    }
}

/// Checks a commit and gives it its offsets; `ends` are those of the commits before it.
fn prepare(
    core: &Core,
    ends: &mut HashMap<Place, Offset>,
    request: Request,
) -> Result<(Prepared, Vec<Offset>), Outcome> {
    let checks = !cfg!(suiro_mutant = "fence_not_checked");
    if checks && !core.sessions().is_newest(&request.name, request.session) {
        let error = Error::fenced("another session of this name was opened");
        return Err(Outcome::Fenced(error.with("session", &request.name)));
    }
    let state = core.view.read();
    check_fence(core, &state, &request)?;
    let mut entry = Entry { at: core.options.clock.now(), ..Entry::default() };
    let mut ends_here = HashMap::new();
    let mut offsets = Vec::with_capacity(request.appends.len());
    let mut data = Vec::with_capacity(request.appends.len());
    for (name, batches) in request.appends {
        let partition = state.catalog.partition(&name).map_err(Outcome::Aborted)?;
        let place = partition.place;
        let known = ends_here.get(&place).or_else(|| ends.get(&place));
        let base = known.copied().unwrap_or_else(|| partition.range().1);
        offsets.push(base);
        let count = check(&batches).map_err(|message| {
            Outcome::Aborted(Error::invalid(message).with("partition", &name))
        })?;
        if batches.is_empty() {
            continue;
        }
        let next = base + count;
        ends_here.insert(place, next);
        entry.appends.push(Append { place, base, next, bytes: batches.len() as u64 });
        data.push(batches);
    }
    if let Some(Fence { group, .. }) = request.fence
        && !request.positions.is_empty()
    {
        let mut positions = Vec::with_capacity(request.positions.len());
        for position in request.positions {
            let place = check_position(&state, &position).map_err(Outcome::Aborted)?;
            positions.push(Progress::new(place, position));
        }
        entry.positions = Some((group, positions));
    }
    ends.extend(ends_here);
    Ok((Prepared { entry, data }, offsets))
}

fn check_fence(core: &Core, state: &ViewState, request: &Request) -> Result<(), Outcome> {
    let Some(Fence { group, generation }) = &request.fence else {
        if request.positions.is_empty() {
            return Ok(());
        }
        let error = Error::invalid("positions need a group: commit them with a fence");
        return Err(Outcome::Aborted(error));
    };
    if cfg!(suiro_mutant = "fence_not_checked") {
        return Ok(());
    }
    let newest = state.generations.get(group).copied().unwrap_or(0);
    match generation {
        Some(Generation(generation)) if *generation == newest => Ok(()),
        Some(Generation(generation)) => Err(Outcome::Fenced(
            Error::fenced("group has another generation: join again")
                .with("group", group)
                .with("generation", generation)
                .with("newest", newest),
        )),
        None if core.groups().count(group) > 0 => Err(Outcome::Fenced(
            Error::fenced("group has members: stop them, or join it").with("group", group),
        )),
        None => Ok(()),
    }
}

fn check_position(state: &ViewState, position: &Position) -> Result<Place, Error> {
    if position.next < 0 || position.note.len() > NOTE {
        return Err(Error::invalid("position is negative, or its note longer than 4096 bytes")
            .with("partition", &position.partition)
            .with("next", position.next)
            .with("note_bytes", position.note.len()));
    }
    Ok(state.catalog.partition(&position.partition)?.place)
}

impl Failure {
    /// The same failure for one more commit of the same write.
    fn again(&self) -> Self {
        let copy = |error: &Error| Error::new(error.kind(), error.report());
        match self {
            Self::Nothing(error) => Self::Nothing(copy(error)),
            Self::Unknown(error) => Self::Unknown(copy(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Job;
    use crate::disk::FaultyDisk;
    use crate::log::Log;
    use suiro_core::batch::{BatchWriter, Compression};
    use suiro_core::broker::{Cleanup, TopicSpec};
    use suiro_core::{Headers, Seed, Timestamp};

    fn batch() -> Bytes {
        let mut writer = BatchWriter::new(Compression::None);
        writer.push(Timestamp::ZERO, None, Some(&[7; 50]), &Headers::NONE);
        writer.finish().unwrap()
    }

    /// Commits that are written together are aborted together if the disk fills up between
    /// them, and none of them comes back after a crash.
    #[test]
    fn an_aborted_group_never_comes_back() {
        for seed in 0..400 {
            let disk = FaultyDisk::new(Seed::new(seed));
            let options =
                Log::options().disk(Arc::new(disk.clone())).inline(true).journal_bytes(1);
            let log = options.clone().open("log").unwrap();
            let core = log.core();
            let spec = TopicSpec { name: "t".into(), partitions: 1, cleanup: Cleanup::Keep };
            core.create(&mut core.ledger(), vec![spec]).unwrap();
            let mailbox = Arc::<Mailbox>::default();
            let (session, _) = core.sessions().open("s", Arc::clone(&mailbox));
            let request = |id| {
                Job::Commit(Request {
                    session,
                    name: "s".into(),
                    mailbox: Arc::clone(&mailbox),
                    id: CommitId(id),
                    appends: vec![(TopicPartition::new("t", 0), batch())],
                    fence: None,
                    positions: Vec::new(),
                })
            };
            disk.limit(Some(disk.used() + seed * 3));
            core.execute(&mut core.ledger(), vec![request(1), request(2), request(3)]);
            let mut events = Vec::new();
            mailbox.drain(&mut events);
            let committed = events
                .iter()
                .filter(|event| matches!(event, Event::Resolved(_, Outcome::Committed { .. })));
            let committed = committed.count() as i64;
            assert!(committed == 0 || committed == 3);
            disk.power_off_after(0);
            drop(log);
            disk.crash();
            disk.limit(None);
            let log = options.open("log").unwrap();
            let partition = TopicPartition::new("t", 0);
            let end = log.core().view.read().catalog.partition(&partition).unwrap().range().1;
            assert_eq!(end, committed, "seed {seed}");
        }
    }
}
