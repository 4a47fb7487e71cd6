//! `process` against a plain loop over what rules R1 to R5 say, for any scripts, times, batches,
//! failures and crashes.

#[path = "process/model.rs"]
mod model;
#[path = "process/script.rs"]
mod script;

use model::Model;
use proptest::prelude::*;
use script::{ALL, Act, CLOCK, LOOKED_AT, NAMES, SCRIPTS, Scripted};
use suiro::{ExchangeKind, Plan, Policy, Result, TestDriver, TestOptions, Topology};

/// What happens to the program.
#[derive(Clone, Debug)]
enum Event {
    /// A record with a script comes, so much later than the one before it.
    Script(u8, Vec<Act>, i64),
    /// A row of the table is set, or removed.
    Row(u8, Option<u64>),
    /// The clock goes on.
    Clock(i64),
    Crash,
    /// The run ends where its sources end, and another one begins.
    Finish,
}

fn plan(timers: &[Vec<Act>], crosses: bool) -> Result<Plan> {
    let topology = Topology::new("app");
    topology.on_error(Policy::Skip);
    let table = topology.table(&LOOKED_AT);
    let mut stream = topology.stream(&SCRIPTS);
    if crosses {
        stream = stream.map_with_key(|key, acts| (key.clone(), acts)).rekey(|pair| pair);
    }
    let table = if crosses {
        // A table at the keys behind the exchange.
        let rows = table.changes().map_with_key(|key, row| (key.clone(), row));
        rows.rekey(|pair| pair).to_table::<u64>("rows")
    } else {
        table
    };
    let mut process = stream.process("scripted");
    let stores = [process.store("one"), process.store("two")];
    let (one, ones) = process.output();
    let (two, twos) = process.output();
    let table = process.table(&table);
    let timers = timers.to_vec();
    process.with(Scripted { stores, outputs: (one, two), table, timers });
    let twos = twos.map(|(key, value): (String, String)| format!("{key}: {value}"));
    ones.merge(twos).to(&ALL);
    topology.build()
}

fn holds(
    events: &[Event],
    timers: &[Vec<Act>],
    crosses: bool,
    options: &TestOptions,
) -> Result<()> {
    let mut driver = TestDriver::with_options(plan(timers, crosses)?, options.clone())?;
    let mut model = Model::new(timers);
    let (mut at, mut clock) = (30, CLOCK);
    driver.advance_to(clock)?;
    model.tick(clock);
    for event in events {
        match event {
            Event::Script(key, acts, leap) => {
                at = (at + leap).max(0);
                let key = format!("k{key}");
                model.record(&key, acts, at);
                driver.send(&SCRIPTS, key, acts.clone(), at)?;
            }
            Event::Row(key, row) => {
                let key = format!("k{key}");
                driver.run()?;
                model.row(&key, *row);
                match row {
                    Some(row) => driver.send(&LOOKED_AT, key, *row, at)?,
                    None => driver.remove(&LOOKED_AT, key, at)?,
                }
                driver.run()?;
            }
            Event::Clock(further) => {
                driver.run()?;
                clock += further;
                model.tick(clock);
                driver.advance_to(clock)?;
            }
            Event::Crash => driver.crash()?,
            Event::Finish if !model.has_grown => {}
            Event::Finish => {
                driver.finish()?;
                model.end();
            }
        }
    }
    driver.run()?;
    let seen = driver.read(&ALL)?.into_iter();
    let seen: Vec<_> = seen.map(|row| (row.key, row.value, row.at.as_millis())).collect();
    assert_eq!(seen, model.sent);
    Ok(())
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..2_usize, 0..9_u64).prop_map(|(store, row)| Act::Put(store, row)),
        1 => (0..2_usize).prop_map(Act::Remove),
        1 => (0..2_usize).prop_map(Act::Add),
        3 => (0..2_usize).prop_map(Act::Tell),
        4 => (0..NAMES, -20..60_i64).prop_map(|(name, after)| Act::Set(name, after)),
        2 => (0..NAMES, 1..60_i64).prop_map(|(name, after)| Act::SetWall(name, after)),
        1 => (0..NAMES).prop_map(Act::Cancel),
        1 => (0..NAMES).prop_map(Act::CancelWall),
        1 => (0..NAMES).prop_map(Act::TellTimer),
        1 => Just(Act::LookUp),
        1 => Just(Act::Times),
        1 => Just(Act::Fail),
        1 => Just(Act::Panic),
    ]
}

/// Timers that set others for later come to an end only if time does.
fn timers() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let script = prop::collection::vec(act(), 0..4);
    let scripts = prop::collection::vec(script, usize::from(NAMES));
    scripts.prop_map(|mut scripts| {
        for act in scripts.iter_mut().flatten() {
            if let Act::Set(_, after) = act {
                *after = (*after).max(1);
            }
        }
        scripts
    })
}

fn event() -> impl Strategy<Value = Event> {
    let acts = || prop::collection::vec(act(), 1..6);
    prop_oneof![
        12 => (0..4_u8, acts(), -6..20_i64).prop_map(|(k, acts, leap)| Event::Script(k, acts, leap)),
        1 => (0..4_u8, acts(), 50..90_i64).prop_map(|(k, acts, leap)| Event::Script(k, acts, leap)),
        2 => (0..4_u8, prop::option::of(0..9_u64)).prop_map(|(key, row)| Event::Row(key, row)),
        3 => (1..50_i64).prop_map(Event::Clock),
        1 => Just(Event::Crash),
        1 => Just(Event::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_processor_does_what_the_rules_say(
        events in prop::collection::vec(event(), 1..40),
        timers in timers(),
        crosses in any::<bool>(),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(8192)],
        in_memory in any::<bool>(),
        run_at_send in any::<bool>(),
        lean in any::<bool>(),
    ) {
        let exchange = if in_memory { ExchangeKind::Memory } else { ExchangeKind::Topic };
        let options =
            TestOptions { exchange, batch_rows, run_at_send, lean, ..TestOptions::default() };
        holds(&events, &timers, crosses, &options).expect("the program runs");
    }
}
