//! What a pattern finds, written down from its rules (P1 to P10) with no state but the list of
//! all that came, and which records have begun a partial match that is not over.

use std::collections::BTreeSet;

/// A record that came; its number is its place among all.
#[derive(Clone, Debug)]
pub struct Came {
    pub key: String,
    /// What the tests ask for.
    pub kind: u32,
    pub at: i64,
}

/// A part of a pattern; the kinds for which its test holds are bits.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Stage { kinds: u32, direct: bool, count: Count },
    Not { kinds: u32 },
}

#[derive(Clone, Copy, Debug)]
pub enum Count {
    One,
    Times(u32),
    AtLeast(u32),
}

impl Count {
    fn least(self) -> usize {
        match self {
            Self::One => 1,
            Self::Times(count) | Self::AtLeast(count) => count as usize,
        }
    }
}

/// A pattern, and how far the events of a match may be apart.
#[derive(Clone, Debug)]
pub struct Spec {
    pub parts: Vec<Part>,
    pub within: i64,
    pub overlapping: bool,
    pub time_outs: bool,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub is_match: bool,
    pub key: String,
    /// The numbers of the events of each stage.
    pub stages: Vec<Vec<usize>>,
    pub start: i64,
    pub end: i64,
    pub at: i64,
    /// The number of the record whose headers it has.
    pub headers: usize,
}

/// What is known of a run so far.
pub struct Model {
    spec: Spec,
    came: Vec<Came>,
    /// The numbers of those that were not late.
    seen: Vec<usize>,
    /// The records by which partial matches began that are not over.
    open: BTreeSet<usize>,
    now: Option<i64>,
    pub sent: Vec<Sent>,
    pub late: u64,
}

/// What has become of a partial match.
enum Fate {
    /// The events of its stages, and whether all have enough.
    Part(Vec<Vec<usize>>, bool),
    Broken,
    Whole(Vec<Vec<usize>>),
}

/// A stage, with what is forbidden before it.
struct Stage {
    kinds: u32,
    not_before: u32,
    direct: bool,
    count: Count,
}

impl Spec {
    /// The stages, and what is forbidden behind the last.
    fn stages(&self) -> (Vec<Stage>, u32) {
        let (mut stages, mut not) = (Vec::new(), 0);
        for part in &self.parts {
            match *part {
                Part::Not { kinds } => not |= kinds,
                Part::Stage { kinds, direct, count } => {
                    stages.push(Stage { kinds, not_before: not, direct, count });
                    not = 0;
                }
            }
        }
        (stages, not)
    }
}

impl Model {
    pub fn new(spec: Spec) -> Self {
        let (came, seen, open, sent) = (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        Self { spec, came, seen, open, now: None, sent, late: 0 }
    }

    /// Follows the partial match that `first` began through all that came since.
    fn fate(&self, first: usize) -> Fate {
        let (stages, not_behind) = self.spec.stages();
        let mut taken: Vec<Vec<usize>> = stages.iter().map(|_| Vec::new()).collect();
        // The stage that takes more, and the one that comes next. A stage may have been left
        // though nothing came for the next one.
        let mut takes_more = None;
        let mut next = 0;
        for number in self.seen.iter().copied().filter(|number| *number >= first) {
            let record = &self.came[number];
            if record.key != self.came[first].key {
                continue;
            }
            let events = taken.iter().flatten().map(|number| self.came[*number].at);
            let times: Vec<i64> = events.chain([record.at]).collect();
            let apart = times.iter().max().zip(times.iter().min());
            if apart.is_some_and(|(last, first)| last - first > self.spec.within) {
                continue;
            }
            let is = |kinds: u32| kinds >> record.kind & 1 == 1;
            let has_enough = |stage: usize| taken[stage].len() >= stages[stage].count.least();
            let can_go_on = next == 0 || has_enough(next - 1);
            let not = stages.get(next).map_or(not_behind, |stage| stage.not_before);
            if can_go_on && is(not) {
                return Fate::Broken;
            }
            if can_go_on && next < stages.len() && is(stages[next].kinds) {
                taken[next].push(number);
                takes_more = Some(next);
                next += 1;
            } else if let Some(stage) = takes_more
                && is(stages[stage].kinds)
            {
                taken[stage].push(number);
            } else {
                let must = match takes_more {
                    Some(stage) if !can_go_on => stages[stage].direct,
                    _ => next < stages.len() && stages[next].direct,
                };
                if must {
                    return Fate::Broken;
                }
                // The events of a direct stage have no others between them.
                takes_more = takes_more.filter(|stage| !stages[*stage].direct || !can_go_on);
            }
            if let Some(stage) = takes_more
                && !matches!(stages[stage].count, Count::AtLeast(_))
                && taken[stage].len() == stages[stage].count.least()
            {
                takes_more = None;
            }
            let last = stages.len() - 1;
            if not_behind == 0 && taken[last].len() == stages[last].count.least() {
                return Fate::Whole(taken);
            }
        }
        let is_full =
            |(stage, taken): (&Stage, &Vec<usize>)| taken.len() >= stage.count.least();
        let all = stages.iter().zip(&taken).all(is_full);
        Fate::Part(taken, all)
    }

    /// The smallest time of the events of a partial match.
    fn start(&self, first: usize) -> i64 {
        let Fate::Part(taken, _) = self.fate(first) else { panic!("{first} is over") };
        let times = taken.iter().flatten().map(|number| self.came[*number].at);
        times.min().expect("it has a first event")
    }

    fn send(&mut self, is_match: bool, stages: Vec<Vec<usize>>) {
        let events: Vec<usize> = stages.iter().flatten().copied().collect();
        let times = events.iter().map(|number| self.came[*number].at);
        let (start, end) = (times.clone().min(), times.max());
        let (start, end) = start.zip(end).expect("there is an event");
        let key = self.came[events[0]].key.clone();
        let headers = *events.last().expect("there is an event");
        self.sent.push(Sent { is_match, key, stages, start, end, at: end, headers });
    }

    /// Ends what began with one of a key up to `last`.
    fn end_up_to(&mut self, key: &str, last: usize) {
        let came = &self.came;
        self.open.retain(|first| came[*first].key != key || *first > last);
    }

    /// Ends what is over at `now`, in order of start, key and arrival (P7).
    fn expire(&mut self, now: i64) {
        let due = self
            .open
            .iter()
            .map(|first| (self.start(*first), self.came[*first].key.clone(), *first));
        let mut due: Vec<_> =
            due.filter(|(start, ..)| start + self.spec.within < now).collect();
        due.sort();
        let waits = self.spec.stages().1 != 0;
        for (_, key, first) in due {
            if !self.open.remove(&first) {
                continue;
            }
            let Fate::Part(taken, has_all) = self.fate(first) else {
                panic!("{first} is over")
            };
            let last = taken.iter().flatten().max().copied().expect("it has a first event");
            let is_match = waits && has_all;
            if is_match || self.spec.time_outs {
                self.send(is_match, taken);
            }
            if is_match && !self.spec.overlapping {
                self.end_up_to(&key, last);
            }
        }
    }

    /// A record comes.
    pub fn take(&mut self, record: Came) {
        let number = self.came.len();
        let (key, kind, at) = (record.key.clone(), record.kind, record.at);
        self.came.push(record);
        let now = self.now.map_or(at, |now| now.max(at));
        self.now = Some(now);
        self.expire(now);
        if at + self.spec.within < now {
            self.late += 1;
            return;
        }
        self.seen.push(number);
        let came = &self.came;
        let of_key = self.open.iter().copied().filter(|first| came[*first].key == key);
        let mut of_key: Vec<usize> = of_key.collect();
        if self.spec.stages().0[0].kinds >> kind & 1 == 1 {
            self.open.insert(number);
            of_key.push(number);
        }
        for first in of_key {
            match self.fate(first) {
                Fate::Part(..) => {}
                Fate::Broken => {
                    self.open.remove(&first);
                }
                Fate::Whole(taken) => {
                    self.send(true, taken);
                    self.open.remove(&first);
                    if !self.spec.overlapping {
                        self.end_up_to(&key, number);
                        break;
                    }
                }
            }
        }
    }

    /// Time goes on by so much in a silence.
    pub fn pass(&mut self, millis: i64) {
        for _ in 0..millis {
            let Some(now) = &mut self.now else { return };
            *now += 1;
            let now = *now;
            self.expire(now);
        }
    }

    /// A bounded run ends.
    pub fn end(&mut self) {
        self.expire(i64::MAX);
    }
}
