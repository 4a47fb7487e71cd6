//! One seed from its beginning to rest: who lives, what happens to them, and the audit at the
//! end.

use super::audit;
use super::case::Case;
use super::counts::Counts;
use super::fault::Fault;
use super::feeder::Feeder;
use super::foreign;
use super::ledger::{Ledger, TOPICS};
use super::reader::Reader;
use super::worker::Worker;
use super::world::{Shared, World};
use std::time::Duration;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Report {
    /// What went wrong, if anything did.
    pub failure: Option<String>,
    /// What happened.
    pub counts: Counts,
    /// What happened when.
    pub trace: Vec<String>,
}

/// Runs a case.
pub fn run(case: &Case, is_traced: bool) -> Report {
    let world = Shared::new(World::new(case.clone(), is_traced));
    let failure = Life::new(&world).live().err();
    let mut world = world.lock();
    if let Some(failure) = &failure {
        world.note(|| failure.clone());
    }
    Report { failure, counts: world.counts.clone(), trace: world.take_trace() }
}

/// How long it may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody, or when somebody comes.
struct Slot<T> {
    who: Option<T>,
    /// When it is started, or looked at again.
    wake: Duration,
    /// It stands still until then, whatever comes.
    frozen: bool,
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self { who: None, wake: Duration::ZERO, frozen: false }
    }
}

struct Life {
    world: Shared,
    ledger: Ledger,
    workers: Vec<Slot<Worker>>,
    /// Whose names others have: they end soon.
    doubles: Vec<Slot<Worker>>,
    feeder: Slot<Feeder>,
    reader: Option<Reader>,
    reader_wake: Duration,
    left: u64,
    named: u64,
}

impl Life {
    fn new(world: &Shared) -> Self {
        let (processes, left) = {
            let world = world.lock();
            (world.case.processes, world.case.records)
        };
        Self {
            world: world.clone(),
            ledger: Ledger::default(),
            workers: (0..processes).map(|_| Slot::new()).collect(),
            doubles: Vec::new(),
            feeder: Slot::new(),
            reader: None,
            reader_wake: Duration::ZERO,
            left,
            named: 0,
        }
    }

    fn live(&mut self) -> Result<(), String> {
        let troubled = {
            let mut world = self.world.lock();
            let partitions = world.case.partitions;
            for (topic, count) in TOPICS.iter().zip([partitions[0], partitions[1], 1]) {
                world.make_topic(topic, count);
            }
            foreign::begin(&mut world);
            world.case.troubled
        };
        self.reader = Some(Reader::start(&self.world)?);
        let lived = self.pass(troubled);
        let lived = lived.and_then(|()| self.audit());
        // Nobody says goodbye at the end of the world.
        self.workers.drain(..).filter_map(|slot| slot.who).for_each(Worker::die);
        self.doubles.drain(..).filter_map(|slot| slot.who).for_each(Worker::die);
        self.feeder.who.take().into_iter().for_each(Feeder::die);
        self.reader.take().into_iter().for_each(Reader::die);
        lived
    }

    fn audit(&self) -> Result<(), String> {
        audit::at_rest(&mut self.world.lock(), &self.ledger)
    }

    /// Time passes until all is at rest.
    fn pass(&mut self, troubled: Duration) -> Result<(), String> {
        let mut next_trouble = Duration::from_millis(300);
        let mut next_look = troubled;
        loop {
            let now = self.world.lock().now;
            if now >= next_look {
                self.world.lock().is_calm = true;
                match self.unrest() {
                    None => return Ok(()),
                    Some(why) if now >= troubled + PATIENCE => {
                        return Err(format!("it does not come to rest: {why}"));
                    }
                    Some(_) => next_look = now + Duration::from_millis(200),
                }
            } else if now >= next_trouble && now < troubled {
                self.trouble();
                let pause = self.world.lock().between(50, 1500);
                next_trouble = self.world.lock().now + pause;
            }
            let until = if now < troubled { next_look.min(next_trouble) } else { next_look };
            self.step(until)?;
        }
    }

    /// Whoever has something to do does it; then time passes to what is next.
    fn step(&mut self, until: Duration) -> Result<(), String> {
        let now = self.world.lock().now;
        for slot in 0..self.workers.len() {
            self.step_worker(slot, now)?;
        }
        self.step_doubles(now)?;
        self.step_feeder(now)?;
        if let Some(reader) = &mut self.reader
            && is_due(&self.world, self.reader_wake, false, Some(reader.process), now)
        {
            reader.step()?;
            self.reader_wake = now + self.world.lock().between(10, 40);
        }
        let wakes = self.workers.iter().map(|slot| slot.wake);
        let wakes = wakes.chain(self.doubles.iter().map(|slot| slot.wake));
        let wakes = wakes.chain([self.feeder.wake, self.reader_wake]);
        let next = wakes.min().unwrap_or(until).min(until);
        let mut world = self.world.lock();
        if next > world.now {
            world.step(next);
        } else {
            world.step(now + Duration::from_micros(100));
        }
        Ok(())
    }

    fn step_worker(&mut self, number: usize, now: Duration) -> Result<(), String> {
        let slot = &mut self.workers[number];
        let process = slot.who.as_ref().map(|it| it.process);
        if !is_due(&self.world, slot.wake, slot.frozen, process, now) {
            return Ok(());
        }
        slot.frozen = false;
        let Some(worker) = &mut slot.who else {
            // Some come back under the name that they had, some under another.
            let is_new = {
                let mut world = self.world.lock();
                !world.is_calm && world.seed.one_in(3)
            };
            self.named += u64::from(is_new);
            let name = match is_new {
                true => format!("worker-{number}-{}", self.named),
                false => format!("worker-{number}"),
            };
            slot.who = Worker::start(&self.world, &name)?;
            let world = self.world.lock();
            slot.wake =
                world.now + Duration::from_millis(if slot.who.is_some() { 1 } else { 50 });
            return Ok(());
        };
        worker.step(&mut self.ledger)?;
        let mut world = self.world.lock();
        slot.wake = world.now + world.between(5, 30);
        let (is_alive, is_over) = (world.is_alive(worker.process), worker.is_over);
        let back = world.between(10, 3000);
        let now = world.now;
        drop(world);
        if !is_alive || is_over {
            slot.wake = now + back;
            slot.who.take().into_iter().for_each(Worker::die);
        }
        Ok(())
    }

    fn step_doubles(&mut self, now: Duration) -> Result<(), String> {
        for slot in &mut self.doubles {
            let process = slot.who.as_ref().map(|it| it.process);
            if !is_due(&self.world, slot.wake, slot.frozen, process, now) {
                continue;
            }
            slot.frozen = false;
            let Some(worker) = &mut slot.who else { continue };
            worker.step(&mut self.ledger)?;
            let mut world = self.world.lock();
            slot.wake = world.now + world.between(5, 30);
            let ends = world.seed.one_in(100) || world.is_calm;
            let ends = ends || worker.is_over || !world.is_alive(worker.process);
            drop(world);
            if ends {
                slot.who.take().into_iter().for_each(Worker::die);
            }
        }
        self.doubles.retain(|slot| slot.who.is_some());
        Ok(())
    }

    fn step_feeder(&mut self, now: Duration) -> Result<(), String> {
        let slot = &mut self.feeder;
        let process = slot.who.as_ref().map(|it| it.process);
        if !is_due(&self.world, slot.wake, slot.frozen, process, now) {
            return Ok(());
        }
        slot.frozen = false;
        let Some(feeder) = &mut slot.who else {
            slot.who = Feeder::start(&self.world)?;
            slot.wake = self.world.lock().now + Duration::from_millis(1);
            return Ok(());
        };
        feeder.step(&mut self.ledger, &mut self.left)?;
        let mut world = self.world.lock();
        slot.wake = world.now + world.between(5, 30);
        let ends = feeder.is_over || !world.is_alive(feeder.process);
        drop(world);
        if ends {
            slot.who.take().into_iter().for_each(Feeder::die);
        }
        Ok(())
    }

    /// What is left to do, if anything is.
    fn unrest(&self) -> Option<String> {
        if let Some(why) = audit::unrest(&self.world.lock()) {
            return Some(why);
        }
        let at_ends = self.reader.as_ref().is_some_and(Reader::is_at_ends);
        (!at_ends).then(|| "a reader is not at its ends".to_owned())
    }

    /// Something happens to a process or to a broker.
    fn trouble(&mut self) {
        const TROUBLES: [Fault; 8] = [
            Fault::Kill,
            Fault::KillWhileSending,
            Fault::Silence,
            Fault::Double,
            Fault::Farewell,
            Fault::FalseAlarm,
            Fault::NoLeader,
            Fault::BrokerAway,
        ];
        let mut guard = self.world.lock();
        let world = &mut *guard;
        let fault = TROUBLES[world.seed.below(TROUBLES.len() as u64) as usize];
        if !world.case.allows(fault) {
            return;
        }
        let number = world.seed.below(self.workers.len() as u64) as usize;
        let is_feeder = world.seed.one_in(4);
        let slot = &mut self.workers[number];
        let process = match is_feeder {
            true => self.feeder.who.as_ref().map(|it| it.process),
            false => slot.who.as_ref().map(|it| it.process),
        };
        match fault {
            Fault::BrokerAway => {
                let node = world.seed.below(world.case.brokers as u64) as i32;
                let most = if world.seed.one_in(4) { 10_000 } else { 1000 };
                let time = world.between(50, most);
                world.struck(fault);
                world.send_away(node, time);
            }
            Fault::NoLeader => {
                let topic = world.seed.below(2) as usize;
                let count = u64::from(world.case.partitions[topic]);
                let partition = world.seed.below(count) as usize;
                let pause = world.between(20, 1500);
                world.struck(fault);
                world.elect(TOPICS[topic], partition, pause);
            }
            Fault::Kill => {
                let Some(process) = process else { return };
                world.struck(fault);
                world.kill(process);
            }
            Fault::KillWhileSending => {
                let Some(process) = process else { return };
                let left = 1 + world.seed.below(20);
                world.wires.processes[process].sends_left = Some(left);
            }
            Fault::Silence => {
                let until = world.now + world.between(200, 8000);
                world.struck(fault);
                world.note(|| format!("worker {number} or feeder {is_feeder} is silent"));
                match is_feeder {
                    true => (self.feeder.wake, self.feeder.frozen) = (until, true),
                    false => (slot.wake, slot.frozen) = (until, true),
                }
            }
            Fault::FalseAlarm => {
                let Some(process) = process.filter(|it| world.is_watched(*it)) else {
                    return;
                };
                let time = world.between(300, 3000);
                world.struck(fault);
                world.hide(process, time);
            }
            Fault::Double => {
                let Some(mut worker) = slot.who.take() else { return };
                world.struck(fault);
                worker.is_doomed = true;
                let wake = world.now + world.between(0, 3000);
                self.doubles.push(Slot { who: Some(worker), wake, frozen: true });
                (slot.wake, slot.frozen) = (world.now, false);
            }
            _ => {
                let Some(worker) = slot.who.take() else { return };
                world.struck(fault);
                slot.wake = world.now + world.between(10, 3000);
                drop(guard);
                worker.leave();
            }
        }
    }
}

/// Whether somebody has something to do: it is time, or something has come.
fn is_due(
    world: &Shared,
    wake: Duration,
    frozen: bool,
    process: Option<usize>,
    now: Duration,
) -> bool {
    let has_mail = || process.is_some_and(|process| world.lock().has_mail(process));
    wake <= now || !frozen && has_mail()
}
