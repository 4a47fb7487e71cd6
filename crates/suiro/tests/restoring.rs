//! A start shows how far its state is restored, and need not be waited for.

use std::collections::{HashSet, VecDeque};
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

/// Lets so many answers to fetches of changelogs pass.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Answers>, Condvar)>);

#[derive(Default)]
struct Answers {
    permitted: usize,
    passed: usize,
}

impl Gate {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.0.lock().expect("nobody panics with the lock")
    }

    fn open(&self, more: usize) {
        self.answers().permitted += more;
        self.0.1.notify_all();
    }

    /// Whether one more may pass.
    fn pass(&self) -> bool {
        let mut answers = self.answers();
        let may_pass = answers.passed < answers.permitted;
        answers.passed += usize::from(may_pass);
        may_pass
    }

    /// Waits until one may pass, or somebody ends the wait.
    fn wait(&self, timeout: Duration) {
        let answers = self.answers();
        if answers.passed == answers.permitted {
            drop(self.0.1.wait_timeout(answers, timeout).expect("nobody panics with the lock"));
        }
    }
}

/// A log whose changelogs are read through a gate.
struct Gated(Log, Gate);

struct GatedSession {
    session: Box<dyn Session>,
    gate: Gate,
    /// Fetches of changelogs, and their answers that may not pass yet.
    asked: HashSet<Ticket>,
    held: VecDeque<Event>,
}

impl Broker for Gated {
    fn session(&self, name: &str) -> Result<Box<dyn Session>> {
        let (session, gate) = (self.0.session(name)?, self.1.clone());
        let (asked, held) = (HashSet::new(), VecDeque::new());
        Ok(Box::new(GatedSession { session, gate, asked, held }))
    }
}

impl Session for GatedSession {
    fn fetch(&mut self, fetch: Fetch) -> Ticket {
        let is_gated = fetch.partition.topic.ends_with(".changelog");
        let ticket = self.session.fetch(fetch);
        if is_gated {
            self.asked.insert(ticket);
        }
        ticket
    }

    fn describe(&mut self, topics: &[Arc<str>]) -> Ticket {
        self.session.describe(topics)
    }
    fn create(&mut self, topics: Vec<TopicSpec>) -> Ticket {
        self.session.create(topics)
    }
    fn positions(&mut self, group: &str, partitions: &[TopicPartition]) -> Ticket {
        self.session.positions(group, partitions)
    }
    fn offset(&mut self, partition: &TopicPartition, at: Seek) -> Ticket {
        self.session.offset(partition, at)
    }
    fn join(&mut self, group: &str, tasks: &[TaskId]) {
        self.session.join(group, tasks);
    }
    fn leave(&mut self) {
        self.session.leave();
    }
    fn begin(&mut self) -> CommitId {
        self.session.begin()
    }
    fn append(&mut self, commit: CommitId, to: &TopicPartition, batches: Bytes) {
        self.session.append(commit, to, batches);
    }
    fn commit(&mut self, commit: CommitId, fence: Option<Fence>, positions: Vec<Position>) {
        self.session.commit(commit, fence, positions);
    }
    fn abort(&mut self, commit: CommitId) {
        self.session.abort(commit);
    }
    fn trim(&mut self, partition: &TopicPartition, offset: Offset) {
        self.session.trim(partition, offset);
    }
    fn members(&mut self, group: &str) -> Ticket {
        self.session.members(group)
    }
    fn remove(&mut self, group: &str, topics: &[Arc<str>]) -> Ticket {
        self.session.remove(group, topics)
    }
    fn poll(&mut self, events: &mut Vec<Event>) {
        let mut fresh = Vec::new();
        self.session.poll(&mut fresh);
        for event in fresh {
            match &event {
                Event::Fetched(ticket, _) if self.asked.remove(ticket) => {
                    self.held.push_back(event);
                }
                _ => events.push(event),
            }
        }
        while !self.held.is_empty() && self.gate.pass() {
            events.extend(self.held.pop_front());
        }
    }
    fn wait(&mut self, timeout: Duration) {
        match self.held.is_empty() {
            true => self.session.wait(timeout),
            false => self.gate.wait(timeout),
        }
    }
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(GatedWaker(self.session.waker(), self.gate.clone()))
    }
}

/// Ends a wait for the gate, too.
struct GatedWaker(Arc<dyn Wake>, Gate);

impl Wake for GatedWaker {
    fn wake(&self) {
        self.1.open(0);
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
    // The others never would be.
    running.shutdown()?;
    assert_eq!(gate.answers().passed, 1);
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
