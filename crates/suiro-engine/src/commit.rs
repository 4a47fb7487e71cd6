//! The one commit: outputs, changes of stores, rows under way and positions, or nothing.

use crate::crew::{Crew, Done, Saved, Work};
use crate::ends::Note;
use crate::exchange::{Delivery, ExchangeKind, Mark, encode};
use crate::flight::Flight;
#[cfg(suiro_mutant = "store_below_before_commit")]
use crate::flight::count;
use crate::input::{Chunk, Input, InputKind, Offsets};
use crate::replay::replay;
use crate::scope::Scope;
use bytes::Bytes;
#[cfg(suiro_mutant = "store_below_before_commit")]
use std::collections::BTreeMap;
use std::sync::Arc;
use suiro_core::broker::{Fence, Guarantee, Position};
use suiro_core::{Offset, Result, TopicPartition};

/// Chunks of rows that crossed in memory and are written to the internal topic by a commit.
pub(crate) struct Leftover {
    pub(crate) task: usize,
    pub(crate) input: usize,
    /// The places of the chunks in the queue of the input, each with the offset that its first
    /// row has behind the start of the append.
    chunks: Vec<(usize, Offset)>,
    count: Offset,
    pub(crate) append: usize,
}

impl Leftover {
    /// The rows are in their topic now, from `base` on.
    pub(crate) fn settle(&self, input: &mut Input, base: Offset) {
        for (number, first) in &self.chunks {
            let chunk: &mut Chunk = &mut input.chunks[*number];
            let rows = chunk.rows.as_ref().map_or(0, |rows| rows.len()) as Offset;
            chunk.offsets = Offsets::From(base + first);
            chunk.taken = 0;
            chunk.next = Some(base + first + rows);
        }
        input.appended(base + self.count);
    }
}

impl Scope {
    /// Asks for a commit of what was done since the last one, if there is anything.
    pub(crate) fn depart(&mut self, crew: &mut dyn Crew) -> Result<()> {
        self.drain(crew)?;
        let Some(mut saved) = self.save(crew)? else {
            self.dirty = false;
            return Ok(());
        };
        #[cfg(suiro_mutant = "changelog_after_commit")]
        let mut after = Vec::new();
        // New forms and the rows that have them are there together, whatever else is promised.
        let guarantee = match self.has_forms_due() {
            true => Guarantee::ExactlyOnce,
            false => self.settings.guarantee,
        };
        self.link.session.guarantee(guarantee);
        let commit = self.link.session.begin();
        let (mut appends, mut reload, mut lower) = (0, Vec::new(), Vec::new());
        let mut append = |scope: &mut Self, to: &TopicPartition, batches: Bytes| {
            scope.link.session.append(commit, to, batches);
            appends += 1;
            appends - 1
        };
        // Without a transaction a row that says that a result was given must not be there before
        // the result is.
        for (_, saved) in &mut saved {
            for (to, batches) in std::mem::take(&mut saved.outputs) {
                append(self, &to, batches.into());
            }
        }
        for (to, batches) in std::mem::take(&mut self.outgoing) {
            self.forget_look(&to);
            append(self, &to, batches.into());
        }
        let mut leftovers = Vec::new();
        for (leftover, batches) in self.leftovers()? {
            let task = self.tasks[leftover.task].as_ref().expect("tasks are at rest");
            let to = task.inputs[leftover.input].origin.clone();
            let append = append(self, &to, batches.into());
            leftovers.push(Leftover { append, ..leftover });
        }
        self.link.session.barrier(commit);
        for (place, saved) in saved {
            let partition = self.tasks[place].as_ref().map_or(0, |task| task.id.partition);
            for (store, batches) in saved.changes {
                let batches = Bytes::from(batches);
                if self.settings.reload {
                    reload.push((place, store, batches.clone()));
                }
                self.rewrites(store, partition, &batches)?;
                let topic = self.plan.changelog(store);
                let to = TopicPartition { topic, partition };
                #[cfg(suiro_mutant = "changelog_after_commit")]
                if !self.below.has((place, store)) {
                    after.push((to, batches));
                    continue;
                }
                let number = append(self, &to, batches.clone());
                if self.below.has((place, store)) {
                    lower.push(((place, store), batches, Some(number)));
                }
            }
            for (store, batches) in saved.lowered {
                lower.push(((place, store), Bytes::from(batches), None));
            }
        }
        if let Some((to, batches)) = self.forms_due()? {
            append(self, &to, batches.into());
        }
        let positions = self.positions();
        #[cfg(suiro_mutant = "positions_before_outputs")]
        self.commit_apart(Vec::new(), positions.clone());
        #[cfg(suiro_mutant = "store_applied_before_commit")]
        for task in self.tasks.iter_mut().flatten() {
            task.stores.iter_mut().for_each(|(_, store)| store.committed());
        }
        #[cfg(suiro_mutant = "store_below_before_commit")]
        self.lower_early(&lower)?;
        let group = Arc::clone(self.plan.name());
        let fence = Fence { group, generation: Some(self.generation) };
        let asked = self.clock.now();
        self.link.session.commit(commit, Some(fence), positions.clone());
        self.last_commit = self.clock.elapsed();
        self.dirty = false;
        let taken = self.taken();
        self.tasks.iter_mut().flatten().for_each(|task| task.seal());
        self.flight = Some(Flight {
            commit,
            positions,
            leftovers,
            lower,
            reload,
            asked,
            taken,
            #[cfg(suiro_mutant = "changelog_after_commit")]
            after,
        });
        Ok(())
    }

    /// A part of a commit by itself, as no program may do it.
    #[cfg(any(
        suiro_mutant = "positions_before_outputs",
        suiro_mutant = "changelog_after_commit"
    ))]
    pub(crate) fn commit_apart(
        &mut self,
        appends: Vec<(TopicPartition, Bytes)>,
        positions: Vec<Position>,
    ) {
        let commit = self.link.session.begin();
        for (to, batches) in appends {
            self.link.session.append(commit, &to, batches);
        }
        let group = Arc::clone(self.plan.name());
        let fence = Fence { group, generation: Some(self.generation) };
        self.link.session.commit(commit, Some(fence), positions);
        drop(self.link.resolved(commit));
    }

    /// Sends changes down that may never be committed, as no program may do it.
    #[cfg(suiro_mutant = "store_below_before_commit")]
    fn lower_early(&mut self, lower: &[((usize, usize), Bytes, Option<usize>)]) -> Result<()> {
        let mut lowered = BTreeMap::new();
        for ((place, store), batches, append) in lower {
            let partition = self.tasks[*place].as_ref().map_or(0, |task| task.id.partition);
            if append.is_some() {
                let topic = self.plan.changelog(*store);
                let of = TopicPartition { topic, partition };
                let end = self.link.offset(&of, suiro_core::broker::Seek::Latest)?;
                lowered.insert((*place, *store), (batches.clone(), end + count(batches)?));
            }
        }
        self.lower(lowered, self.clock.now())
    }

    /// Lets tasks behind exchanges take what may take its turn, so that little is left over.
    fn drain(&mut self, crew: &mut dyn Crew) -> Result<()> {
        if self.probe.is_some() || self.settings.exchange == ExchangeKind::Topic {
            return Ok(());
        }
        let budget = self.settings.batch_rows;
        for level in 1..self.levels() {
            loop {
                let before = self.taken();
                if !self.step_level(crew, level, budget)? {
                    return Ok(());
                }
                if self.taken() == before {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Collects what every task gives to the commit; nothing if there is nothing to commit.
    fn save(&mut self, crew: &mut dyn Crew) -> Result<Option<Vec<(usize, Saved)>>> {
        let (mut all, mut failed) = (Vec::new(), None);
        let mut broken = None;
        for mut job in crew.work(self.jobs(None, Work::Save)) {
            match job.done.take() {
                Some(Done::Saved(Ok(saved))) => all.push((job.index, saved)),
                Some(Done::Saved(Err(error))) => broken = Some(error),
                Some(Done::Failed(failure)) => failed = Some(job.task.failed_at_end(failure)),
                _ => {}
            }
            self.tasks[job.index] = Some(job.task);
        }
        if let Some(error) = broken {
            return Err(error);
        }
        if let Some(failed) = failed {
            self.recover(*failed)?;
            return Ok(None);
        }
        all.sort_by_key(|(place, _)| *place);
        self.write_named(&mut all)?;
        let quiet =
            all.iter().all(|(_, saved)| saved.outputs.is_empty() && saved.changes.is_empty());
        let nothing = quiet && self.outgoing.is_empty() && self.positions().is_empty();
        Ok((!nothing).then_some(all))
    }

    /// Finds, or makes, the topics that tasks have named since the last commit, and writes what
    /// waited for them.
    fn write_named(&mut self, all: &mut [(usize, Saved)]) -> Result<()> {
        for (place, saved) in all {
            let Some(task) = self.tasks[*place].as_mut() else { continue };
            let unknown = task.outbox.unknown();
            for topic in &unknown {
                let sub = task.id.subtopology as usize;
                let partitions = self.layout.named(&mut self.link, topic, sub)?;
                task.outbox.open(topic, partitions)?;
            }
            if !unknown.is_empty() {
                task.outbox.drain(|to, batches| saved.outputs.push((to.clone(), batches)))?;
            }
        }
        Ok(())
    }

    /// Encodes a delivery for the internal topic.
    pub(crate) fn send(&mut self, delivery: Delivery) -> Result<()> {
        let codec = Arc::clone(&self.plan.graph.exchanges[delivery.exchange].codec);
        let topic = self.plan.repartition(delivery.exchange);
        let to = TopicPartition { topic, partition: delivery.to };
        self.forget_look(&to);
        let rows = delivery.rows.map(|rows| rows.into_queue());
        let out = self.outgoing.entry(to).or_default();
        self.dirty = true;
        encode(&*codec, (delivery.lane, self.generation), delivery.mark, rows.as_deref(), out)
    }

    /// Encodes the rows that crossed in memory and wait.
    fn leftovers(&mut self) -> Result<Vec<(Leftover, Vec<u8>)>> {
        let mut all = Vec::new();
        for (place, task) in self.tasks.iter().enumerate() {
            let Some(task) = task else { continue };
            for (index, input) in task.inputs.iter().enumerate() {
                let InputKind::Exchange(exchange) = input.kind else { continue };
                let codec = &*self.plan.graph.exchanges[exchange].codec;
                let (mut out, mut chunks, mut count) = (Vec::new(), Vec::new(), 0);
                for (number, chunk) in input.chunks.iter().enumerate() {
                    if number > 0 && cfg!(suiro_mutant = "exchange_drained_partly") {
                        break;
                    }
                    let (Offsets::Memory, Some(rows)) = (&chunk.offsets, &chunk.rows) else {
                        continue;
                    };
                    let (lane, mark) = chunk.lane.unwrap_or((0, Mark::UNKNOWN));
                    encode(codec, (lane, self.generation), mark, Some(&**rows), &mut out)?;
                    chunks.push((number, count + 1));
                    count += 1 + rows.len() as Offset;
                }
                if !chunks.is_empty() {
                    let (task, input) = (place, index);
                    all.push((Leftover { task, input, chunks, count, append: 0 }, out));
                }
            }
        }
        Ok(all)
    }

    /// The positions that have changed since the last commit.
    fn positions(&self) -> Vec<Position> {
        let mut positions = Vec::new();
        for task in self.tasks.iter().flatten() {
            for input in &task.inputs {
                let end = input.stop_at.filter(|_| input.kind == InputKind::Topic);
                let note = match self.settings.bounded {
                    true => Note { end, ended: task.ended, silent: None },
                    false => Note { silent: task.silence.note(), ..Note::default() },
                };
                let partition = input.origin.clone();
                let (next, note) = (input.position, note.text());
                let position = Position { partition, next, note };
                if self.committed.get(&position.partition) != Some(&position) {
                    positions.push(position);
                }
            }
        }
        positions
    }

    /// Replaces rows by what was written of them.
    pub(crate) fn reload(&mut self, changes: Vec<(usize, usize, Bytes)>) -> Result<()> {
        for (place, store, bytes) in changes {
            let task = self.tasks[place].as_mut().expect("tasks are at rest");
            replay(task.stores.state(store), bytes)?;
        }
        Ok(())
    }
}
