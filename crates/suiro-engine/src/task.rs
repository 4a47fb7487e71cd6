//! A task: a sub-topology times a partition, as a pure state machine.
//!
//! It takes turns (rule T2): the row with the smallest time among the heads of its inputs goes
//! next. Turns of one input that follow each other go through the operators as one batch; the
//! result is that of taking them one at a time (rule D2).

use crate::alone::Alone;
use crate::exchange::Delivery;
use crate::exchange::Sends;
use crate::flight::Sealed;
use crate::graph::{NodeKind, TaskInfo};
use crate::input::{Chunk, Input, InputKind, Offsets};
use crate::layout::Partitions;
use crate::operator::{Context, Counters, Emitted, Failure, Gate, Operator};
use crate::outbox::Outbox;
use crate::plan::{Links, Plan};
use crate::rows::BoxRows;
use crate::silence::Silence;
use crate::source::{Decode, Generate};
use crate::speech::Speaker;
use crate::stores::Stores;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::TaskId;
use suiro_core::{Error, Offset, Timestamp, TopicPartition};

/// The most rows that go through the operators as one batch: few enough to stay in the caches of
/// a core, with what they own, from the first operator to the last. Where an operator makes many
/// rows of one, batches become smaller, down to the least.
const BATCH: usize = 512;
const BATCH_LEAST: usize = 32;

/// Runs below this are short, and so many rows ahead are foreseen for them.
const SHORT: usize = 64;
const AHEAD: usize = 128;

/// So many rows on their way to other tasks end a step, so that they are taken while they are in
/// the caches.
const SENT: usize = 4096;

/// A task and all its state.
pub struct Task {
    pub(crate) id: TaskId,
    pub(crate) plan: Plan,
    pub(crate) inputs: Vec<Input>,
    pub(crate) stores: Stores,
    pub(crate) outbox: Outbox,
    pub(crate) sends: Sends,
    pub(crate) counters: Counters,
    /// Rows taken since the start.
    pub(crate) taken: u64,
    /// Rows taken from topics since the last commit.
    pub(crate) read: u64,
    /// What is in the commit in flight, if it was there then.
    pub(crate) sealed: Option<Sealed>,
    /// The newest record that was taken from a topic: the input, and the offset.
    pub(crate) newest: Option<(usize, Offset)>,
    /// Stores whose changelog is a source topic.
    pub(crate) unlogged: Vec<usize>,
    /// A mark that was read from a topic moved a lane, and operators do not know it yet.
    pub(crate) moved: bool,
    /// Operators spoke, or may have, though no row was taken.
    pub(crate) spoke: bool,
    /// Leave rows as they were when user code panics.
    pub(crate) careful: bool,
    /// Records are taken one at a time, to find one that fails.
    pub(crate) alone: Alone,
    /// The end of a bounded run was reached and spoken of.
    pub(crate) ended: bool,
    /// The first node that was not told of the end.
    ending: usize,
    /// What the clock of the scope said when this round began; it counts for `max_idle` and for
    /// silence only.
    pub(crate) now: Duration,
    /// The time of day then.
    pub(crate) wall: Timestamp,
    pub(crate) silence: Silence,
    pub(crate) speakers: Vec<Speaker>,
    /// The operators that ask for work outside, and those that wait for times of day, each with the
    /// store that knows for which.
    pub(crate) askers: Vec<usize>,
    pub(crate) clocks: Vec<(usize, usize)>,
    /// How many batches operators have emitted.
    pub(crate) said: u64,
    pub(crate) max_idle: Duration,
    operators: Vec<Option<Box<dyn Operator>>>,
    generators: Vec<Option<Box<dyn Generate>>>,
    run: u64,
    /// How many rows go through the operators as one batch now, and the most that one of them
    /// has made of a batch since that was settled.
    batch: usize,
    widest: usize,
    spare: Vec<Vec<(usize, BoxRows)>>,
}

/// A step that failed, and the records that it was at.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) origin: TopicPartition,
    /// Offsets from the first to the last record of the run; unknown for rows in memory.
    pub(crate) offsets: Option<(Offset, Offset)>,
    /// Where they are unknown: the newest records that tasks have taken from topics.
    pub(crate) newest: Vec<String>,
}

/// A result of running steps.
pub(crate) type Tried<T> = Result<T, Box<Failed>>;

impl Task {
    pub(crate) fn new(plan: &Plan, id: TaskId, partitions: &dyn Partitions) -> Self {
        let sub = &plan.subs[id.subtopology as usize];
        let mut operators: Vec<Option<Box<dyn Operator>>> = Vec::new();
        operators.resize_with(plan.graph.nodes.len(), || None);
        let (mut inputs, mut generators) = (Vec::new(), Vec::new());
        let info = TaskInfo { partition: id.partition };
        for node in &sub.nodes {
            let mut generator = None;
            let (kind, name, lanes) = match &plan.graph.nodes[*node].kind {
                NodeKind::Step(make) | NodeKind::Send(_, make) | NodeKind::Sink(_, make) => {
                    operators[*node] = Some(make(info));
                    continue;
                }
                NodeKind::Source(source) => (InputKind::Topic, source.topic.clone(), 0),
                NodeKind::Generator(spec) => {
                    generator = Some((spec.make)(id.partition));
                    (InputKind::Generator, plan.generator(spec), 0)
                }
                NodeKind::Receive(exchange) => {
                    let lanes = partitions.lanes(*exchange);
                    (InputKind::Exchange(*exchange), plan.repartition(*exchange), lanes)
                }
            };
            let origin = TopicPartition { topic: name, partition: id.partition };
            let mut input = Input::new(*node, kind, origin, lanes as usize);
            if let InputKind::Exchange(exchange) = kind {
                input.beside = plan.graph.exchanges[exchange].beside;
            }
            inputs.push(input);
            generators.push(generator);
        }
        let (mut stores, mut outbox, mut sends) =
            (Stores::default(), Outbox::default(), Sends::default());
        for store in &sub.stores {
            stores.put(*store, (plan.graph.stores[*store].make)());
        }
        for topic in &plan.graph.topics {
            outbox.add_topic(topic, partitions.of_topic(topic));
        }
        for (exchange, delay) in &sub.sends {
            sends.open(*exchange, partitions.of_exchange(*exchange), *delay);
        }
        Self {
            id,
            plan: plan.clone(),
            inputs,
            stores,
            outbox,
            sends,
            counters: Counters::default(),
            taken: 0,
            read: 0,
            sealed: None,
            newest: None,
            unlogged: Vec::new(),
            moved: false,
            spoke: false,
            careful: false,
            alone: Alone::default(),
            ended: false,
            ending: 0,
            now: Duration::ZERO,
            wall: Timestamp::ZERO,
            silence: Silence::default(),
            speakers: Speaker::all(plan, sub),
            askers: plan.askers(sub),
            clocks: plan.clocks(sub),
            said: 0,
            max_idle: Duration::ZERO,
            operators,
            generators,
            run: 0,
            batch: BATCH,
            widest: 0,
            spare: Vec::new(),
        }
    }

    /// Takes turns until `budget` rows have been taken or there is a reason to wait.
    pub(crate) fn step(&mut self, budget: usize) -> Tried<()> {
        if std::mem::take(&mut self.moved) {
            self.advance().map_err(|failure| self.failed_at_end(failure))?;
        }
        if budget > 0 {
            self.generate(budget.min(BATCH * 4));
        }
        let links = Arc::clone(&self.plan.links);
        let mut left = budget;
        while left > 0 && !self.is_full() {
            let Some((input, count)) = self.choose() else { break };
            let count = count.min(left);
            left -= count;
            self.take(&links, input, count)?;
            if self.widest > BATCH * 2 {
                self.batch = (self.batch / 2).max(BATCH_LEAST);
            } else if self.widest < BATCH {
                self.batch = (self.batch * 2).min(BATCH);
            }
            self.widest = 0;
            if self.sends.rows() >= SENT {
                break;
            }
        }
        Ok(())
    }

    /// How many rows of an input go through the operators as one batch. Rows that lie together
    /// stay together, if they are not far too many.
    fn batch_of(&self, input: usize) -> usize {
        let ready = self.inputs[input].front().map_or(0, |rows| rows.ready());
        if ready <= self.batch * 2 { ready.max(1) } else { self.batch }
    }

    /// Short runs cannot be warmed by the operators themselves; the queue they come from can.
    fn foresee(&mut self, index: usize, count: usize) {
        let input = &mut self.inputs[index];
        if input.foreseen < count && count < SHORT {
            input.foreseen = 0;
            let Some(rows) = input.chunks.front().and_then(|chunk| chunk.rows.as_deref())
            else {
                return;
            };
            input.foreseen = rows.len().min(AHEAD);
            for (reader, port) in &self.plan.links[input.node].readers[0] {
                if let Some(operator) = &mut self.operators[*reader] {
                    operator.foresee(*port, rows, input.foreseen, &self.stores);
                }
            }
        }
        input.foreseen = input.foreseen.saturating_sub(count);
    }

    fn take(&mut self, links: &[Links], index: usize, count: usize) -> Tried<()> {
        self.foresee(index, count);
        let input = &mut self.inputs[index];
        let (node, lane) = (input.node, input.front_lane());
        let offsets = input.chunks.front().and_then(|chunk| chunk.offsets_of(count));
        let mut rows = input.take(count);
        self.run += 1;
        self.taken += count as u64;
        if !self.inputs[index].is_exchange() {
            self.read += count as u64;
            self.newest = offsets.map(|(_, last)| (index, last));
        }
        let failed = |task: &Self, failure| {
            let origin = task.inputs[index].origin.clone();
            Box::new(Failed { failure, origin, offsets, newest: Vec::new() })
        };
        if self.alone.on {
            let offset = offsets.map(|(first, _)| first);
            rows =
                self.remember(index, rows, offset).map_err(|failure| failed(self, failure))?;
        }
        let turn = Turning { input: Some((index, lane)) };
        let mut result = self.dispatch(links, node, 0, rows, turn);
        if self.inputs[index].settle() && result.is_ok() {
            result = self.advance();
        }
        if result.is_ok() && !self.inputs[index].refused.is_empty() {
            result = self.put_aside();
        }
        result.map_err(|failure| failed(self, failure))
    }

    /// Which turn is next: the input, and how many of its rows. None if all that may be taken is
    /// taken, an input is awaited (rule T3), or the next record of one cannot be read.
    fn choose(&mut self) -> Option<(usize, usize)> {
        let mut best: Option<(Timestamp, usize)> = None;
        let mut second: Option<(Timestamp, usize)> = None;
        let (mut waits, mut goes_on) = (false, None);
        for (index, input) in self.inputs.iter_mut().enumerate() {
            if let Some(at) = input.head() {
                match best {
                    Some(head) if head <= (at, index) => {
                        if second.is_none_or(|head| (at, index) < head) {
                            second = Some((at, index));
                        }
                    }
                    _ => {
                        second = best;
                        best = Some((at, index));
                    }
                }
            } else if input.is_poisoned() {
                return None;
            } else if !waits && input.is_awaited(self.now, self.max_idle) {
                // The rows of one other input need not wait; those of all others do.
                match input.beside.map(InputKind::Exchange) {
                    Some(kind) if goes_on.is_none_or(|other| other == kind) => {
                        goes_on = Some(kind);
                    }
                    _ => waits = true,
                }
            }
        }
        let (_, input) = best.filter(|_| !waits)?;
        if goes_on.is_some_and(|kind| self.inputs[input].kind != kind) {
            return None;
        }
        let rows = self.inputs[input].front().expect("an input with a head has rows");
        let batch = if self.alone.on { 1 } else { self.batch_of(input) };
        let len = rows.len().min(batch).min(self.inputs[input].before_letter());
        let count = match second {
            None => len,
            Some((at, other)) => rows.run(at, input < other, len),
        };
        Some((input, count))
    }

    /// Hands the rows of an output to its readers, depth first, in order of declaration.
    fn dispatch(
        &mut self,
        links: &[Links],
        node: usize,
        output: usize,
        rows: BoxRows,
        turn: Turning,
    ) -> Result<(), Failure> {
        let readers = &links[node].readers[output];
        let Some((last, others)) = readers.split_last() else { return Ok(()) };
        if links[node].cut && !others.is_empty() && rows.len() > 1 {
            let mut queue = rows.into_queue();
            while !queue.is_empty() {
                self.dispatch(links, node, output, queue.take(1), turn)?;
            }
            return Ok(());
        }
        if !others.is_empty() {
            let copy = self.plan.graph.nodes[node].outputs[output]
                .expect("an output with several readers knows how to copy its rows");
            for (reader, port) in others {
                self.push(links, *reader, *port, copy(&*rows), turn)?;
            }
        }
        self.push(links, last.0, last.1, rows, turn)
    }

    fn push(
        &mut self,
        links: &[Links],
        node: usize,
        port: usize,
        rows: BoxRows,
        turn: Turning,
    ) -> Result<(), Failure> {
        let link = &links[node];
        let single = link.single || link.cut && link.readers.len() > 1 || self.alone.on;
        if single && rows.len() > 1 {
            let mut queue = rows.into_queue();
            while !queue.is_empty() {
                self.push(links, node, port, queue.take(1), turn)?;
            }
            return Ok(());
        }
        if link.ages && !cfg!(suiro_mutant = "time_goes_last") {
            let at = rows.first_at();
            self.call(links, node, turn, |operator, cx| operator.observe(at, cx))?;
        }
        if self.alone.on {
            return self.push_alone(links, (node, port), rows, turn);
        }
        self.call(links, node, turn, |operator, cx| operator.process(port, rows, cx))
    }

    /// The operator of a node, if it has one.
    pub(crate) fn operator(&self, node: usize) -> Option<&dyn Operator> {
        self.operators[node].as_deref()
    }

    /// Calls an operator, and hands on what it emits.
    pub(crate) fn call(
        &mut self,
        links: &[Links],
        node: usize,
        turn: Turning,
        call: impl FnOnce(&mut dyn Operator, &mut Context<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let gate = self.gate(&links[node].gates, turn);
        let mut out = Emitted(self.spare.pop().unwrap_or_default());
        let operator = self.operators[node].as_mut().expect("only operators have inputs");
        let mut cx = Context {
            out: &mut out,
            stores: &mut self.stores,
            outbox: &mut self.outbox,
            sends: &mut self.sends,
            counters: &mut self.counters,
            gate,
            wall: self.wall,
            careful: self.careful,
        };
        let mut result = call(&mut **operator, &mut cx);
        self.said += out.0.len() as u64;
        for (output, rows) in out.0.drain(..) {
            self.widest = self.widest.max(rows.len());
            // A record of which a letter is written may have moved time, and closed windows.
            let stops = result.as_ref().is_err_and(|it| !self.alone.on || it.letter.is_none());
            if !stops {
                self.dispatch(links, node, output, rows, turn)
                    .unwrap_or_else(|failure| result = Err(failure));
            }
        }
        self.spare.push(out.0);
        result
    }

    /// How far the lanes above an operator let its stream time rise in this turn.
    fn gate(&self, gates: &[usize], turn: Turning) -> Gate {
        if gates.is_empty() {
            return Gate::OPEN;
        }
        let mut gate = Gate { run: self.run, ..Gate::OPEN };
        for above in gates {
            let input = &self.inputs[*above];
            match turn.input {
                Some((index, Some(lane))) if index == *above => {
                    gate.others = gate.others.min(input.hold(Some(lane)));
                    let mark = input.lanes[lane as usize];
                    gate.own = (!mark.caught_up).then_some(mark.at);
                }
                _ => gate.others = gate.others.min(input.hold(None)),
            }
        }
        gate
    }

    /// Lets operators behind an exchange speak whose gate may have risen.
    pub(crate) fn advance(&mut self) -> Result<(), Failure> {
        self.run += 1;
        self.spoke = true;
        self.call_all(
            |task, node| !task.plan.links[node].gates.is_empty(),
            |op, cx| op.advance(cx),
        )
    }

    /// Lets all operators speak whose stream time has risen.
    pub(crate) fn advance_all(&mut self) -> Result<(), Failure> {
        self.run += 1;
        self.call_all(|_, _| true, |op, cx| op.advance(cx))
    }

    /// Lets operators say what they say once per commit.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if !cfg!(suiro_mutant = "letter_after_position") {
            self.put_aside()?;
        }
        self.call_all(|_, _| true, |operator, cx| operator.flush(cx))
    }

    /// Lets operators speak of what will not come, at the end of a bounded run. Those behind one
    /// that is owed results hear of the end when it has them, in a later call.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        let links = Arc::clone(&self.plan.links);
        while self.ending < self.operators.len() {
            let node = self.ending;
            self.ending += 1;
            if self.operators[node].is_some() {
                self.call(&links, node, Turning { input: None }, |op, cx| op.end(cx))?;
            }
            if self.askers.contains(&node) && self.is_owed() {
                return Ok(());
            }
        }
        self.ended = true;
        Ok(())
    }

    fn call_all(
        &mut self,
        which: impl Fn(&Self, usize) -> bool,
        call: impl Fn(&mut dyn Operator, &mut Context<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let links = Arc::clone(&self.plan.links);
        for node in 0..self.operators.len() {
            if self.operators[node].is_some() && which(self, node) {
                self.call(&links, node, Turning { input: None }, &call)?;
            }
        }
        Ok(())
    }

    /// Takes what a lane delivered.
    pub(crate) fn deliver(&mut self, delivery: Delivery) -> Result<(), Failure> {
        let kind = InputKind::Exchange(delivery.exchange);
        let input = self.inputs.iter_mut().find(|input| input.kind == kind);
        let input = input.expect("a delivery goes to a task that receives from its exchange");
        let was = (input.chunks.is_empty(), input.lanes[delivery.lane as usize]);
        input.push(Chunk {
            rows: delivery.rows.map(|rows| rows.into_queue()),
            offsets: Offsets::Memory,
            taken: 0,
            lane: Some((delivery.lane, delivery.mark)),
            poison: None,
            next: None,
            kept: None,
        });
        if was.0 && input.chunks.is_empty() && was.1 != input.lanes[delivery.lane as usize] {
            self.advance()?;
        }
        Ok(())
    }

    /// Collects what this task sends, with a mark per lane.
    pub(crate) fn collect(&mut self, deliver: &mut Vec<Delivery>) {
        let caught_up = self.inputs.iter().all(Input::is_caught_up) && !self.is_owed();
        let at = self.inputs.iter().map(Input::time).max().unwrap_or(Timestamp::MIN);
        self.sends.collect(self.id.partition, at, caught_up, self.ended, deliver);
    }

    /// Decodes what was fetched.
    pub(crate) fn absorb(&mut self) -> Result<(), Error> {
        let keeps: Vec<bool> =
            self.inputs.iter().map(|input| self.keeps_records(input.node)).collect();
        for (input, keep) in self.inputs.iter_mut().zip(keeps) {
            let node = &self.plan.graph.nodes[input.node].kind;
            let decode: &dyn Decode = match node {
                NodeKind::Source(source) => &*source.decode,
                NodeKind::Receive(exchange) => &*self.plan.graph.exchanges[*exchange].codec,
                _ => continue,
            };
            let of_exchange = matches!(input.kind, InputKind::Exchange(_));
            self.moved |= input.absorb(decode, of_exchange, keep)?;
        }
        Ok(())
    }

    /// Makes the rows of generators.
    fn generate(&mut self, budget: usize) {
        for (input, generator) in self.inputs.iter_mut().zip(&mut self.generators) {
            let Some(generator) = generator else { continue };
            if input.waiting > 0 || input.end == Some(input.fetch_from) {
                continue;
            }
            let from = input.fetch_from;
            match generator.next(from, budget) {
                None => input.end = Some(from),
                Some(rows) => {
                    let next = from + rows.len() as Offset;
                    input.fetch_from = next;
                    input.push(Chunk {
                        rows: Some(rows),
                        offsets: Offsets::From(from),
                        taken: 0,
                        lane: None,
                        poison: None,
                        next: Some(next),
                        kept: None,
                    });
                }
            }
            input.stop_at = input.end;
        }
    }

    /// Whether every input of a bounded run is at its end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.inputs.iter().all(Input::is_ended) && !self.is_owed()
    }

    /// Puts everything back to the last commit; inputs start again at `positions`.
    pub(crate) fn rollback(
        &mut self,
        positions: &dyn Fn(&TopicPartition) -> Option<Offset>,
    ) -> Result<(), Error> {
        self.stores.iter_mut().for_each(|(_, store)| store.rollback());
        self.operators.iter_mut().flatten().for_each(|operator| operator.rollback());
        self.outbox.clear()?;
        self.sends.clear();
        for input in &mut self.inputs {
            input.seek(positions(&input.origin).unwrap_or(0));
        }
        (self.counters, self.sealed) = (Counters::default(), None);
        (self.read, self.moved, self.spoke, self.ending) = (0, false, false, 0);
        self.silence.rollback(self.taken);
        self.speakers.iter_mut().for_each(Speaker::rollback);
        Ok(())
    }
}

/// The turn that is being taken, if any: the input and the lane.
#[derive(Clone, Copy)]
pub(crate) struct Turning {
    pub(crate) input: Option<(usize, Option<u32>)>,
}
