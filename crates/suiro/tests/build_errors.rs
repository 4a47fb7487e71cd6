//! Mistakes that the compiler cannot see are refused when the program is built or started, each
//! with what to do about it.

use std::time::Duration;
use suiro::{
    App, ErrorKind, Json, Log, Outcome, Pattern, Plan, Policy, Processor, Producer, Result,
    Running, StoreOf, Stream, Text, Topic, Topology, Tumbling, Turn, Within,
};

const CLICKS: Topic<u32, u64> = Topic::json("clicks");
const NAMES: Topic<u32, String> = Topic::json("names");
const SEEN: Topic<u32, u64> = Topic::json("seen");

/// The plan that `write` makes, or the first mistake in it.
fn build(write: impl FnOnce(&Topology)) -> Result<Plan> {
    let topology = Topology::new("wrong");
    write(&topology);
    topology.build()
}

/// A human must act, and this is what they read.
fn assert_says<T>(result: Result<T>, expected: &str) {
    let error = result.err().expect("the mistake is refused");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, expected.to_owned()));
}

#[test]
fn two_stores_of_one_name() {
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        clicks.clone().count("totals").to(&SEEN);
        let many = clicks.filter(|click| *click > 1);
        many.reduce("totals", u64::max).to(&SEEN.named("largest"));
    });
    let text = "two stores have one name; give each its own store=`totals` first=`fold totals \
                <- source clicks` second=`fold totals <- filter <- source clicks`";
    assert_says(plan, text);
}

/// Keeps the last value of each key.
struct Keep(StoreOf<u64>);

impl Processor for Keep {
    type Key = u32;
    type In = u64;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, value: u64) -> Outcome {
        turn.put(self.0, value);
        Ok(())
    }
}

/// A step called `name`, which keeps the last value in a store called `store`.
fn keep(stream: Stream<u32, u64>, name: &str, store: &str) {
    let mut process = stream.process(name);
    let store = process.store(store);
    process.with(Keep(store));
}

#[test]
fn a_store_of_two_processors() {
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        keep(clicks.clone(), "visits", "last");
        keep(clicks.filter(|click| *click > 1), "visits", "last");
    });
    let text = "two stores have one name; give each its own store=`visits.last` first=`process \
                visits <- source clicks` second=`process visits <- filter <- source clicks`";
    assert_says(plan, text);
    // Steps of one name have their timers in one store, whatever they call the others.
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        keep(clicks.clone(), "visits", "last");
        keep(clicks.key_by(|click| *click as u32), "visits", "newest");
    });
    let text = "two stores have one name; give each its own store=`visits.timers` \
                first=`process visits <- source clicks` second=`process visits <- send visits \
                <- key_by <- source clicks`";
    assert_says(plan, text);
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        keep(clicks.clone(), "visits", "last");
        clicks.count("visits.last").to(&SEEN);
    });
    let text = "two stores have one name; give each its own store=`visits.last` first=`process \
                visits <- source clicks` second=`fold visits.last <- source clicks`";
    assert_says(plan, text);
    let apart = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        keep(clicks.clone(), "visits", "last");
        keep(clicks, "clicks", "last");
    });
    assert!(apart.is_ok());
}

#[test]
fn two_repartitions_of_one_name() {
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS).key_by(|click| *click as u32);
        clicks.clone().repartition("by-click").to(&SEEN);
        clicks.map(|click| click + 1).repartition("by-click").to(&SEEN.named("again"));
    });
    let text = "two repartitions have one name; give each its own repartition=`by-click` \
                first=`send by-click <- key_by <- source clicks` second=`send by-click <- map \
                <- key_by <- source clicks`";
    assert_says(plan, text);
}

#[test]
fn a_repartition_into_nothing() {
    let plan = build(|topology| {
        topology.stream(&CLICKS).repartition_into("none", 0).to(&SEEN);
    });
    assert_says(plan, "a repartition needs a partition at least repartition=`none`");
}

#[test]
fn a_topic_that_is_read_twice() {
    let text = "topic is read twice in one topology; read it once and clone the handle \
                topic=`clicks`";
    let plan = build(|topology| {
        topology.stream(&CLICKS).to(&SEEN);
        topology.stream(&CLICKS).filter(|click| *click > 1).to(&SEEN);
    });
    assert_says(plan, text);
    let plan = build(|topology| {
        let clicks = topology.table(&CLICKS);
        topology.stream(&CLICKS).join(&clicks, |click, last| click - last).to(&SEEN);
    });
    assert_says(plan, text);
}

#[test]
fn a_join_after_new_keys() {
    let text = "a join comes after `key_by`, and the records are not yet where their keys \
                belong; add `.repartition(\"name\")` between them";
    let join = |by_key: fn(Stream<u32, u64>) -> Stream<u32, u64>| {
        build(|topology| {
            let names = topology.table(&NAMES);
            let clicks = by_key(topology.stream(&CLICKS).key_by(|click| *click as u32));
            clicks.left_join(&names, |click, _| click).to(&SEEN);
        })
    };
    assert_says(join(|clicks| clicks), text);
    assert_says(join(|clicks| clicks.filter(|_| true).map(|click| click + 1)), text);
    assert!(join(|clicks| clicks.repartition("by-click")).is_ok());
}

#[test]
fn two_topologies_in_one_step() {
    let other = Topology::new("other");
    let text = "two topologies meet in one step; take both sides from one topology";
    let plan = build(|topology| {
        topology.stream(&CLICKS).merge(other.stream(&CLICKS)).to(&SEEN);
    });
    assert_says(plan, text);
    let names = other.table(&NAMES);
    let plan = build(|topology| {
        topology.stream(&CLICKS).join(&names, |click, _| click).to(&SEEN);
    });
    assert_says(plan, text);
    let plan = build(|topology| {
        topology.table(&CLICKS).join(&names, |click, _| *click).to(&SEEN);
    });
    assert_says(plan, text);
}

/// Texts under keys that are text, and under keys that are JSON.
const PLAIN: Topic<String, String> = Topic::of("plain", &Text, &Text);
const QUOTED: Topic<String, String> = Topic::of("quoted", &Json, &Text);

#[test]
fn keys_of_different_formats() {
    let plan = build(|topology| {
        let quoted = topology.table(&QUOTED);
        topology.stream(&PLAIN).join(&quoted, |text, _| text).to(&PLAIN.named("joined"));
    });
    let text = "the keys of the two sides of a join have different formats, so that equal keys \
                may be in different partitions; give both topics one key format left=`text` \
                right=`json`";
    assert_says(plan, text);
    let plan = build(|topology| {
        let quoted = topology.stream(&QUOTED);
        topology.stream(&PLAIN).merge(quoted).to(&PLAIN.named("merged"));
    });
    let text = "streams whose keys have different formats cannot be merged format=`text` \
                other_format=`json`";
    assert_says(plan, text);
}

#[test]
fn a_window_without_size() {
    let plan = build(|topology| {
        let windows = topology.stream(&CLICKS).window(Tumbling::of(Duration::ZERO));
        windows.count("hourly").on_close().map(|window| window.value).to(&SEEN);
    });
    assert_says(plan, "a window needs a size of a millisecond at least fold=`hourly`");
}

#[test]
fn a_policy_for_a_step_that_cannot_fail() {
    let plan = build(|topology| {
        let clicks = topology.stream(&CLICKS);
        let (few, many) = clicks.split(|click| *click < 10);
        few.merge(many).on_error(Policy::Skip).to(&SEEN);
    });
    let text = "this step runs no user code and cannot fail; move `on_error` to one that does";
    assert_says(plan, text);
}

/// A join of two topics, started on a log where they have so many partitions; none is missing.
fn start(clicks: Option<u32>, names: Option<u32>) -> Result<Running> {
    start_on(clicks, names, |topology| {
        let names = topology.table(&NAMES);
        topology.stream(&CLICKS).join(&names, |click, _| click).to(&SEEN);
    })
}

fn start_on(
    clicks: Option<u32>,
    names: Option<u32>,
    write: impl FnOnce(&Topology),
) -> Result<Running> {
    let log = Log::in_memory();
    if let Some(partitions) = clicks {
        Producer::open(&log, &CLICKS)?.create(partitions)?;
    }
    if let Some(partitions) = names {
        Producer::open(&log, &NAMES)?.create(partitions)?;
    }
    App::new(build(write)?, log).start()
}

#[test]
fn a_topic_that_is_missing() -> Result<()> {
    let text = "topic does not exist; create it first, or let the app create its sources \
                topic=`names`";
    assert_says(start(Some(2), None), text);
    start(Some(2), Some(2))?.shutdown()
}

#[test]
fn topics_that_meet_with_unequal_partitions() -> Result<()> {
    let text = "topics that meet by key need equal numbers of partitions; add \
                `.repartition_into(\"clicks-by-key\", 3)` to the stream of `clicks`, or make the \
                topics alike topic=`names` partitions=`3` other_topic=`clicks` \
                other_partitions=`2`";
    assert_says(start(Some(2), Some(3)), text);
    // The line that it says is what it takes.
    let started = start_on(Some(2), Some(3), |topology| {
        let names = topology.table(&NAMES);
        let clicks = topology.stream(&CLICKS).repartition_into("clicks-by-key", 3);
        clicks.join(&names, |click, _| click).to(&SEEN);
    });
    started?.shutdown()?;
    let text = "topics that meet by key need equal numbers of partitions; say \
                `.repartition_into(\"spread\", 3)`, or make the topics alike topic=`names` \
                partitions=`3` other_topic=`spread` other_partitions=`4`";
    let started = start_on(Some(2), Some(3), |topology| {
        let names = topology.table(&NAMES);
        let clicks = topology.stream(&CLICKS).repartition_into("spread", 4);
        clicks.join(&names, |click, _| click).to(&SEEN);
    });
    assert_says(started, text);
    // The rows of tables lie where their topics have them.
    let text = "topics that meet by key need equal numbers of partitions; make the topics alike \
                topic=`names` partitions=`3` other_topic=`clicks` other_partitions=`2`";
    let started = start_on(Some(2), Some(3), |topology| {
        let names = topology.table(&NAMES);
        topology.table(&CLICKS).join(&names, |click, _| *click).to(&SEEN);
    });
    assert_says(started, text);
    Ok(())
}

/// Whatever brings records of two topics together asks for it, and says what to add.
#[test]
fn streams_that_meet_with_unequal_partitions() -> Result<()> {
    type Meet = fn(Stream<u32, u64>, Stream<u32, u64>);
    let meets: [Meet; 4] = [
        |clicks, names| clicks.merge(names).to(&SEEN),
        |clicks, names| {
            let near = Within::of(Duration::from_secs(1));
            clicks.join_within("near", names, near, |click, name| click + name).to(&SEEN);
        },
        |clicks, names| {
            let both = clicks.cogroup("both", u64::default, |sum, click| *sum += click);
            both.with(names, |sum, name| *sum += name).table().to(&SEEN);
        },
        |clicks, names| {
            let names = names.reduce("names", |_, name| name);
            clicks.join(&names, |click, name| click + name).to(&SEEN);
        },
    ];
    let text = "topics that meet by key need equal numbers of partitions; add \
                `.repartition_into(\"names-by-key\", 2)` to the stream of `names`, or make the \
                topics alike topic=`clicks` partitions=`2` other_topic=`names` \
                other_partitions=`3`";
    for meet in meets {
        let streams = |topology: &Topology| {
            let clicks = topology.stream(&CLICKS);
            (clicks, topology.stream(&NAMES).map(|name| name.len() as u64))
        };
        let started = start_on(Some(2), Some(3), |topology| {
            let (clicks, names) = streams(topology);
            meet(clicks, names);
        });
        assert_says(started, text);
        let started = start_on(Some(2), Some(3), |topology| {
            let (clicks, names) = streams(topology);
            meet(clicks, names.repartition_into("names-by-key", 2));
        });
        started?.shutdown()?;
    }
    Ok(())
}

#[test]
fn a_store_that_is_not_there_or_another() -> Result<()> {
    let log = Log::in_memory();
    let plan = build(|topology| topology.stream(&CLICKS).count("totals").to(&SEEN))?;
    let running = App::new(plan, log).partitions(1).start()?;
    let missing = running.query::<u32, u64>("sums").map(drop);
    assert_says(missing, "the program has no store of this name store=`sums`");
    let other = running.query::<String, u64>("totals")?.get(&"one".to_owned());
    assert_says(other, "the store has rows of other types or another kind store=`totals`");
    running.shutdown()
}

#[test]
fn a_table_joined_with_itself() {
    let plan = build(|topology| {
        let clicks = topology.table(&CLICKS);
        let doubled = clicks.clone().map(|click| click * 2);
        clicks.join(&doubled, |click, double| click + double).to(&SEEN);
    });
    let text = "a table cannot be joined with a table that is made of it; make the joined row \
                with one `map`";
    assert_says(plan, text);
}

#[test]
fn a_ttl_where_no_rows_are_kept() {
    let text = "this table is seen through another and keeps no rows, so it cannot let them go; \
                say `ttl` at the table that keeps them, right behind `table`, `to_table`, \
                `fold`, `count` or `reduce`";
    let hour = Duration::from_hours(1);
    let filtered = build(|topology| {
        topology.table(&CLICKS).filter(|click| *click > 1).ttl(hour).to(&SEEN);
    });
    assert_says(filtered, text);
    let mapped = build(|topology| {
        let counts = topology.stream(&CLICKS).count("counts");
        counts.map(|count| count + 1).ttl(hour).to(&SEEN);
    });
    assert_says(mapped, text);
    let joined = build(|topology| {
        let names = topology.table(&NAMES);
        topology.table(&CLICKS).join(&names, |click, _| *click).ttl(hour).to(&SEEN);
    });
    assert_says(joined, text);
}

#[test]
fn a_ttl_that_leaves_no_row_and_a_second_one() {
    let text = "a ttl below one millisecond leaves no row; say a longer one or none \
                table=`counts` ttl_ms=`0`";
    for short in [Duration::ZERO, Duration::from_micros(999)] {
        let plan =
            build(|topology| topology.stream(&CLICKS).count("counts").ttl(short).to(&SEEN));
        assert_says(plan, text);
    }
    let plan = build(|topology| {
        let clicks = topology.table(&CLICKS).ttl(Duration::from_secs(1));
        clicks.clone().ttl(Duration::from_secs(2)).to(&SEEN);
        clicks.to(&SEEN.named("again"));
    });
    let text = "a table has two ttls; it is one table whatever its handle: say it once \
                table=`clicks` ttl_ms=`2000`";
    assert_says(plan, text);
}

#[test]
fn patterns_that_say_nothing() {
    let at_end = "`at_least` at the end of a pattern would be over at once; say `times`, or \
                  `not` behind it to wait for the time pattern=`many`";
    let twice = "`times` and `at_least` stand directly behind a stage, and once pattern=`many`";
    let none = "a stage needs one event at least; `not` says that none may come pattern=`many`";
    let large = "a pattern has 64 stages and forbidden events at most pattern=`many`";
    fn many(pattern: Pattern<u32, u64>, count: u64) -> Pattern<u32, u64> {
        (1..count).fold(pattern, |pattern, number| pattern.then(move |it| *it == number))
    }
    let build = |write: fn(Pattern<u32, u64>) -> Pattern<u32, u64>| {
        build(|topology| {
            let pattern = topology.stream(&CLICKS).pattern("many", |click| *click > 1);
            let _matches = write(pattern).within(Duration::from_secs(1)).matches();
        })
    };
    assert_says(build(|pattern| pattern.at_least(2)), at_end);
    assert_says(build(|pattern| pattern.then(|click| *click > 2).at_least(2)), at_end);
    assert_says(build(|pattern| pattern.times(2).times(3)), twice);
    assert_says(build(|pattern| pattern.not(|click| *click == 1).times(3)), twice);
    assert_says(build(|pattern| pattern.times(0)), none);
    assert_says(build(|pattern| many(pattern, 65)), large);
    assert!(build(|pattern| many(pattern, 64)).is_ok());
    let waits = build(|pattern| pattern.at_least(2).not(|click| *click == 1));
    assert!(waits.is_ok());
}
