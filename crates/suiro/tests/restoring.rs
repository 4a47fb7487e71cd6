//! A start shows how far its state is restored, and need not be waited for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use suiro::{
    App, AppState, Broker, Bytes, Log, Offset, Plan, Producer, Reader, Restoring, Result,
    Running, Topic, TopicPartition, TopicSpec, Topology,
};
use suiro_core::broker::{
    CommitId, Event, Fence, Fetch, Position, Seek, Session, TaskId, Ticket, Wake,
};

const WORDS: Topic<String, String> = Topic::json("words");
const COUNTS: Topic<String, u64> = Topic::json("counts");

/// Lets so many fetches of changelogs pass.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Fetches>, Condvar)>);

#[derive(Default)]
struct Fetches {
    permitted: usize,
    passed: usize,
}

impl Gate {
    fn fetches(&self) -> MutexGuard<'_, Fetches> {
        self.0.0.lock().expect("nobody panics with the lock")
    }

    fn open(&self, more: usize) {
        self.fetches().permitted += more;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let closed = |fetches: &mut Fetches| fetches.passed == fetches.permitted;
        let waited = self.0.1.wait_while(self.fetches(), closed);
        waited.expect("nobody panics with the lock").passed += 1;
    }
}

/// A log whose changelogs are read through a gate.
struct Gated(Log, Gate);

struct GatedSession(Box<dyn Session>, Gate);

impl Broker for Gated {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        Ok(Box::new(GatedSession(self.0.session(name)?, self.1.clone())))
    }
}

impl Session for GatedSession {
    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        if fetch.partition.topic.ends_with(".changelog") {
            self.1.pass();
        }
        self.0.fetch(fetch)
    }

    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        self.0.describe(topics)
    }
    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        self.0.create(topics)
    }
    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        self.0.positions(group, partitions)
    }
    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        self.0.offset(partition, at)
    }
    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        self.0.join(group, tasks);
    }
    fn leave(&mut self) {
        self.0.leave();
    }
    fn begin(&mut self) -> CommitId {
        self.0.begin()
    }
    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        self.0.append(commit, to, batches);
    }
    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        self.0.commit(commit, fence, positions);
    }
    fn abort(&mut self, commit: CommitId) {
        self.0.abort(commit);
    }
    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        self.0.trim(partition, offset);
    }
    fn poll(&mut self, events: &mut Vec<Event>) {
        self.0.poll(events);
    }
    fn wait(&mut self, timeout: Duration) {
        self.0.wait(timeout);
    }
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(GatedWaker(self.0.waker(), self.1.clone()))
    }
}

/// Whoever ends a wait lets one fetch pass: so the one that a shutdown finds under way.
struct GatedWaker(Arc<dyn Wake>, Gate);

impl Wake for GatedWaker {
    fn wake(&self) {
        self.1.open(1);
        self.0.wake();
    }
}

fn plan() -> Result<Plan> {
    let topology = Topology::new("words");
    topology.stream(&WORDS).count("seen").to(&COUNTS);
    topology.build()
}

const PARTITIONS: u32 = 3;

/// A log on which the program has counted a hundred words, and how many records its changelogs
/// have, by partition.
fn counted() -> Result<(Log, Vec<u64>)> {
    let log = Log::in_memory();
    let mut words = Producer::open(&log, &WORDS)?;
    words.create(PARTITIONS)?;
    for number in 0..100 {
        words.send(format!("word {number}"), "is said".into(), number)?;
    }
    words.flush()?;
    App::new(plan()?, log.clone()).run_to_end()?;
    let mut counts = vec![0; PARTITIONS as usize];
    for row in Reader::open(&log, &Topic::bytes("words.seen.changelog"))?.read_to_end()? {
        counts[row.partition as usize] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0));
    Ok((log, counts))
}

/// Waits until so many records are restored.
fn restored(running: &Running, records: u64) -> Restoring {
    loop {
        let AppState::Restoring(restoring) = running.state() else {
            panic!("it restores, and is {:?}", running.state());
        };
        if restoring.of > 0 && restoring.records == records {
            assert_eq!(running.metrics().restoring, Some(restoring));
            return restoring;
        }
        std::thread::yield_now();
    }
}

#[test]
fn it_is_shown_how_far_the_state_is_restored() -> Result<()> {
    let (log, counts) = counted()?;
    let gate = Gate::default();
    let running = App::new(plan()?, Gated(log, gate.clone())).start()?;
    let (all, mut records) = (counts.iter().sum(), 0);
    for count in counts {
        assert_eq!(restored(&running, records).of, all);
        records += count;
        gate.open(1);
    }
    // A look-up waits until everything is there.
    let seen = running.query::<String, u64>("seen")?;
    assert_eq!(seen.get(&"word 7".into())?, Some(1));
    assert_eq!(running.state(), AppState::Running);
    let metrics = running.metrics();
    assert_eq!((metrics.restoring, metrics.restored), (None, all));
    running.shutdown()
}

#[test]
fn a_shutdown_does_not_wait_until_the_state_is_restored() -> Result<()> {
    let (log, counts) = counted()?;
    let gate = Gate::default();
    let running = App::new(plan()?, Gated(log.clone(), gate.clone())).start()?;
    gate.open(1);
    restored(&running, counts[0]);
    // The fetch that is under way may pass; the one behind it never would.
    running.shutdown()?;
    assert_eq!(gate.fetches().passed, 2);
    // Nothing is lost, and nothing is in the way of the next start.
    let running = App::new(plan()?, log).start()?;
    assert_eq!(running.query::<String, u64>("seen")?.get(&"word 7".into())?, Some(1));
    running.shutdown()
}

#[test]
fn a_bounded_run_ends_where_the_sources_were_when_it_was_started() -> Result<()> {
    let (log, counts) = counted()?;
    let mut words = Producer::open(&log, &WORDS)?;
    words.send("word 7".into(), "is said".into(), 200)?;
    words.flush()?;
    let gate = Gate::default();
    let running = App::new(plan()?, Gated(log, gate.clone())).start_to_end()?;
    restored(&running, 0);
    words.send("word 7".into(), "is said".into(), 300)?;
    words.flush()?;
    gate.open(counts.len());
    while running.state() != AppState::Ended {
        std::thread::yield_now();
    }
    assert_eq!(running.metrics().records_in, 1);
    running.wait()
}
