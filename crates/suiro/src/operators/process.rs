//! Steps of the user's own: records and timers, one at a time (rules R1 to R5).

use super::each;
use super::exchange::settle;
use crate::draft::{maker, step_node};
use crate::format::write_state;
use crate::process::{Buffer, Parts, Process, Processor, Turn};
use crate::row::{Batch, emit_to, typed};
use crate::show;
use crate::state::{Clock, Fired, Place, Places, Timer, TimerStore};
use crate::step::{Step, caught, is_of_record};
use crate::{Data, Key, Record, Stream};
use std::any::Any;
use std::sync::Arc;
use std::vec::IntoIter;
use suiro_core::{Error, Headers, Result, Timestamp};
use suiro_engine::{BoxRows, Context, Edge, Emitted, Failure, Gate, Operator, Stores};

/// Draws the node of a step that gets its operator later.
pub(crate) fn begin<K: Key, V: Data>(stream: Stream<K, V>, name: &str) -> Process<K, V> {
    let stream = settle(stream, name);
    let label = format!("process {name}");
    let step = stream.draft.step(&label);
    let make = Arc::new(|_| unreachable!("a plan is not built before each step is complete"));
    let mut node = step_node(&label, vec![stream.from], make);
    node.outputs = Vec::new();
    // What it sends may be made of earlier records than the one at hand.
    node.ages = true;
    let node = stream.draft.add(node);
    let text = "a step was begun and has no processor; give it one by `with`";
    stream.draft.begin(node, Error::invalid(text).with("process", name));
    stream.draft.show((node, 0), show::both::<K, V>(stream.keys));
    Process::new(stream, name, step, node)
}

/// Gives a step its operator.
///
/// What is sent for timers that fail goes through a part of the step behind the stores, where the
/// policy is heard: a record that only moved the time is not to blame.
pub(crate) fn finish<P: Processor>(
    stream: &Stream<P::Key, P::In>,
    name: &str,
    step: Step,
    mut parts: Parts<P::Key, P::In>,
    processor: P,
) {
    let (draft, keys, node) = (&stream.draft, stream.keys, parts.node);
    let timers = format!("{name}.timers");
    parts.timers =
        draft.store(&timers, None, move || TimerStore::<P::Key, P::Timer>::new(keys));
    let output = parts.outputs.len();
    {
        let graph = &mut draft.sketch().graph;
        graph.nodes[node].stores.push(parts.timers);
        graph.nodes[node].outputs.push(None);
        graph.clocks.insert(node, parts.timers);
    }
    let failed = Stream::<P::Key, Lost<P::Timer>>::new(draft, Edge { node, output }, keys);
    let heard = each::add_to(failed, step.clone(), |rows, _: &mut Batch<P::Key, ()>| {
        rows.next().map_or(Ok(()), |row| Err(row.value.cause))
    });
    let timer =
        |lost: &Lost<P::Timer>, out: &mut Vec<u8>| write_state(&lost.timer, out).is_ok();
    draft.show((heard.from.node, 0), show::with::<P::Key, _>(keys, timer));
    let slots = parts.slots();
    let (parts, processor) = (Arc::new(parts), Arc::new(processor));
    let make = maker(move |_| Processing {
        processor: Arc::clone(&processor),
        buffers: parts.outputs.iter().map(|make| make()).collect(),
        parts: Arc::clone(&parts),
        slots: slots.clone(),
        step: step.clone(),
    });
    draft.complete(node, make);
}

/// A timer that failed.
struct Lost<T> {
    timer: T,
    cause: Error,
}

struct Processing<P: Processor> {
    processor: Arc<P>,
    parts: Arc<Parts<P::Key, P::In>>,
    /// The numbers of its stores.
    slots: Vec<usize>,
    /// What is sent, by output.
    buffers: Vec<Box<dyn Buffer>>,
    step: Step,
}

/// What turns have come to so far. It outlives a panic of user code.
struct Work<'a, K, T> {
    stores: &'a mut Stores,
    out: &'a mut Emitted,
    buffers: Vec<Box<dyn Buffer>>,
    lost: Batch<K, Lost<T>>,
    /// Where the rows of the key at hand are, by store.
    places: Vec<Place>,
    wall: Timestamp,
    careful: bool,
    /// What each turn sends is handed on by itself: the outputs may meet again, and then the turns
    /// of timers come before that of their record.
    apart: bool,
    /// In careful mode: what there was before the turn at hand.
    undo: Option<Undo<K, T>>,
    /// What is no fault of a record: it ends the app.
    broken: Option<Error>,
}

/// What a turn may change, as it was before it.
struct Undo<K, T> {
    key: K,
    rows: Vec<Box<dyn Any>>,
    timers: Vec<Timer<T>>,
    sent: Vec<usize>,
}

impl<K: Key, T: Data + PartialEq> Work<'_, K, T> {
    fn timers(&mut self, slot: usize) -> &mut TimerStore<K, T> {
        self.stores.get_mut(slot)
    }

    /// Hands on what was sent.
    fn emit(&mut self) {
        for (output, buffer) in self.buffers.iter_mut().enumerate() {
            buffer.emit(output, self.out);
        }
        emit_to(self.out, self.buffers.len(), std::mem::take(&mut self.lost));
    }

    /// The value of `result`, unless it is one of what is no fault of a record.
    fn sound<A>(&mut self, result: Result<A>) -> Option<A> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken.get_or_insert(error);
                None
            }
        }
    }
}

impl<P: Processor> Processing<P> {
    /// Takes rows: before each the timers whose time it brings, and behind it those that it set
    /// for a time that has come.
    fn take(
        &self,
        rows: &mut IntoIter<Record<P::Key, P::In>>,
        found: &mut [Places],
        gate: &Gate,
        to: &mut Work<'_, P::Key, P::Timer>,
    ) -> Result<()> {
        for Record { key, value, at, headers } in rows {
            let now = to.timers(self.parts.timers).time.observe(at, gate);
            self.fire(Clock::Event, now, to)?;
            if to.broken.is_some() {
                return Ok(());
            }
            to.places.clear();
            to.places.extend(found.iter_mut().map(Places::next));
            if found.is_empty() && !self.find(&key, to) {
                return Ok(());
            }
            self.remember(&key, to);
            let turn = (&key, at, &headers);
            self.turn(turn, (now, None), to, |turn| self.processor.on_record(turn, value))?;
            to.undo = None;
            if to.broken.is_some() {
                return Ok(());
            }
            if to.apart {
                to.emit();
            }
            self.fire(Clock::Event, now, to)?;
        }
        Ok(())
    }

    /// Looks for the rows of a key; gives whether the stores could be read.
    fn find(&self, key: &P::Key, to: &mut Work<'_, P::Key, P::Timer>) -> bool {
        to.places.clear();
        for store in &self.parts.stores {
            let place = store.place(to.stores, key);
            let Some(place) = to.sound(place) else { return false };
            to.places.push(place);
        }
        true
    }

    /// Remembers what a turn may change, in careful mode.
    fn remember(&self, key: &P::Key, to: &mut Work<'_, P::Key, P::Timer>) {
        if to.careful {
            to.undo = Some(Undo {
                key: key.clone(),
                rows: self.parts.stores.iter().map(|it| it.copy(to.stores, key)).collect(),
                timers: to.timers(self.parts.timers).of(key).to_vec(),
                sent: to.buffers.iter().map(|buffer| buffer.len()).collect(),
            });
        }
    }

    /// Puts back what the turn at hand has changed.
    fn put_back(&self, to: &mut Work<'_, P::Key, P::Timer>) {
        let Some(Undo { key, rows, timers, sent }) = to.undo.take() else { return };
        for (store, row) in self.parts.stores.iter().zip(rows) {
            store.put_back(to.stores, &key, row);
        }
        if !cfg!(suiro_mutant = "timers_not_put_back") {
            to.timers(self.parts.timers).put_back(&key, timers);
        }
        to.buffers.iter_mut().zip(sent).for_each(|(buffer, count)| buffer.truncate(count));
    }

    /// Runs user code in a turn, that of a timer if `fired` names its clock.
    fn turn(
        &self,
        (key, at, headers): (&P::Key, Timestamp, &Headers),
        (stream_time, fired): (Timestamp, Option<(Clock, Timestamp)>),
        to: &mut Work<'_, P::Key, P::Timer>,
        run: impl FnOnce(&mut Turn<'_, P>) -> crate::Outcome,
    ) -> Result<()> {
        let mut earliest = [Timestamp::ZERO; 2];
        if let Some((clock, at)) = fired {
            earliest[clock as usize] = at.plus_millis(1);
        }
        let mut turn = Turn {
            key,
            at,
            headers,
            stream_time,
            wall: to.wall,
            earliest,
            node: self.parts.node,
            names: &self.parts.names,
            slots: &self.slots,
            places: &to.places,
            timers: self.parts.timers,
            tables: &self.parts.tables,
            stores: to.stores,
            outputs: &mut to.buffers,
            broken: &mut to.broken,
        };
        run(&mut turn)
            .map_err(|error| Error::invalid("the processor returned an error").caused_by(error))
    }

    /// Fires all timers that are due; gives whether there were some.
    fn fire(
        &self,
        clock: Clock,
        now: Timestamp,
        to: &mut Work<'_, P::Key, P::Timer>,
    ) -> Result<bool> {
        let mut has_rung = false;
        while to.broken.is_none() {
            let due = to.timers(self.parts.timers).take_due(clock, now);
            let Some(Some(fired)) = to.sound(due) else { break };
            self.ring(clock, fired, to)?;
            has_rung = true;
        }
        Ok(has_rung)
    }

    /// Fires a timer, which has been taken out. With care one that fails is put aside.
    fn ring(
        &self,
        clock: Clock,
        Fired { key, at, name }: Fired<P::Key, P::Timer>,
        to: &mut Work<'_, P::Key, P::Timer>,
    ) -> Result<()> {
        if !self.find(&key, to) {
            return Ok(());
        }
        let time = &to.timers(self.parts.timers).time;
        let (now, latest) = (time.now(), time.latest());
        let sends_at = if clock == Clock::Event { at } else { latest };
        let turn = (&key, sends_at, &Headers::NONE);
        if !to.careful {
            self.turn(turn, (now, Some((clock, at))), to, |turn| {
                self.processor.on_timer(turn, name)
            })?;
        } else {
            self.remember(&key, to);
            let timer = name.clone();
            let run = || {
                self.turn(turn, (now, Some((clock, at))), to, |turn| {
                    self.processor.on_timer(turn, name)
                })
            };
            match caught(run) {
                Err(cause) if is_of_record(&cause) => {
                    self.put_back(to);
                    let value = Lost { timer, cause };
                    let headers = Headers::NONE;
                    to.lost.push(Record { key, value, at: sends_at, headers });
                }
                other => other?,
            }
            to.undo = None;
        }
        if to.apart {
            to.emit();
        }
        Ok(())
    }

    /// Runs turns, and hands on what they sent.
    fn work(
        &mut self,
        cx: &mut Context<'_>,
        single: bool,
        mut run: impl FnMut(&Self, &mut Work<'_, P::Key, P::Timer>) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut counters = *cx.counters;
        let mut to = Work {
            stores: cx.stores,
            out: cx.out,
            buffers: std::mem::take(&mut self.buffers),
            lost: Vec::new(),
            places: Vec::new(),
            wall: cx.wall,
            careful: cx.careful,
            apart: single && self.parts.outputs.len() > 1,
            undo: None,
            broken: None,
        };
        let this = &*self;
        let result = self.step.stateful(
            &mut to,
            &mut counters,
            cx.careful,
            |to| run(this, to),
            |to| this.put_back(to),
        );
        to.emit();
        let Work { buffers, broken, .. } = to;
        self.buffers = buffers;
        *cx.counters = counters;
        match broken {
            Some(cause) => Err(Failure::stop(&self.step.label, cause)),
            None => result,
        }
    }
}

impl<P: Processor> Operator for Processing<P> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let rows = typed::<P::Key, P::In>(rows);
        let (gate, single) = (cx.gate, rows.len() == 1);
        let stores = &self.parts.stores;
        let mut found = Vec::new();
        // Rows that are brought up for a batch might be dropped again for those of timers.
        if !stores.iter().any(|store| store.is_lean(cx.stores)) {
            for store in stores {
                let mut places = Places::default();
                store
                    .find(cx.stores, &rows, &mut places)
                    .map_err(|cause| Failure::stop(&self.step.label, cause))?;
                found.push(places);
            }
        }
        let mut rows = rows.into_iter();
        self.work(cx, single, |this, to| this.take(&mut rows, &mut found, &gate, to))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let gate = cx.gate;
        self.work(cx, true, |this, to| {
            let now = to.timers(this.parts.timers).time.settle(&gate);
            this.fire(Clock::Event, now, to)?;
            Ok(())
        })
    }

    fn wake(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut has_rung = false;
        self.work(cx, true, |this, to| {
            has_rung |= this.fire(Clock::Wall, to.wall, to)?;
            let now = to.timers(this.parts.timers).time.now();
            this.fire(Clock::Event, now, to)?;
            Ok(())
        })?;
        Ok(has_rung)
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.work(cx, true, |this, to| {
            let standing = to.timers(this.parts.timers).standing();
            for fired in to.sound(standing).into_iter().flatten() {
                let timers = to.timers(this.parts.timers);
                if timers.take_standing(&fired, fired.at) && to.broken.is_none() {
                    this.ring(Clock::Event, fired, to)?;
                }
            }
            Ok(())
        })
    }
}
