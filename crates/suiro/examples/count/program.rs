//! The program `count`: its topology, its formats and how it runs.

use super::options::{HELP, Options, parse};
use crate::shared;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use suiro::{
    App, Broker, Bytes, Encoded, Error, Format, Log, Plan, Producer, Raw, Reader, Result, Seed,
    Topic, Topology,
};

const INPUT: Topic<Bytes, Uninteresting> = Topic::of("input", &Raw, &Uninteresting);
const OUTPUT: Topic<Bytes, u64> = Topic::of("output", &Raw, &Decimal);

/// A value that nobody looks at. No bytes are as good as any, and so is a null.
#[derive(Clone, Copy, Debug)]
pub struct Uninteresting;

impl Format<Uninteresting> for Uninteresting {
    fn name(&self) -> &'static str {
        "uninteresting"
    }

    fn encode(&self, _: &Uninteresting, _: &mut Vec<u8>) -> Result<Encoded> {
        Ok(Encoded::Bytes)
    }

    fn decode(&self, _: &[u8]) -> Result<Uninteresting> {
        Ok(Uninteresting)
    }

    fn decode_null(&self) -> Option<Uninteresting> {
        Some(Uninteresting)
    }
}

/// Numbers as people write them.
#[derive(Clone, Copy, Debug)]
pub struct Decimal;

impl Format<u64> for Decimal {
    fn name(&self) -> &'static str {
        "decimal"
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<Encoded> {
        out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        Ok(Encoded::Bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64> {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Error::invalid("not a decimal number"))
    }
}

/// The topology.
pub fn plan(options: &Options) -> Result<Plan> {
    let topology = Topology::new(&options.shared.app);
    let input = topology.stream(&INPUT.named(&options.input));
    let counts = input.map(|_| ()).count("counts");
    let output = OUTPUT.named(&options.output);
    if options.every_change {
        counts.changes().flat_map(|count| count).to(&output);
    } else {
        counts.to(&output);
    }
    topology.build()
}

/// Runs the program as the command line says, and gives the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let options = match parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}{}", shared::HELP);
            return 0;
        }
        Err(error) => {
            eprintln!("count: {error}; --help names the options");
            return 2;
        }
    };
    match run(&options) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("count: {}", error.report());
            1
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let plan = plan(options)?;
    let log = Log::options().durability(options.durability);
    let place = options.shared.open(log, &options.dir)?;
    if let Some(records) = options.load {
        load(&*place.broker, options, records)?;
    }
    let app = App::new(plan, Arc::clone(&place.broker));
    let app = app.threads(options.threads).commit_interval(options.commit_interval);
    let app = options.shared.apply(app, &options.dir)?;
    if options.until_end {
        let counted = app.run_to_end()?.records_in;
        println!("counted {counted} records");
    } else {
        app.run()?;
    }
    place.close()
}

/// Fills the input until it has `records` records: the first of them when a load was broken
/// off, as they become durable in order.
fn load(log: &dyn Broker, options: &Options, records: u64) -> Result<()> {
    let topic = Topic::bytes("input").named(&options.input);
    let mut input = Producer::open(log, &topic)?;
    input.create(options.partitions)?;
    for number in length(log, &INPUT.named(&options.input))?..records {
        let (key, value) = record(number, options.keys);
        input.send(key, value, number as i64)?;
    }
    input.flush()
}

/// How many records a topic has.
fn length(log: &dyn Broker, topic: &Topic<Bytes, Uninteresting>) -> Result<u64> {
    let mut reader = Reader::open(log, topic)?;
    let mut length = 0;
    loop {
        match reader.follow(Duration::ZERO)?.len() {
            0 => return Ok(length),
            read => length += read as u64,
        }
    }
}

/// Record `number` of a load: 100 bytes of key and value. The value begins with the number.
pub fn record(number: u64, keys: u64) -> (Bytes, Bytes) {
    let key = format!("key-{:08}", Seed::new(number).below(keys));
    let value = format!("{number:<width$}", width = 100 - key.len());
    (key.into(), value.into())
}
