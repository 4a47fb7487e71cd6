//! The partial matches of one key, and how a record moves them (rules P2 to P9).

use crate::found::Match;
use smallvec::SmallVec;
use suiro_core::{Headers, Timestamp};

/// The tests that hold for a record, a bit for each in order of declaration.
pub(crate) type Holds = u64;

/// What a pattern is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) stages: Vec<Stage>,
    /// What must not come behind the last stage. If there is something, a match is one when the
    /// time is over.
    pub(crate) last_not: Holds,
    /// How far the events of a match may be apart, in milliseconds.
    pub(crate) within: i64,
    /// Whether the events of a match may be in others, too.
    pub(crate) overlapping: bool,
}

/// A stage of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) takes: Holds,
    /// What must not come between the stage before and this one.
    pub(crate) forbids: Holds,
    /// Whether each of its events comes directly behind the one before.
    pub(crate) direct: bool,
    /// How many events it needs, and whether it takes more.
    pub(crate) least: u32,
    pub(crate) more: bool,
}

/// What a record does to a partial match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is not for it.
    Passes,
    /// It ends it.
    Breaks,
    /// It ends a stage that had enough.
    Leaves,
    /// It is an event of this stage.
    Takes(usize),
}

impl Shape {
    /// When a partial match that starts at `start` is over (rule P7).
    pub(crate) fn over(&self, start: Timestamp) -> Timestamp {
        start.plus_millis(self.linger())
    }

    /// How long after its start a partial match is over.
    pub(super) fn linger(&self) -> i64 {
        self.within.saturating_add(1)
    }

    /// Whether a partial match that can go no further waits for its time.
    pub(crate) fn waits(&self) -> bool {
        self.last_not != 0
    }

    /// Whether a record with which so much holds is one of the first stage.
    pub(crate) fn begins(&self, holds: Holds) -> bool {
        self.stages[0].takes & holds != 0
    }

    fn forbids(&self, before: usize) -> Holds {
        self.stages.get(before).map_or(self.last_not, |stage| stage.forbids)
    }

    fn step(&self, run: &Run, at: Timestamp, holds: Holds) -> Step {
        let (start, end) = (run.start.min(at), run.end.max(at));
        if end.as_millis().saturating_sub(start.as_millis()) > self.within {
            return Step::Passes;
        }
        let (number, count) = (run.stage as usize, run.count());
        let stage = self.stages.get(number);
        let has_begun = count > 0;
        let is_open = !has_begun || stage.is_some_and(|stage| count >= stage.least);
        let next = number + usize::from(has_begun);
        let takes = |stage: Option<&Stage>| stage.is_some_and(|stage| stage.takes & holds != 0);
        let is_direct = |stage: Option<&Stage>| stage.is_some_and(|stage| stage.direct);
        if is_open && self.forbids(next) & holds != 0 {
            return Step::Breaks;
        }
        if is_open && takes(self.stages.get(next)) {
            return Step::Takes(next);
        }
        if has_begun && takes(stage) {
            return Step::Takes(number);
        }
        // It is for no stage, and may not come where something else must come directly.
        let awaited = if is_open { self.stages.get(next) } else { stage };
        match is_direct(awaited) {
            true => Step::Breaks,
            false if is_open && has_begun && is_direct(stage) => Step::Leaves,
            false => Step::Passes,
        }
    }

    /// Whether a partial match has all that it needs, but for the time.
    fn has_all(&self, run: &Run) -> bool {
        let number = run.stage as usize;
        let last = || {
            let stage = self.stages.last().filter(|_| number + 1 == self.stages.len());
            stage.is_some_and(|stage| run.count() >= stage.least)
        };
        number == self.stages.len() || last()
    }

    /// An event is taken.
    fn take(&self, run: &mut Run, number: u64, at: Timestamp, stage: usize) {
        run.taken.push(number);
        let taken = run.taken.len() as u32;
        match run.ends.get_mut(stage) {
            Some(end) => *end = taken,
            None => run.ends.push(taken),
        }
        (run.start, run.end) = (run.start.min(at), run.end.max(at));
        run.stage = stage as u32;
        let Stage { least, more, .. } = self.stages[stage];
        if !more && run.count() >= least {
            run.stage += 1;
        }
    }
}

/// A record that partial matches have taken.
#[derive(Clone, Debug)]
pub(super) struct Event<V> {
    /// Its place in the order of arrival.
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) value: V,
    pub(super) headers: Headers,
    /// How many partial matches have it.
    pub(super) shares: u32,
}

/// A partial match.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The stage that is being filled, or that comes next.
    pub(super) stage: u32,
    /// The numbers of its events.
    pub(super) taken: SmallVec<[u64; 2]>,
    /// How many events there are up to the end of each stage that has some.
    pub(super) ends: SmallVec<[u32; 4]>,
    /// The smallest and the largest time of its events.
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Run {
    fn new() -> Self {
        let (taken, ends) = (SmallVec::new(), SmallVec::new());
        Self { stage: 0, taken, ends, start: Timestamp::MAX, end: Timestamp::MIN }
    }

    /// How many events the stage has that is being filled.
    fn count(&self) -> u32 {
        let number = self.stage as usize;
        let before = number.checked_sub(1).and_then(|number| self.ends.get(number));
        self.ends.get(number).map_or(0, |end| end - before.copied().unwrap_or(0))
    }

    /// The event by which it began.
    fn first(&self) -> u64 {
        self.taken[0]
    }
}

/// What came of a partial match.
pub(crate) struct Ended<V> {
    pub(crate) is_match: bool,
    pub(crate) found: Match<V>,
    /// The headers of its last event.
    pub(crate) headers: Headers,
}

/// The partial matches of a key, in order of arrival, and their events, each of them once.
#[derive(Clone, Debug)]
pub(crate) struct Partials<V> {
    pub(super) events: SmallVec<[Event<V>; 1]>,
    pub(super) runs: SmallVec<[Run; 1]>,
}

impl<V> Default for Partials<V> {
    fn default() -> Self {
        Self { events: SmallVec::new(), runs: SmallVec::new() }
    }
}

impl<V: Clone> Partials<V> {
    /// Each partial match with the stage that it fills or waits for, in order of arrival.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, Match<V>)> {
        self.runs.iter().map(|run| {
            let events = self.events.iter();
            let events = events.filter(|event| run.taken.binary_search(&event.number).is_ok());
            let values = events.map(|event| event.value.clone()).collect();
            let found = Match::new((run.start, run.end), values, run.ends.to_vec());
            (run.stage as usize, found)
        })
    }

    /// The smallest time at which one of them starts.
    pub(crate) fn start(&self) -> Option<Timestamp> {
        self.runs.iter().map(|run| run.start).min()
    }

    /// What a record does to each of them; gives whether it does something.
    pub(crate) fn look(
        &self,
        shape: &Shape,
        (at, holds): (Timestamp, Holds),
        steps: &mut Vec<Step>,
    ) -> bool {
        steps.extend(self.runs.iter().map(|run| shape.step(run, at, holds)));
        steps.iter().any(|step| *step != Step::Passes)
    }

    /// Does what [`Partials::look`] has said, and begins another partial match if the record is
    /// one of the first stage.
    pub(crate) fn take(
        &mut self,
        shape: &Shape,
        (at, holds): (Timestamp, Holds),
        steps: &mut Vec<Step>,
        (value, headers): (V, Headers),
        mut send: impl FnMut(Ended<V>),
    ) {
        let number = self.events.last().map_or(0, |event| event.number + 1);
        // It is one share as long as it is at hand.
        self.events.push(Event { number, at, value, headers, shares: 1 });
        if shape.begins(holds) {
            self.runs.push(Run::new());
            steps.push(Step::Takes(0));
        }
        let mut place = 0;
        for step in steps.drain(..) {
            let run = &mut self.runs[place];
            match step {
                Step::Passes => {}
                Step::Leaves => run.stage += 1,
                Step::Breaks => {
                    self.drop_run(place);
                    continue;
                }
                Step::Takes(stage) => {
                    shape.take(run, number, at, stage);
                    let is_whole = run.stage as usize == shape.stages.len() && !shape.waits();
                    self.last_event().shares += 1;
                    if is_whole && shape.overlapping {
                        send(self.finish(place, shape, true));
                        continue;
                    }
                    if is_whole {
                        // All others began with an event that is not behind this one (rule P9).
                        self.keep_alone(place);
                        self.last_event().shares -= 1;
                        return send(self.finish(0, shape, true));
                    }
                }
            }
            place += 1;
        }
        self.last_event().shares -= 1;
        self.tidy();
    }

    fn last_event(&mut self) -> &mut Event<V> {
        self.events.last_mut().expect("the record at hand was put there")
    }

    /// Ends the partial matches whose time is over at `now`, in order of start and arrival. The
    /// ends of those that are no match are sent if that is wanted.
    pub(crate) fn expire(
        &mut self,
        shape: &Shape,
        now: Timestamp,
        wants_time_outs: bool,
        mut send: impl FnMut(Ended<V>),
    ) {
        let due = self.runs.iter().filter(|run| shape.over(run.start) <= now);
        let mut due: SmallVec<[_; 4]> = due.map(|run| (run.start, run.first())).collect();
        due.sort_unstable();
        for (_, first) in due {
            // They are in order of their first events.
            let Ok(place) = self.runs.binary_search_by_key(&first, Run::first) else {
                continue;
            };
            let is_match = shape.waits() && shape.has_all(&self.runs[place]);
            let last = *self.runs[place].taken.last().expect("it has a first event");
            if !is_match && !wants_time_outs {
                self.drop_run(place);
                continue;
            }
            send(self.finish(place, shape, is_match));
            if is_match && !shape.overlapping {
                while let Some(run) = self.runs.first()
                    && run.first() <= last
                {
                    self.drop_run(0);
                }
            }
        }
        self.tidy();
    }

    /// Drops all partial matches but one.
    fn keep_alone(&mut self, place: usize) {
        let run = self.runs.swap_remove(place);
        while !self.runs.is_empty() {
            self.drop_run(self.runs.len() - 1);
        }
        self.runs.push(run);
    }

    fn drop_run(&mut self, place: usize) {
        let Run { taken, .. } = self.runs.remove(place);
        let mut taken = taken.iter().peekable();
        for event in &mut self.events {
            if taken.next_if(|number| **number == event.number).is_some() {
                event.shares -= 1;
            }
        }
    }

    /// Lets go of events that no partial match has.
    fn tidy(&mut self) {
        self.events.retain(|event| event.shares > 0);
    }

    /// Takes a partial match out, with its events.
    fn finish(&mut self, place: usize, shape: &Shape, is_match: bool) -> Ended<V> {
        let Run { taken, ends, start, end, .. } = self.runs.remove(place);
        let (mut values, mut last) = (Vec::with_capacity(taken.len()), Headers::NONE);
        let mut taken = taken.iter().peekable();
        for mut event in std::mem::take(&mut self.events) {
            if taken.next_if(|number| **number == event.number).is_none() {
                self.events.push(event);
                continue;
            }
            event.shares -= 1;
            if event.shares == 0 {
                last = event.headers;
                values.push(event.value);
            } else {
                last = event.headers.clone();
                values.push(event.value.clone());
                self.events.push(event);
            }
        }
        let mut ends = ends.to_vec();
        ends.resize(shape.stages.len(), values.len() as u32);
        Ended { is_match, found: Match::new((start, end), values, ends), headers: last }
    }
}
