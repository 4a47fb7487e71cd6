//! A random program as a plan of the library.

use crate::act;
use crate::program::{
    Adds, AsOf, CountWindow, From, GLOBAL, Needs, Op, PATIENCE, Program, Reach, Slide, Ttl,
    Windows,
};
use crate::sought::{Count, Part, Sought};
use crate::steps;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::time::Duration;
use suiro::{
    Calls, CountWindows, Data, Encoded, Format, Found, GlobalTable, Hopping, InWindow, JsonKey,
    Match, Pattern, Plan, Policy, Result, SessionTable, Sessions, Sliding, Stream, Table, Text,
    Topic, Topology, Tumbling, VersionedTable, WindowTable, Within,
};
use suiro_core::partition::partition_of;

const TEXT: Topic<String, String> = Topic::of("", &JsonKey, &Text);
const ROWS: Topic<String, Option<String>> = Topic::of("", &JsonKey, &Row);

/// How long those wait who speak by the clock.
const EVERY: Duration = Duration::from_millis(20);

/// Rows as text, and removals as no value.
struct Row;

impl Format<Option<String>> for Row {
    fn encode(&self, row: &Option<String>, out: &mut Vec<u8>) -> Result<Encoded> {
        match row {
            Some(row) => Text.encode(row, out),
            None => Ok(Encoded::Null),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<String>> {
        Text.decode(bytes).map(Some)
    }

    fn name(&self) -> &'static str {
        "row"
    }
}

#[derive(Clone)]
struct Keyed {
    stream: Stream<String, String>,
    moved: bool,
}

enum Handle {
    Stream { results: Keyed, late: Option<Keyed> },
    Table(Table<String, String>),
    Versioned(VersionedTable<String, String>),
    Nothing,
}

/// Builds the plan of `program`, under a policy if one is given.
pub fn plan(program: &Program, policy: Option<Policy>) -> Result<Plan> {
    let topology = Topology::new("program");
    if let Some(policy) = policy {
        topology.on_error(policy);
    }
    if program.idles {
        topology.idle_after(Duration::from_millis(PATIENCE as u64));
    }
    let global = program.has_global().then(|| topology.global_table(&TEXT.named(GLOBAL)));
    let mut handles = Vec::new();
    for (number, op) in program.ops.iter().enumerate() {
        handles.push(build((&topology, global.as_ref()), program, &handles, number, *op));
    }
    drop(handles);
    topology.build()
}

fn stream(handles: &[Handle], from: From) -> Keyed {
    match &handles[from.op] {
        Handle::Stream { results, .. } if !from.late => results.clone(),
        Handle::Stream { late, .. } => late.clone().expect("late records were asked for"),
        _ => panic!("operator {} gives no stream", from.op),
    }
}

fn table(handles: &[Handle], op: usize) -> Table<String, String> {
    match &handles[op] {
        Handle::Table(table) => table.clone(),
        Handle::Versioned(table) => table.newest(),
        _ => panic!("operator {op} gives no table"),
    }
}

fn keyed(stream: Stream<String, String>, moved: bool) -> Handle {
    Handle::Stream { results: Keyed { stream, moved }, late: None }
}

fn build(
    (topology, global): (&Topology, Option<&GlobalTable<String, String>>),
    program: &Program,
    handles: &[Handle],
    number: usize,
    op: Op,
) -> Handle {
    let (commutative, panics) = (program.is_commutative(), program.panics);
    match op {
        Op::Stream(topic) => keyed(topology.stream(&TEXT.named(topic)), false),
        Op::Table(topic, ttl) => Handle::Table(aging(topology.table(&TEXT.named(topic)), ttl)),
        Op::Versioned(topic, history) => {
            let history = Duration::from_millis(history as u64);
            Handle::Versioned(topology.versioned_table(&TEXT.named(topic), history))
        }
        Op::Filter(from) => {
            let Keyed { stream, moved } = stream(handles, from);
            keyed(stream.filter(move |value| act::keeps(value, number)), moved)
        }
        Op::Distinct(from, within) => {
            let (stream, name) = (stream(handles, from).stream, format!("distinct-{number}"));
            keyed(stream.distinct(&name, Duration::from_millis(within as u64)), false)
        }
        Op::Process(from, how) => {
            let stream = stream(handles, from).stream;
            let table = how.table.map(|of| table(handles, of));
            let (results, late) = steps::add(stream, table, number, how, (commutative, panics));
            let keyed = |stream| Keyed { stream, moved: false };
            Handle::Stream { results: keyed(results), late: Some(keyed(late)) }
        }
        Op::Pattern(from, sought) => {
            let stream = stream(handles, from).stream;
            keyed(pattern(stream, number, sought, panics), false)
        }
        Op::Map(from) => {
            let Keyed { stream, moved } = stream(handles, from);
            let map = move |value: String| {
                trip(panics, &value, number);
                act::maps(&value, number)
            };
            keyed(stream.map(map), moved)
        }
        Op::FlatMap(from) => {
            let Keyed { stream, moved } = stream(handles, from);
            keyed(stream.flat_map(move |value| act::splits(&value, number)), moved)
        }
        Op::KeyBy(from) => {
            let stream = stream(handles, from).stream;
            keyed(stream.key_by(move |value| act::key(value, number)), true)
        }
        Op::Merge(left, right) => {
            let (left, right) = (stream(handles, left), stream(handles, right));
            keyed(left.stream.merge(right.stream), left.moved || right.moved)
        }
        Op::Repartition(from) => {
            let stream = stream(handles, from).stream;
            keyed(stream.repartition(&format!("move-{number}")), false)
        }
        Op::Within(left, right, reach, needs) => {
            let sides = (stream(handles, left).stream, stream(handles, right).stream);
            let panics = panics && program.skips_pairs();
            keyed(within(sides, number, reach, needs, panics), false)
        }
        Op::Fold(from, adds, ttl) => {
            let (stream, name) = (stream(handles, from).stream, format!("fold-{number}"));
            let add = move |so_far: &mut String, value: String| {
                *so_far = act::adds(so_far, &value, commutative);
                trip(panics, &value, number);
            };
            Handle::Table(match adds {
                Adds::Fold if let Some((left, right)) = program.folds_two(number) => {
                    let [left, right] =
                        [left, right].map(|of| self::stream(handles, of).stream);
                    let both = left.cogroup(&name, String::new, add);
                    aging(both.with(right, add).table(), ttl)
                }
                Adds::Fold => aging(stream.fold(&name, String::new, add), ttl),
                Adds::Last => {
                    let rows =
                        stream.map(move |value| act::keeps(&value, number).then_some(value));
                    aging(rows.to_table::<String>(&name), ttl)
                }
                Adds::Count => aging(stream.count(&name), ttl).map(u64::to_string),
                Adds::Reduce => {
                    let reduce = move |so_far: String, value: String| {
                        act::reduces(&so_far, &value, commutative)
                    };
                    aging(stream.reduce(&name, reduce), ttl)
                }
            })
        }
        Op::Window(from, windows) => window(program, handles, number, from, windows),
        Op::Sliding(from, slide) => sliding(program, handles, number, from, slide),
        Op::CountWindow(from, CountWindow { records, on_close }) => {
            let add = move |so_far: &mut String, value: String| {
                *so_far = act::adds(so_far, &value, commutative);
                trip(panics, &value, number);
            };
            let windows = stream(handles, from).stream.window(CountWindows::of(records));
            let table = windows.fold(&format!("windows-{number}"), String::new, add);
            let results = if on_close { table.on_close() } else { table.on_update() };
            keyed(results.map(|window| shown(window, Some)), false)
        }
        Op::Join { stream: from, table: with, left } => {
            let Keyed { mut stream, moved } = stream(handles, from);
            if moved {
                stream = stream.repartition(&format!("join-{number}"));
            }
            let table = table(handles, with);
            let joined = if left {
                stream
                    .left_join(&table, |value, row| act::joins(&value, row.map(String::as_str)))
            } else {
                stream.join(&table, |value, row| act::joins(&value, Some(row)))
            };
            keyed(joined, false)
        }
        Op::Call(from) => {
            let (stream, name) = (stream(handles, from).stream, format!("calls-{number}"));
            let ask = move |value: String| async move {
                Ok::<_, std::convert::Infallible>(act::maps(&value, number))
            };
            let calls = Calls::at_most(3);
            let calls = if number.is_multiple_of(2) { calls } else { calls.unordered() };
            keyed(stream.call(&name, calls, ask), false)
        }
        Op::Global(from, left) => {
            let global = global.expect("a program that joins with the global table reads it");
            let Keyed { stream, moved } = stream(handles, from);
            keyed(join_global(stream, global, number, left), moved)
        }
        Op::AsOf(from, of, how) => {
            let Handle::Versioned(table) = &handles[of] else {
                panic!("operator {of} gives no versioned table");
            };
            keyed(as_of(stream(handles, from).stream, table, number, how, panics), false)
        }
        Op::TableFilter(of) => {
            Handle::Table(table(handles, of).filter(move |row| act::keeps(row, number)))
        }
        Op::TableMap(of) => {
            Handle::Table(table(handles, of).map(move |row| act::maps(row, number)))
        }
        Op::TableJoin(left, right, needs) => {
            let (left, right) = (table(handles, left), table(handles, right));
            Handle::Table(match needs {
                Needs::Both => left.join(&right, |left, right| act::joins(left, Some(right))),
                Needs::Left => left.left_join(&right, |left, right| {
                    act::joins(left, right.map(String::as_str))
                }),
                Needs::Any => left.outer_join(&right, |left, right| {
                    let left = left.map_or("none", String::as_str);
                    act::joins(left, right.map(String::as_str))
                }),
            })
        }
        Op::ForeignKey { left, right, needs } => {
            let sides = (table(handles, left), table(handles, right));
            Handle::Table(foreign_key(sides, number, needs, panics))
        }
        Op::Group { table: of, counts } => group(program, table(handles, of), number, counts),
        Op::Changes(of) => {
            let changes = table(handles, of).changes();
            keyed(changes.map(|row| act::changed(row.as_deref())), false)
        }
        Op::To(from, topic) => {
            let (rows, topic) = (stream(handles, from).stream, TEXT.named(topic));
            match number % 3 {
                // One that is named while it runs comes behind one that is there anyway.
                0 if program.is_written_once(topic.name()) => {
                    rows.to_topic_of(move |_| topic.clone());
                }
                1 => rows.to_partition(&topic, |row, of| partition_of(row.key.as_bytes(), of)),
                _ => rows.to(&topic),
            }
            Handle::Nothing
        }
        Op::TableEvery(of, topic) => {
            let rows = table(handles, of).every(&format!("every-{number}"), EVERY);
            rows.to(&ROWS.named(topic));
            Handle::Nothing
        }
        Op::TableTo(of, topic) => {
            table(handles, of).to(&TEXT.named(topic));
            Handle::Nothing
        }
    }
}

fn pattern(
    stream: Stream<String, String>,
    number: usize,
    sought: Sought,
    panics: bool,
) -> Stream<String, String> {
    let is = |place: usize| {
        move |value: &String| {
            trip(panics, value, number);
            act::fits(value, number, place)
        }
    };
    let counted = |pattern: Pattern<String, String>, count| match count {
        Count::Times(1) => pattern,
        Count::Times(count) => pattern.times(count),
        Count::AtLeast(count) => pattern.at_least(count),
    };
    let mut pattern = stream.pattern(&format!("pattern-{number}"), is(0));
    for (place, part) in sought.parts().iter().enumerate() {
        pattern = match *part {
            Part::Then(count) if place == 0 => counted(pattern, count),
            Part::Then(count) => counted(pattern.then(is(place)), count),
            Part::Next(count) => counted(pattern.next(is(place)), count),
            Part::Not => pattern.not(is(place)),
        };
    }
    let mut pattern = pattern.within(Duration::from_millis(sought.within as u64));
    if sought.overlapping {
        pattern = pattern.overlapping();
    }
    let tell = |is_match, found: &Match<String>| {
        let stages = (0..found.stages()).map(|stage| found.stage(stage).iter());
        let stages = stages.map(|stage| stage.map(String::as_str));
        act::found(is_match, stages, found.start.as_millis(), found.end.as_millis())
    };
    match sought.time_outs {
        false => pattern.matches().map(move |found| tell(true, &found)),
        true => pattern.with_time_outs().map(move |found| match found {
            Found::Match(found) => tell(true, &found),
            Found::TimeOut(part) => tell(false, &part),
        }),
    }
}

/// Lets the rows of a table go by time, if they are to.
fn aging<V: Data>(table: Table<String, V>, ttl: Ttl) -> Table<String, V> {
    match ttl {
        Some(ttl) => table.ttl(Duration::from_millis(ttl as u64)),
        None => table,
    }
}

fn group(
    program: &Program,
    table: Table<String, String>,
    number: usize,
    counts: bool,
) -> Handle {
    let (commutative, panics) = (program.is_commutative(), program.panics);
    let groups = table.group_by(move |row| {
        trip(panics, row, act::grouping(number));
        act::key(row, number)
    });
    let name = format!("groups-{number}");
    if counts {
        return Handle::Table(groups.count(&name).map(u64::to_string));
    }
    Handle::Table(groups.fold(
        &name,
        String::new,
        move |so_far, value| {
            *so_far = act::adds(so_far, &value, commutative);
            trip(panics, &value, number);
        },
        move |so_far, value| {
            *so_far = act::subtracts(so_far, &value, commutative);
            trip(panics, &value, number);
        },
    ))
}

fn foreign_key(
    (left, right): (Table<String, String>, Table<String, String>),
    number: usize,
    needs: Needs,
    panics: bool,
) -> Table<String, String> {
    let name = format!("pairs-{number}");
    let key_of = move |row: &String| act::foreign(row, number);
    let pair = move |left: &String, right: Option<&String>| {
        let pair = act::joins(left, right.map(String::as_str));
        trip(panics, &pair, number);
        pair
    };
    match needs {
        Needs::Both => {
            left.join_on(&name, &right, key_of, move |left, right| pair(left, Some(right)))
        }
        Needs::Left | Needs::Any => left.left_join_on(&name, &right, key_of, pair),
    }
}

fn within(
    (left, right): (Stream<String, String>, Stream<String, String>),
    number: usize,
    reach: Reach,
    needs: Needs,
    panics: bool,
) -> Stream<String, String> {
    let name = format!("within-{number}");
    let millis = |millis: i64| Duration::from_millis(millis as u64);
    let Reach { before, after, grace } = reach;
    let within = Within::of(millis(before)).after(millis(after)).grace(millis(grace));
    let pair = move |left: Option<&String>, right: Option<&String>| {
        let left = left.map_or("none", String::as_str);
        let pair = act::joins(left, right.map(String::as_str));
        trip(panics, &pair, number);
        pair
    };
    match needs {
        Needs::Both => left.join_within(&name, right, within, move |left, right| {
            pair(Some(left), Some(right))
        }),
        Needs::Left => left
            .left_join_within(&name, right, within, move |left, right| pair(Some(left), right)),
        Needs::Any => left.outer_join_within(&name, right, within, pair),
    }
}

fn join_global(
    stream: Stream<String, String>,
    table: &GlobalTable<String, String>,
    number: usize,
    left: bool,
) -> Stream<String, String> {
    let by = move |_: &String, value: &String| act::foreign(value, number);
    match left {
        true => stream.left_join_global(table, by, |value, row| {
            act::joins(&value, row.map(String::as_str))
        }),
        false => stream.join_global(table, by, |value, row| act::joins(&value, Some(row))),
    }
}

fn as_of(
    stream: Stream<String, String>,
    table: &VersionedTable<String, String>,
    number: usize,
    AsOf { left, grace }: AsOf,
    panics: bool,
) -> Stream<String, String> {
    let (name, grace) = (format!("as-of-{number}"), Duration::from_millis(grace as u64));
    let pair = move |value: String, row: Option<&String>| {
        let pair = act::joins(&value, row.map(String::as_str));
        trip(panics, &pair, number);
        pair
    };
    match left {
        true => stream.left_join_as_of(&name, table, grace, pair),
        false => {
            stream.join_as_of(&name, table, grace, move |value, row| pair(value, Some(row)))
        }
    }
}

thread_local! {
    /// At which call of user code from now on it panics once; 0 for never.
    static SOON: Cell<u64> = const { Cell::new(0) };
}

/// Has user code panic once, at the call of this number from now on; 0 for never.
pub(crate) fn panic_soon(calls: u64) {
    SOON.set(calls);
}

/// Does what runs user code without being the program: the panic that is planted waits.
pub(crate) fn without_panics<T>(look: impl FnOnce() -> T) -> T {
    let soon = SOON.replace(0);
    let seen = look();
    SOON.set(soon);
    seen
}

/// Panics if user code does so at this value, without a word on the terminal.
pub(crate) fn trip(panics: bool, value: &str, op: usize) {
    let soon = SOON.get();
    SOON.set(soon.saturating_sub(1));
    if soon == 1 || (panics && act::panics(value, op)) {
        resume_unwind(Box::new(format!("planted at {value}")));
    }
}

fn window(
    program: &Program,
    handles: &[Handle],
    number: usize,
    from: From,
    windows: Windows,
) -> Handle {
    let panics = program.panics;
    let commutative = program.is_commutative() || windows.combining;
    let name = format!("windows-{number}");
    let add = move |so_far: &mut String, value: String| {
        *so_far = act::adds(so_far, &value, commutative);
        trip(panics, &value, number);
    };
    let wants_late = program.shows_late(number);
    let Windows { size: longest, advance, grace, sessions, own_gaps, .. } = windows;
    let is_hopping = advance < longest;
    let [size, advance, grace] =
        [longest, advance, grace].map(|millis| Duration::from_millis(millis as u64));
    let hopping = Hopping::of(size).every(advance).grace(grace);
    let tumbling = Tumbling::of(size).grace(grace);
    let by_gap = Sessions::with_gap(size).grace(grace);
    let merge = move |earlier: &mut String, later: String| {
        *earlier = act::merges(earlier, &later, commutative);
    };
    let keyed = |stream| Keyed { stream, moved: false };
    let two = match program.folds_two(number) {
        Some((left, right)) => {
            Some((stream(handles, left).stream, stream(handles, right).stream))
        }
        None if program.folds_halves(number) => {
            let halves = move |value: &String| act::keeps(value, number);
            Some(stream(handles, from).stream.split(halves))
        }
        None => None,
    };
    if let Some((left, right)) = two {
        let both = left.cogroup(&name, String::new, add).with(right, add);
        let results = match (sessions, is_hopping) {
            (true, _) => of_sessions(both.window(by_gap).table(merge), windows),
            (false, true) => of_windows(both.window(hopping).table(), windows),
            (false, false) => of_windows(both.window(tumbling).table(), windows),
        };
        return Handle::Stream { results: keyed(results), late: None };
    }
    let stream = stream(handles, from).stream;
    if sessions {
        let windowed = stream.window(by_gap);
        let table = if own_gaps {
            let gap = move |value: &String| {
                trip(false, value, number);
                Duration::from_millis(act::gap(value, number, longest, panics) as u64)
            };
            windowed.gap_of(gap).fold(&name, String::new, add, merge)
        } else {
            windowed.fold(&name, String::new, add, merge)
        };
        let late = wants_late.then(|| keyed(table.late()));
        return Handle::Stream { results: keyed(of_sessions(table, windows)), late };
    }
    let table = match is_hopping {
        true => stream.window(hopping).fold(&name, String::new, add),
        false => stream.window(tumbling).fold(&name, String::new, add),
    };
    let late = wants_late.then(|| keyed(table.late()));
    Handle::Stream { results: keyed(of_windows(table, windows)), late }
}

fn of_windows<V: Data>(
    mut table: WindowTable<String, V, String>,
    windows: Windows,
) -> Stream<String, String> {
    if windows.combining && windows.advance < windows.size {
        table = table.combining(|all, more| *all = act::merges(all, &more, true));
    }
    let results = if windows.on_close { table.on_close() } else { table.on_update() };
    results.map(|window| shown(window, Some))
}

fn of_sessions<V: Data>(
    table: SessionTable<String, V, String>,
    windows: Windows,
) -> Stream<String, String> {
    match windows.on_close {
        true => table.on_close().map(|window| shown(window, Some)),
        false => table.on_update().map(|window| shown(window, |value| value)),
    }
}

fn sliding(
    program: &Program,
    handles: &[Handle],
    number: usize,
    from: From,
    slide: Slide,
) -> Handle {
    let (commutative, panics) = (program.is_commutative(), program.panics);
    let add = move |so_far: &mut String, value: String| {
        *so_far = act::adds(so_far, &value, commutative);
        trip(panics, &value, number);
    };
    let late = From { op: number, late: true };
    let wants_late = program.ops.iter().any(|op| op.inputs().contains(&late));
    let Slide { span, grace, on_close } = slide;
    let [span, grace] = [span, grace].map(|millis| Duration::from_millis(millis as u64));
    let windows = stream(handles, from).stream.window(Sliding::of(span).grace(grace));
    let table = windows.fold(&format!("windows-{number}"), String::new, add);
    let keyed = |stream| Keyed { stream, moved: false };
    let late = wants_late.then(|| keyed(table.late()));
    let results = if on_close { table.on_close() } else { table.on_update() };
    Handle::Stream { results: keyed(results.map(|window| shown(window, Some))), late }
}

fn shown<A>(window: InWindow<A>, value: impl Fn(A) -> Option<String>) -> String {
    let InWindow { start, end, value: state } = window;
    act::windowed(value(state).as_deref(), start.as_millis(), end.as_millis())
}
