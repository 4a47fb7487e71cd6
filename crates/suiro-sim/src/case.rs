//! A case: everything that one seed decides, as data that can be made smaller.

use crate::draw::{
    draw, draw_braids, draw_calls, draw_distincts, draw_every, draw_foreign_keys, draw_gaps,
    draw_globals, draw_lasts, draw_patterns, draw_processes, draw_ttls,
};
use crate::fault::{CALLS, Call, Fault, Planned, When};
use crate::program::{Family, Program, SOURCES, TABLES};
use std::fmt::Write;
use suiro::{Bytes, ExchangeKind, Seed};

/// A record that goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The topic.
    pub topic: &'static str,
    /// The key; poison has none.
    pub key: Option<String>,
    /// The value; a removal has none.
    pub value: Option<String>,
    /// The event time; poison has a negative one.
    pub at: i64,
}

/// A value that is no text.
const BAD: &str = "bad";

impl Input {
    /// The bytes of the value.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match self.value.as_deref() {
            Some(BAD) => Some(Bytes::from_static(&[0xff, 0xfe])),
            value => value.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// Whether it stops a program that has no policy.
    pub(crate) fn stops(&self) -> bool {
        self.value.as_deref() == Some(BAD)
    }
}

/// How long a bounded run is that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// No run ends by itself.
    Never,
    /// The last one does.
    Last,
    /// All do.
    Always,
}

/// One life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// How many rows a task takes at most in a round.
    pub batch_rows: usize,
    /// About how many bytes a fetch asks for.
    pub fetch_bytes: usize,
    /// The commit interval.
    pub commit_ms: u64,
    /// What goes wrong.
    pub planned: Vec<Planned>,
    /// Whether the program is closed in an orderly way at rest.
    pub is_closed: bool,
    /// Whether old records are deleted at rest.
    pub maintains: bool,
}

/// Everything that one seed decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// The program.
    pub program: Program,
    /// How many partitions every topic has.
    pub partitions: u32,
    /// How rows cross.
    pub exchange: ExchangeKind,
    /// Whether runs end.
    pub bounded: Bounded,
    /// Whether the program begins without a policy, and gets one when it was stopped.
    pub stops: bool,
    /// Whether the topics of tables are compacted.
    pub compacts: bool,
    /// The records, in parts; the program comes to rest between them.
    pub epochs: Vec<Vec<Input>>,
    /// The lives of the process; then come calm ones.
    pub lives: Vec<Life>,
    /// The sizes of segments, journals and the cache of the log.
    pub log_bytes: (u64, u64, usize),
    /// How many rows each store holds in memory, where the others are in stores below.
    pub room: Option<usize>,
    /// One round of so many takes snapshots, if any does.
    pub snapshots: Option<u64>,
    /// Whether records that fail become letters.
    pub letters: bool,
    /// Whether several processes share the tasks.
    pub shares: bool,
    /// Whether each of them keeps copies of the tasks of the others.
    pub copies: bool,
    /// By how much a silence at the end of each epoch is longer than needed, if there is one.
    pub silence: Option<u64>,
}

impl Case {
    /// What `seed` decides.
    pub fn draw(number: u64) -> Self {
        let seed = &mut Seed::new(number ^ 0x5175_6972);
        let family = match seed.below(10) {
            0 | 1 => Family::Local,
            2..=5 => Family::Exchanged,
            _ => Family::Parallel,
        };
        let mut program = draw(seed, family);
        program.panics = seed.one_in(4);
        // By dice of their own: all else is as if nothing went by time.
        draw_ttls(&mut Seed::new(number ^ 0x0074_746c), &mut program);
        draw_gaps(&mut Seed::new(number ^ 0x6761_7073), &mut program);
        draw_lasts(&mut Seed::new(number ^ 0x6c61_7374), &mut program);
        draw_distincts(&mut Seed::new(number ^ 0x6f6e_6365), &mut program);
        draw_globals(&mut Seed::new(number ^ 0x676c_6f62), &mut program);
        draw_patterns(&mut Seed::new(number ^ 0x0063_6570), &mut program);
        draw_processes(&mut Seed::new(number ^ 0x7072_6f63), &mut program);
        draw_foreign_keys(&mut Seed::new(number ^ 0x666b), &mut program);
        draw_calls(&mut Seed::new(number ^ 0x6361_6c6c), &mut program);
        draw_braids(&mut Seed::new(number ^ 0x6272_6169), &mut program);
        let partitions = match family {
            Family::Local => 1 + seed.below(3) as u32,
            Family::Exchanged => 1,
            Family::Parallel => 2 + seed.below(3) as u32,
        };
        let epochs = 1 + seed.below(3);
        let poison = seed.one_in(3);
        let mut times = Times { at: seed.below(20) as i64, number: 0 };
        let mut epochs: Vec<_> =
            (0..epochs).map(|_| inputs(seed, &mut times, poison, 700 / epochs)).collect();
        let compacts = seed.one_in(2);
        let mut lives: Vec<_> = (0..3 + seed.below(6)).map(|_| life(seed)).collect();
        // Compaction takes the row that a record without a meaning came after.
        if compacts && number.is_multiple_of(2) {
            lives.iter_mut().for_each(|life| life.maintains = false);
        } else if compacts {
            let is_sound = |input: &Input| {
                !TABLES.contains(&input.topic) || !(input.stops() || input.at < 0)
            };
            epochs.iter_mut().for_each(|epoch: &mut Vec<Input>| epoch.retain(is_sound));
        }
        let mut case = Self {
            seed: number,
            program,
            partitions,
            exchange: [ExchangeKind::Memory, ExchangeKind::Topic][seed.below(2) as usize],
            bounded: [Bounded::Never, Bounded::Last, Bounded::Always][seed.below(3) as usize],
            stops: seed.one_in(3),
            compacts,
            epochs,
            lives,
            log_bytes: (
                [500, 4_000, 1 << 20][seed.below(3) as usize],
                [2_000, 16_000, 256_000][seed.below(3) as usize],
                [0, 2_000, 1 << 20][seed.below(3) as usize],
            ),
            room: None,
            snapshots: None,
            letters: false,
            shares: false,
            copies: false,
            silence: None,
        };
        case.draw_more(&mut Seed::new(number ^ 0x6d6f_7265));
        case
    }

    /// What came into the family later is drawn apart, so that many a seed stands for what it
    /// stood for.
    fn draw_more(&mut self, seed: &mut Seed) {
        if seed.one_in(3) {
            self.room = Some([0, 8, 16, 40, 1 << 20][seed.below(5) as usize]);
        }
        if seed.one_in(3) {
            self.snapshots = Some(2 + seed.below(20));
        }
        self.letters = !self.stops && seed.one_in(3) && self.program.tells_failures();
        if self.letters {
            self.program.panics |= seed.one_in(2);
        }
        let can_share = self.partitions > 1
            && (self.program.exchanges() == 0 || self.exchange == ExchangeKind::Topic);
        self.shares = can_share && seed.one_in(2);
        if self.shares {
            // How far a bounded run is, a process knows of its own tasks only.
            self.bounded = Bounded::Never;
        }
        self.copies = self.shares && Seed::new(self.seed ^ 0x636f_7079).one_in(2);
        self.draw_silence(&mut Seed::new(self.seed ^ 0x6875_7368));
        for life in &mut self.lives {
            life.draw_more(seed, (self.room, self.snapshots, self.shares));
        }
    }

    /// A silence is an input like the records. The auditor knows of it by the notes of positions,
    /// which tell all only where no row crosses.
    fn draw_silence(&mut self, seed: &mut Seed) {
        // Between the end of its windows and that of what they have called for, a task is at neither.
        if self.program.calls_for_windows() {
            self.bounded = Bounded::Never;
        }
        let can_idle = self.program.exchanges() == 0 && self.bounded == Bounded::Never;
        if can_idle && !self.letters && !self.shares && !seed.one_in(4) {
            self.program.idles = true;
            self.silence = Some([1, 5, 30, 200, 1_000][seed.below(5) as usize]);
        } else {
            // Where time stands still nobody would speak by the clock.
            draw_every(seed, &mut self.program);
        }
    }

    /// How many records go in.
    pub fn records(&self) -> usize {
        self.epochs.iter().map(Vec::len).sum()
    }

    /// How many faults are planned.
    pub fn faults(&self) -> usize {
        self.lives.iter().map(|life| life.planned.len()).sum()
    }

    /// The case for people.
    pub fn describe(&self, with_records: bool) -> String {
        let mut text = format!(
            "seed {}: {} operators, {} partitions, exchanges {:?}, bounded {:?}, stops {}, \
             compacts {}, log {:?}, room {:?}, snapshots {:?}, letters {}, shares {}, copies {}, silence {:?}, {} records \
             in {} epochs, {} faults in {} lives\n",
            self.seed,
            self.program.ops.len(),
            self.partitions,
            self.exchange,
            self.bounded,
            self.stops,
            self.compacts,
            self.log_bytes,
            self.room,
            self.snapshots,
            self.letters,
            self.shares,
            self.copies,
            self.silence,
            self.records(),
            self.epochs.len(),
            self.faults(),
            self.lives.len(),
        );
        text += &self.program.describe();
        let mut line = |line: String| {
            writeln!(text, "{line}").expect("writing to a string does not fail");
        };
        for (number, life) in self.lives.iter().enumerate() {
            let planned: Vec<_> = life.planned.iter().map(ToString::to_string).collect();
            line(format!(
                "  life {number}: batch {}, fetch {}, commit {} ms, closed {}, maintains {}: {}",
                life.batch_rows,
                life.fetch_bytes,
                life.commit_ms,
                life.is_closed,
                life.maintains,
                planned.join(", ")
            ));
        }
        for (number, epoch) in self.epochs.iter().enumerate().filter(|_| with_records) {
            line(format!("  epoch {number}:"));
            for Input { topic, key, value, at } in epoch {
                let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
                line(format!("    {topic}: {} = {} @ {at}", text(key), text(value)));
            }
        }
        text
    }
}

impl Life {
    fn draw_more(
        &mut self,
        seed: &mut Seed,
        (room, snapshots, shares): (Option<usize>, Option<u64>, bool),
    ) {
        let mut plan = |when: When, fault| self.planned.push(Planned { when, fault });
        let death = [Fault::PowerLoss, Fault::Kill];
        if room.is_some() {
            let calls = [Call::Look, Call::Lower];
            if seed.one_in(3) {
                plan(when(seed, &calls), death[seed.below(2) as usize]);
            }
            if seed.one_in(4) {
                let fault = [Fault::StoreReads, Fault::StoreWrites][seed.below(2) as usize];
                plan(when(seed, &calls), fault);
            }
            if seed.one_in(6) {
                plan(When::Effect(0), Fault::StoresLost);
            }
        }
        if snapshots.is_some() {
            if seed.one_in(3) {
                plan(when(seed, &[Call::Put]), death[seed.below(2) as usize]);
            }
            if seed.one_in(4) {
                plan(when(seed, &[Call::Put]), Fault::ObjectsAway);
            }
            if seed.one_in(4) {
                plan(When::Effect(0), Fault::SnapshotsLost);
            }
        }
        if shares {
            let others = [Fault::Leaves, Fault::Departs, Fault::Stalls, Fault::Passes];
            for _ in 0..1 + seed.below(5) {
                let other = others[seed.below(4) as usize];
                let fault = if seed.one_in(3) { Fault::Joins } else { other };
                plan(when(seed, &[Call::Commit, Call::Fetch]), fault);
            }
            // One that goes back to its last commit finds others that have nothing more to say.
            for _ in 0..seed.below(5) {
                let commit = 1 + seed.below(40);
                plan(When::Call(Call::Commit, commit), Fault::AbortedCommit);
            }
            self.planned.retain(|planned| planned.fault != Fault::Zombie);
            if seed.one_in(3) {
                let when = when(seed, &[Call::Commit, Call::Fetch]);
                self.planned.push(Planned { when, fault: Fault::Absence });
            }
        }
    }
}

struct Times {
    at: i64,
    number: u64,
}

/// Records with awkward times: ties, steps back, jumps; keys that collide, one of them hot.
fn inputs(seed: &mut Seed, times: &mut Times, poison: bool, count: u64) -> Vec<Input> {
    let count = count / 2 + seed.below(count * 3 / 2) + 150;
    let keys = 2 + seed.below(8);
    let calm = seed.one_in(3);
    let mut all = Vec::new();
    for _ in 0..count {
        let at = &mut times.at;
        *at = match seed.below(8) {
            0..=2 => *at,
            3 | 4 => *at + 1 + seed.below(4) as i64,
            5 => *at + seed.below(30) as i64,
            _ if calm => *at + 1,
            6 => (*at - seed.below(6) as i64).max(0),
            _ => (*at - seed.below(40) as i64).max(0),
        };
        if seed.one_in(400) {
            *at += seed.below(20_000) as i64;
        }
        times.number += 1;
        let topic = SOURCES[[0, 0, 0, 1, 1, 2, 2, 3][seed.below(8) as usize]];
        let removes = TABLES.contains(&topic) && seed.one_in(4);
        let key = if seed.one_in(3) { 0 } else { seed.below(keys) };
        let mut input = Input {
            topic,
            key: Some(format!("k{key}")),
            value: (!removes).then(|| format!("v{}", times.number)),
            at: *at,
        };
        if poison && seed.one_in(40) {
            match seed.below(4) {
                0 => input.key = None,
                1 => input.value = None,
                2 => input.at = -1 - seed.below(5) as i64,
                _ => input.value = Some(BAD.to_owned()),
            }
        }
        all.push(input);
    }
    all
}

fn life(seed: &mut Seed) -> Life {
    let mut planned = Vec::new();
    let death = [Fault::PowerLoss, Fault::PowerLoss, Fault::Kill][seed.below(3) as usize];
    if !seed.one_in(6) {
        planned.push(Planned { when: when(seed, &CALLS), fault: death });
    }
    for _ in 0..seed.below(4) {
        let fault = match seed.below(12) {
            8 => Fault::LostAnswer,
            9 => Fault::LostCommit,
            10 => Fault::AbortedCommit,
            11 => Fault::Zombie,
            0 | 1 => Fault::FailedSync,
            2 => Fault::FullDisk,
            3 => Fault::ReadErrors,
            4 => Fault::ShortWrites,
            5 => Fault::SlowDisk,
            6 => Fault::ClockJump,
            _ => Fault::Panic,
        };
        planned.push(Planned { when: when(seed, &[Call::Commit, Call::Fetch]), fault });
    }
    if seed.one_in(4) {
        planned.push(Planned { when: When::Effect(0), fault: Fault::BitRot });
    }
    Life {
        batch_rows: [1, 3, 20, 100, 8192][seed.below(5) as usize],
        fetch_bytes: [1, 300, 4_000, 1 << 20][seed.below(4) as usize],
        commit_ms: [0, 5, 50, 500][seed.below(4) as usize],
        planned,
        is_closed: seed.one_in(2),
        maintains: seed.one_in(2),
    }
}

/// When something goes wrong: early, as in recovery, or any time.
fn when(seed: &mut Seed, calls: &[Call]) -> When {
    let limit = [10, 60, 300, 1500][seed.below(4) as usize];
    if seed.one_in(2) {
        let call = calls[seed.below(calls.len() as u64) as usize];
        let limit = match call {
            Call::Poll | Call::Fetch | Call::Append | Call::Wait => limit / 2,
            Call::Begin | Call::Commit | Call::Committed | Call::Trim => 1 + limit / 20,
            Call::Positions | Call::Offset => 12,
            Call::Look | Call::Lower | Call::Put => limit / 4,
            _ => 2,
        };
        return When::Call(call, 1 + seed.below(limit));
    }
    When::Effect(1 + seed.below(limit))
}

#[cfg(test)]
mod tests {
    use super::Case;
    use crate::program::{Op, Process};

    /// What is drawn apart from the rest is neither rare nor in every program.
    #[test]
    fn some_programs_have_steps_of_their_own() {
        let drawn: Vec<_> = (0..200).map(|seed| Case::draw(seed).program).collect();
        let count = |is: &dyn Fn(&Process) -> bool| {
            let has = |op: &Op| matches!(op, Op::Process(_, how) if is(how));
            drawn.iter().filter(|program| program.ops.iter().any(has)).count()
        };
        let counts = [
            count(&|how| how.wall),
            count(&|how| !how.wall),
            count(&|how| how.table.is_some()),
        ];
        assert!(counts.iter().all(|count| (10..100).contains(count)), "{counts:?} of 200");
    }

    /// What is drawn apart from the rest is neither rare nor in every program.
    #[test]
    fn some_programs_join_on_foreign_keys() {
        let drawn = (0..200).filter(|seed| Case::draw(*seed).program.has_foreign_keys());
        let count = drawn.count();
        assert!((10..60).contains(&count), "{count} of 200");
    }

    #[test]
    fn some_sessions_go_by_the_gaps_of_their_records() {
        let has_some = |seed: &u64| {
            let ops = Case::draw(*seed).program.ops;
            ops.iter().any(|op| matches!(op, Op::Window(_, windows) if windows.own_gaps))
        };
        let count = (0..200).filter(has_some).count();
        assert!((20..120).contains(&count), "{count} of 200");
    }

    #[test]
    fn some_programs_fold_two_streams_in_windows() {
        let has_one = |seed: &u64| {
            let program = Case::draw(*seed).program;
            (0..program.ops.len()).any(|op| program.folds_halves(op))
        };
        let count = (0..200).filter(has_one).count();
        assert!((10..100).contains(&count), "{count} of 200");
    }

    #[test]
    fn some_programs_look_for_patterns() {
        let has_one = |seed: &u64| {
            let ops = Case::draw(*seed).program.ops;
            ops.iter().any(|op| matches!(op, Op::Pattern(..)))
        };
        let count = (0..200).filter(has_one).count();
        assert!((20..120).contains(&count), "{count} of 200");
    }
}
