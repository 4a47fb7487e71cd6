//! Patterns: what has come of each that a record began (rules P1 to P10).

use super::{Model, State};
use crate::act;
use crate::program::Op;
use crate::sought::{Count, Part, Sought};

/// A partial match.
#[derive(Clone, Debug)]
pub(crate) struct Partial {
    pub(crate) key: String,
    /// The events of each stage: number, value and time.
    taken: Vec<Vec<(u64, String, i64)>>,
    /// The stage that is being filled, if one is, and the one that comes next.
    fills: Option<usize>,
    next: usize,
}

/// What a record has done to a partial match.
#[derive(PartialEq, Eq)]
enum Fate {
    Open,
    Broken,
    Whole,
}

/// A stage: its place among the parts, those of what is forbidden before it, whether its events
/// come directly, and how many.
struct Stage {
    place: usize,
    not: Vec<usize>,
    direct: bool,
    count: Count,
}

/// The stages, and what is forbidden behind the last.
fn stages(sought: Sought) -> (Vec<Stage>, Vec<usize>) {
    let (mut stages, mut not) = (Vec::new(), Vec::new());
    for (place, part) in sought.parts().iter().enumerate() {
        let (direct, count) = match *part {
            Part::Not => {
                not.push(place);
                continue;
            }
            Part::Then(count) => (false, count),
            Part::Next(count) => (true, count),
        };
        stages.push(Stage { place, not: std::mem::take(&mut not), direct, count });
    }
    (stages, not)
}

impl Partial {
    fn times(&self) -> impl Iterator<Item = i64> {
        self.taken.iter().flatten().map(|(_, _, at)| *at)
    }

    pub(crate) fn start(&self) -> i64 {
        self.times().min().unwrap_or(i64::MAX)
    }

    pub(crate) fn end(&self) -> i64 {
        self.times().max().unwrap_or(i64::MIN)
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.taken.iter().flatten().map(|(number, ..)| *number)
    }

    /// Where it is, and what it has.
    pub(crate) fn shown(&self) -> String {
        let stage = self.fills.unwrap_or(self.next);
        let taken = self.taken.iter().filter(|stage| !stage.is_empty());
        let values = taken.map(|stage| stage.iter().map(|(_, value, _)| value.as_str()));
        act::partial(stage, values)
    }

    fn has_enough(&self, stages: &[Stage], stage: usize) -> bool {
        self.taken[stage].len() >= stages[stage].count.least()
    }

    fn has_all(&self, sought: Sought) -> bool {
        let stages = stages(sought).0;
        (0..stages.len()).all(|stage| self.has_enough(&stages, stage))
    }

    /// A record comes of the key.
    fn take(
        &mut self,
        sought: Sought,
        (number, value, at): (u64, &str, i64),
        is: impl Fn(&usize) -> bool,
    ) -> Fate {
        if self.end().max(at).saturating_sub(self.start().min(at)) > sought.within
            && !self.taken[0].is_empty()
        {
            return Fate::Open;
        }
        let (stages, not_behind) = stages(sought);
        let goes_on = self.next == 0 || self.has_enough(&stages, self.next - 1);
        let not = stages.get(self.next).map_or(&not_behind, |stage| &stage.not);
        if goes_on && not.iter().any(&is) {
            return Fate::Broken;
        }
        let event = (number, value.to_owned(), at);
        if goes_on && stages.get(self.next).is_some_and(|stage| is(&stage.place)) {
            self.taken[self.next].push(event);
            self.fills = Some(self.next);
            self.next += 1;
        } else if let Some(stage) = self.fills
            && is(&stages[stage].place)
        {
            self.taken[stage].push(event);
        } else {
            // Where nothing else may come, it must be the one.
            let awaited = self.fills.filter(|_| !goes_on).or(Some(self.next));
            let awaited = awaited.and_then(|stage| stages.get(stage));
            if awaited.is_some_and(|stage| stage.direct) {
                return Fate::Broken;
            }
            self.fills = self.fills.filter(|stage| !(goes_on && stages[*stage].direct));
        }
        if let Some(stage) = self.fills
            && matches!(stages[stage].count, Count::Times(_))
            && self.has_enough(&stages, stage)
        {
            self.fills = None;
        }
        let is_whole = self.fills.is_none() && self.next == stages.len();
        if is_whole && not_behind.is_empty() { Fate::Whole } else { Fate::Open }
    }
}

impl State {
    /// A match that ended with the event of this number takes the others of its key.
    fn end_up_to(&mut self, key: &str, last: u64) {
        let is_behind = |partial: &Partial| partial.numbers().min() > Some(last);
        self.partials.retain(|partial| partial.key != key || is_behind(partial));
    }
}

impl Model {
    pub(super) fn seek(
        &mut self,
        partition: u32,
        op: usize,
        sought: Sought,
        (key, value, at): (String, String, i64),
    ) {
        let state = &mut self.states[partition as usize][op];
        let now = state.time.map_or(at, |time| time.max(at));
        state.time = Some(now);
        let lane_time = self.lane_time;
        self.time_out(partition, op, sought, now);
        self.lane_time = lane_time;
        if at + sought.within < now {
            return;
        }
        if self.program.panics && act::panics(&value, op) {
            return self.fail(op, &key, at);
        }
        let is = |place: &usize| act::fits(&value, op, *place);
        let state = &mut self.states[partition as usize][op];
        state.arrived += 1;
        let event = (state.arrived, value.as_str(), at);
        if is(&0) {
            let taken = stages(sought).0.iter().map(|_| Vec::new()).collect();
            state.partials.push(Partial { key: key.clone(), taken, fills: None, next: 0 });
        }
        let (mut whole, mut place) = (Vec::new(), 0);
        while let Some(partial) = state.partials.get_mut(place) {
            let is_of_key = partial.key == key;
            let fate = if is_of_key { partial.take(sought, event, is) } else { Fate::Open };
            match fate {
                Fate::Open => place += 1,
                Fate::Broken => {
                    state.partials.remove(place);
                }
                Fate::Whole => {
                    whole.push(state.partials.remove(place));
                    if !sought.overlapping {
                        state.partials.retain(|partial| partial.key != key);
                        break;
                    }
                }
            }
        }
        for partial in whole {
            self.tell(partition, op, partial, true);
        }
    }

    fn tell(&mut self, partition: u32, op: usize, partial: Partial, is_match: bool) {
        let (start, end) = (partial.start(), partial.end());
        let stages = partial.taken.iter();
        let values = stages.map(|stage| stage.iter().map(|(_, value, _)| value.as_str()));
        let value = act::found(is_match, values, start, end);
        self.emit(partition, op, partial.key, value, end);
    }

    /// Ends what is over at `now`, in order of start, key and arrival (rule P7).
    pub(super) fn time_out(&mut self, partition: u32, op: usize, sought: Sought, now: i64) {
        let state = &mut self.states[partition as usize][op];
        let is_over = |partial: &&Partial| partial.start() + sought.within < now;
        let over = state
            .partials
            .iter()
            .filter(is_over)
            .map(|partial| (partial.start(), partial.key.clone(), partial.numbers().min()));
        let mut over: Vec<_> = over.collect();
        over.sort();
        let waits = sought.parts().last() == Some(&Part::Not);
        let mut ended = Vec::new();
        for (_, key, first) in over {
            let mut all = state.partials.iter();
            let Some(place) = all.position(|partial| partial.numbers().min() == first) else {
                continue;
            };
            let partial = state.partials.remove(place);
            let is_match = waits && partial.has_all(sought);
            if let Some(last) = partial.numbers().max()
                && is_match
                && !sought.overlapping
            {
                state.end_up_to(&key, last);
            }
            if is_match || sought.time_outs {
                ended.push((partial, is_match));
            }
        }
        // What time ends says nothing of the lane by which it came.
        self.lane_time = i64::MAX;
        for (partial, is_match) in ended {
            self.tell(partition, op, partial, is_match);
        }
    }

    /// Ends everything, as the end of a bounded run does.
    pub(super) fn end_patterns(&mut self, partition: u32, op: usize) {
        if let Op::Pattern(_, sought) = self.program.ops[op] {
            self.time_out(partition, op, sought, i64::MAX);
        }
    }
}
