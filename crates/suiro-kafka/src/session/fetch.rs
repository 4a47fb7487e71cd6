//! Reading what is committed.
//!
//! What is asked for at once goes to each leader in one request. Who was told that nothing is
//! there, and asks again, waits on a lane of its own, where the broker answers as soon as
//! something comes; the other lane is answered at once.

use super::ask::{Answer, Api, Ask, Lane, Next, Target, api, encode};
use super::copy;
use super::fetch_session::{self, FetchSession};
use super::filter::{Aborted, committed};
use super::metadata::Leader;
use super::offsets;
use super::state::State;
use crate::settings::Settings;
use crate::visible::Awaited;
use crate::{codes, words};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::PartitionData;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use suiro_core::batch::batches;
use suiro_core::broker::{Event, Fetch, Fetched, Ticket};
use suiro_core::{Error, Offset, Result, Timestamp, TopicPartition};

/// Fetches that nobody has answered yet.
#[derive(Default)]
pub(crate) struct Fetches {
    waiting: Vec<Wanted>,
    /// Where nothing was, when it was last asked for.
    quiet: BTreeMap<TopicPartition, Offset>,
    /// Up to where a partition was read, and in which election that was written.
    read: BTreeMap<TopicPartition, (Offset, i32)>,
    /// What each broker remembers of those who wait.
    sessions: BTreeMap<i32, FetchSession>,
    /// Which leaders are being asked.
    busy: BTreeSet<(i32, Lane)>,
    /// When something came in last.
    moved: Duration,
}

pub(crate) struct Wanted {
    ticket: Ticket,
    pub(super) fetch: Fetch,
    purpose: Purpose,
    since: Duration,
    not_before: Duration,
    tries: u32,
    /// What was committed here, and must be seen.
    awaited: Option<Awaited>,
}

/// What is done with what is read.
#[derive(Clone, Copy)]
enum Purpose {
    Tell,
    /// The first record that is not older is looked for.
    Seek(Timestamp),
}

/// While something comes in, a broker holds an answer back no longer than that: who becomes
/// quiet meanwhile has to wait for it.
const SHORT: Duration = Duration::from_millis(5);

/// So long after something came in, more is expected.
const LIVELY: Duration = Duration::from_millis(500);

impl Fetches {
    /// Answered by [`Event::Fetched`].
    pub(crate) fn want(&mut self, ticket: Ticket, fetch: Fetch, now: Duration) {
        self.want_for(ticket, fetch, Purpose::Tell, now);
    }

    /// Looks for the first record that is not older than `at`; answered by [`Event::Offset`].
    pub(crate) fn seek(&mut self, ticket: Ticket, fetch: Fetch, at: Timestamp, now: Duration) {
        self.want_for(ticket, fetch, Purpose::Seek(at), now);
    }

    /// The same for the same purpose, but from another offset on.
    pub(super) fn want_from(&mut self, offset: Offset, wanted: Wanted, now: Duration) {
        let Wanted { ticket, fetch, purpose, .. } = wanted;
        self.want_for(ticket, Fetch { offset, ..fetch }, purpose, now);
    }

    /// Forgets what was read of partitions that `keep` does not take.
    pub(crate) fn retain(&mut self, keep: impl Fn(&TopicPartition) -> bool) {
        self.quiet.retain(|partition, _| keep(partition));
        self.read.retain(|partition, _| keep(partition));
    }

    /// What a broker remembers of those who wait; nothing of others.
    fn session(&mut self, node: i32, lane: Lane) -> Option<&mut FetchSession> {
        (lane == Lane::Await).then(|| self.sessions.entry(node).or_default())
    }

    fn want_for(&mut self, ticket: Ticket, fetch: Fetch, purpose: Purpose, now: Duration) {
        let (since, not_before) = (now, now);
        let (tries, awaited) = (0, None);
        let wanted = Wanted { ticket, fetch, purpose, since, not_before, tries, awaited };
        self.waiting.push(wanted);
    }

    /// When something is to be asked again. What waits for an answer to something else is asked
    /// when that comes, and must not keep anybody awake.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        self.waiting.iter().map(|wanted| wanted.not_before).filter(|due| *due > now).min()
    }
}

impl Wanted {
    pub(super) fn answer(self, answer: Result<Fetched>, state: &mut State) {
        let (ticket, at) = match self.purpose {
            Purpose::Tell => return state.events.push(Event::Fetched(self.ticket, answer)),
            Purpose::Seek(at) => (self.ticket, at),
        };
        let found = answer.and_then(|fetched| {
            Ok((first_since(&fetched.batches, self.fetch.offset, at)?, fetched))
        });
        match found {
            Err(error) => state.events.push(Event::Offset(ticket, Err(error))),
            Ok((Some(offset), _)) => state.events.push(Event::Offset(ticket, Ok(offset))),
            Ok((None, fetched)) if fetched.next >= fetched.end => {
                state.events.push(Event::Offset(ticket, Ok(fetched.end)));
            }
            Ok((None, fetched)) => {
                let fetch = Fetch { offset: fetched.next, ..self.fetch };
                state.fetches.seek(ticket, fetch, at, state.now);
            }
        }
    }
}

/// The first record from `offset` on that is not older than `at`.
fn first_since(bytes: &Bytes, offset: Offset, at: Timestamp) -> Result<Option<Offset>> {
    for batch in batches(bytes.clone()) {
        let batch = batch?;
        if batch.header().max_at < at {
            continue;
        }
        for record in batch.records()?.iter() {
            let record = record?;
            if record.offset >= offset && record.at >= at {
                return Ok(Some(record.offset));
            }
        }
    }
    Ok(None)
}

/// Asks each leader for what is wanted of it.
pub(crate) fn tick(state: &mut State) {
    let mut asks = BTreeMap::<(i32, Lane), Vec<(Wanted, Leader)>>::new();
    let (mut later, mut places) = (Vec::new(), BTreeSet::new());
    for wanted in std::mem::take(&mut state.fetches.waiting) {
        if wanted.not_before > state.now {
            later.push(wanted);
            continue;
        }
        let Some(leader) = state.metadata.leader(&wanted.fetch.partition) else {
            if let Some(wanted) = fail_if_missing(wanted, state) {
                later.push(wanted);
            }
            continue;
        };
        let quiet = state.fetches.quiet.get(&wanted.fetch.partition);
        let lane = match quiet == Some(&wanted.fetch.offset) {
            true => Lane::Await,
            false => Lane::Fetch,
        };
        // A broker answers once for each partition, whatever it was asked of it.
        let is_busy = state.fetches.busy.contains(&(leader.node, lane));
        if is_busy || !places.insert((lane, wanted.fetch.partition.clone())) {
            later.push(wanted);
        } else {
            asks.entry((leader.node, lane)).or_default().push((wanted, leader));
        }
    }
    state.fetches.waiting = later;
    for ((node, lane), wanted) in asks {
        state.fetches.busy.insert((node, lane));
        state.ask(Box::new(Read { node, lane, wanted }));
    }
}

fn fail_if_missing(mut wanted: Wanted, state: &mut State) -> Option<Wanted> {
    let looked = state.now.saturating_sub(wanted.since);
    if let Some(error) = state.metadata.missing(&wanted.fetch.partition, looked) {
        wanted.answer(Err(error), state);
        return None;
    }
    wanted.not_before = state.now + state.pause(wanted.tries);
    wanted.tries += 1;
    Some(wanted)
}

/// One request to one leader.
struct Read {
    node: i32,
    lane: Lane,
    wanted: Vec<(Wanted, Leader)>,
}

impl Read {
    /// How long the broker may hold back its answer.
    fn wait(&self, state: &State) -> Duration {
        let lively = state.now < state.fetches.moved + LIVELY;
        match self.lane {
            Lane::Await if lively => SHORT.min(state.settings.fetch_max_wait),
            Lane::Await => state.settings.fetch_max_wait,
            _ => Duration::ZERO,
        }
    }
}

impl Ask for Read {
    fn api(&self, _: &State) -> Api {
        // From version 13 on topics have numbers in place of names.
        api::<FetchRequest>(11, 12)
    }

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn lane(&self) -> Lane {
        self.lane
    }

    /// The broker may hold back its answer for a while before it is late.
    fn patience(&self, settings: &Settings) -> Duration {
        settings.request_timeout + settings.fetch_max_wait
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn write(&mut self, version: i16, state: &mut State, out: &mut BytesMut) -> Result<()> {
        let (mut all, mut most) = (BTreeMap::new(), 0);
        for (wanted, leader) in &self.wanted {
            let Fetch { partition, offset, max_bytes } = &wanted.fetch;
            let max_bytes = i32::try_from(*max_bytes).unwrap_or(i32::MAX);
            most = max_bytes.saturating_add(most);
            let mut asked = FetchPartition::default()
                .with_partition(partition.partition as i32)
                .with_current_leader_epoch(leader.epoch)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(max_bytes);
            let read = state.fetches.read.get(partition);
            if let Some((_, epoch)) = read.filter(|(next, _)| version >= 12 && next == offset) {
                asked = asked.with_last_fetched_epoch(*epoch);
            }
            all.insert(partition.clone(), asked);
        }
        let wait = self.wait(state);
        let request = fetch_session::request(all, state.fetches.session(self.node, self.lane))
            .with_max_wait_ms(wait.as_millis() as i32)
            .with_min_bytes(1)
            .with_max_bytes(most)
            .with_isolation_level(i8::from(!cfg!(suiro_mutant = "unstable_read")));
        encode(&request, version, out)
    }

    fn read(self: Box<Self>, answer: Result<Answer>, state: &mut State) -> Next {
        state.fetches.busy.remove(&(self.node, self.lane));
        let (node, lane) = (self.node, self.lane);
        let response = answer.and_then(Answer::decode::<FetchRequest>);
        if let (Ok(response), Some(session)) = (&response, state.fetches.session(node, lane))
            && session.is_refused(response.error_code)
        {
            for (wanted, _) in self.wanted {
                let pause = state.short_pause(wanted.tries);
                after(wanted, pause, state);
            }
            return Next::Done;
        }
        let response = response.and_then(|response| {
            codes::check("cannot read", response.error_code).map(|()| response)
        });
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                self.fail(error, state);
                return Next::Done;
            }
        };
        if let Some(session) = state.fetches.session(node, lane) {
            session.answered(&response);
        }
        let mut found = BTreeMap::new();
        for topic in response.responses {
            for partition in topic.partitions {
                found.insert((topic.topic.0.clone(), partition.partition_index), partition);
            }
        }
        for (wanted, _) in self.wanted {
            let partition = &wanted.fetch.partition;
            let place = (words::text(&partition.topic), partition.partition as i32);
            let unchanged = || state.fetches.session(node, lane)?.unchanged(partition);
            match found.remove(&place).or_else(unchanged) {
                Some(data) => take(wanted, data, state),
                None => again(wanted, &Error::unavailable("partition was left out"), state),
            }
        }
        Next::Done
    }

    /// What was wanted is wanted still, from whoever leads then.
    fn fail(self: Box<Self>, error: Error, state: &mut State) {
        state.fetches.busy.remove(&(self.node, self.lane));
        if let Some(session) = state.fetches.session(self.node, self.lane) {
            session.doubt();
        }
        for (wanted, _) in self.wanted {
            match error.kind() {
                suiro_core::ErrorKind::Unavailable => {
                    state.metadata.doubt();
                    again(wanted, &error, state);
                }
                _ => wanted.answer(Err(copy(&error)), state),
            }
        }
    }
}

/// It is asked for again, after a pause.
fn again(wanted: Wanted, error: &Error, state: &mut State) {
    tracing::debug!(partition = %wanted.fetch.partition, error = %error.report(), "read again");
    let pause = state.pause(wanted.tries);
    after(wanted, pause, state);
}

fn after(wanted: Wanted, pause: Duration, state: &mut State) {
    let (not_before, tries) = (state.now + pause, wanted.tries + 1);
    state.fetches.waiting.push(Wanted { not_before, tries, ..wanted });
}

/// Takes what was said of one partition.
fn take(mut wanted: Wanted, data: PartitionData, state: &mut State) {
    let Fetch { partition, offset, .. } = wanted.fetch.clone();
    let refused = |error: Error| error.with("partition", &partition).with("offset", offset);
    let (diverged, stable) = (data.diverging_epoch.end_offset, data.last_stable_offset);
    if data.error_code == codes::OFFSET_OUT_OF_RANGE {
        offsets::out_of_range(state, wanted);
    } else if codes::is_retriable(data.error_code) {
        state.metadata.doubt();
        again(wanted, &refused(codes::error("cannot read", data.error_code)), state);
    } else if data.error_code != 0 {
        let error = refused(codes::error("cannot read", data.error_code));
        wanted.answer(Err(error), state);
    } else if diverged >= 0 {
        let text = "records that were read are gone: a broker that had not all became leader \
                    (unclean.leader.election.enable)";
        let error = refused(Error::corrupt(text)).with("end", diverged);
        wanted.answer(Err(error), state);
    } else if state.visible.hides(&partition, &mut wanted.awaited, stable, state.now) {
        let pause = state.short_pause(wanted.tries);
        after(wanted, pause, state);
    } else {
        let answer = fetched(&wanted.fetch, data, state).map_err(refused);
        wanted.answer(answer, state);
    }
}

fn fetched(fetch: &Fetch, data: PartitionData, state: &mut State) -> Result<Fetched> {
    let aborted = data.aborted_transactions.unwrap_or_default().into_iter();
    let aborted = aborted
        .map(|it| Aborted { first: it.first_offset, producer: it.producer_id.0 })
        .collect();
    let seen = committed(&data.records.unwrap_or_default(), aborted)?;
    let Fetch { partition, offset, .. } = fetch;
    // A batch that begins before the offset may end there, too.
    let next = seen.next.unwrap_or(*offset).max(*offset);
    if seen.next.is_some() {
        state.fetches.read.insert(partition.clone(), (next, seen.epoch));
        state.fetches.moved = state.now;
    }
    match seen.next.is_some() && next < data.last_stable_offset {
        true => drop(state.fetches.quiet.remove(partition)),
        false => drop(state.fetches.quiet.insert(partition.clone(), next)),
    }
    Ok(Fetched {
        partition: partition.clone(),
        batches: seen.batches,
        next,
        end: data.last_stable_offset.max(next),
        start: data.log_start_offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
    };
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{ListOffsetsResponse, MetadataResponse};
    use kafka_protocol::protocol::{Decodable, Encodable};
    use suiro_core::Headers;
    use suiro_core::batch::{BatchWriter, Compression};

    /// Where the record is deleted that a time leads to, the search goes on with what is left.
    #[test]
    fn who_looks_for_a_time_is_answered_though_records_were_deleted() {
        let settings = Settings::new("one:1");
        let visible = crate::visible::Visible::default();
        let mut state = State::new(settings.into(), visible, "name", None);
        let gone = |state: &mut State| {
            let partition = TopicPartition::new("topic", 0);
            let fetch = Fetch { partition, offset: 3, max_bytes: 1 };
            state.fetches.seek(Ticket(1), fetch, Timestamp::from_millis(50), Duration::ZERO);
            let wanted = state.fetches.waiting.pop().unwrap();
            let code = codes::OFFSET_OUT_OF_RANGE;
            take(wanted, PartitionData::default().with_error_code(code), state);
            assert!(state.fetches.waiting.is_empty() && state.events.is_empty());
            state.queue.pop().unwrap().ask
        };
        gone(&mut state).fail(Error::unavailable("away"), &mut state);
        let told: Vec<_> = state.events.drain(..).collect();
        assert!(matches!(told[..], [Event::Offset(Ticket(1), Err(_))]), "{told:?}");

        let partition = ListOffsetsPartitionResponse::default().with_offset(7);
        let topic = ListOffsetsTopicResponse::default().with_partitions(vec![partition]);
        let response = ListOffsetsResponse::default().with_topics(vec![topic]);
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&[0; 5]);
        response.encode(&mut bytes, 7).unwrap();
        let answer = Answer { version: 7, bytes: bytes.freeze() };
        assert!(matches!(gone(&mut state).read(Ok(answer), &mut state), Next::Done));
        let [wanted] = &state.fetches.waiting[..] else { panic!("nobody looks any more") };
        assert_eq!(wanted.fetch.offset, 7);
        assert!(matches!(wanted.purpose, Purpose::Seek(_)));
    }

    /// Two who read one partition from different offsets must not get each other's records.
    #[test]
    fn a_partition_is_asked_for_once_in_a_request() {
        let settings = Settings::new("one:1");
        let visible = crate::visible::Visible::default();
        let mut state = State::new(settings.into(), visible, "name", None);
        let partition = MetadataResponsePartition::default().with_leader_id(3.into());
        let topic = MetadataResponseTopic::default()
            .with_name(Some(words::topic("topic")))
            .with_partitions(vec![partition]);
        state.metadata.learn(&MetadataResponse::default().with_topics(vec![topic]));
        for (ticket, offset) in [(1, 16), (2, 25)] {
            let partition = TopicPartition::new("topic", 0);
            let fetch = Fetch { partition, offset, max_bytes: 1 };
            state.fetches.want(Ticket(ticket), fetch, Duration::ZERO);
        }
        tick(&mut state);
        let mut out = BytesMut::new();
        assert_eq!(state.queue.len(), 1);
        state.queue.remove(0).ask.write(12, &mut state, &mut out).unwrap();
        let request = FetchRequest::decode(&mut out.freeze(), 12).unwrap();
        let asked: Vec<_> =
            request.topics[0].partitions.iter().map(|it| it.fetch_offset).collect();
        assert_eq!(asked, [16]);
        assert_eq!(state.fetches.waiting.len(), 1);
    }

    /// Who has read all waits where the broker answers as soon as something comes; it is not asked
    /// first whether there is more.
    #[test]
    fn who_has_read_to_the_end_asks_for_what_will_come() {
        for (stable, lane) in [(0, Lane::Await), (5, Lane::Await), (9, Lane::Fetch)] {
            let settings = Settings::new("one:1");
            let mut state = State::new(settings.into(), Default::default(), "name", None);
            let leader = MetadataResponsePartition::default().with_leader_id(3.into());
            let topic = MetadataResponseTopic::default()
                .with_name(Some(words::topic("topic")))
                .with_partitions(vec![leader]);
            state.metadata.learn(&MetadataResponse::default().with_topics(vec![topic]));
            let mut batch = BatchWriter::new(Compression::None);
            if stable > 0 {
                let mut push =
                    |_| batch.push(Timestamp::ZERO, None, Some(b"x"), &Headers::NONE);
                (0..5).for_each(&mut push);
            }
            let records = Some(batch.finish().unwrap());
            let fetch =
                Fetch { partition: TopicPartition::new("topic", 0), offset: 0, max_bytes: 1 };
            let data =
                PartitionData::default().with_last_stable_offset(stable).with_records(records);
            let read = fetched(&fetch, data, &mut state).unwrap();
            state.fetches.want(Ticket(1), Fetch { offset: read.next, ..fetch }, state.now);
            tick(&mut state);
            assert_eq!(state.queue[0].ask.lane(), lane, "{stable}");
        }
    }

    #[test]
    fn what_waits_for_an_answer_keeps_nobody_awake() {
        let (mut fetches, at) = (Fetches::default(), Duration::from_secs);
        let partition = TopicPartition::new("topic", 0);
        let fetch = Fetch { partition, offset: 0, max_bytes: 1 };
        fetches.want(Ticket(1), fetch, at(5));
        assert_eq!(fetches.due(at(6)), None);
        fetches.waiting[0].not_before = at(8);
        assert_eq!(fetches.due(at(6)), Some(at(8)));
    }
}
