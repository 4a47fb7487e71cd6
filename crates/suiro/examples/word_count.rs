//! Counts words, exactly once. Run it twice on one directory, and the counts go on.

use std::collections::BTreeMap;
use std::error::Error;
use suiro::{App, Log, NoKey, Producer, Reader, Topic, Topology};

const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
const COUNTS: Topic<String, u64> = Topic::json("word-counts");

fn main() -> Result<(), Box<dyn Error>> {
    let topology = Topology::new("word-count");
    topology
        .stream(&LINES)
        .flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .count("counts")
        .to(&COUNTS);

    let temporary = tempfile::tempdir()?;
    let log = Log::open(std::env::args_os().nth(1).unwrap_or(temporary.path().into()))?;

    let mut lines = Producer::open(&log, &LINES)?;
    lines.create(1)?;
    lines.send(NoKey, "to be or not to be".into(), 1)?;
    lines.send(NoKey, "to do is to be".into(), 2)?;
    lines.send(NoKey, "do be do be do".into(), 3)?;
    lines.flush()?;

    App::new(topology.build()?, log.clone()).run_to_end()?;

    let mut counts = BTreeMap::new();
    for record in Reader::open(&log, &COUNTS)?.read_to_end()? {
        counts.extend(record.value.map(|count| (record.key, count)));
    }
    for (word, count) in counts {
        println!("{count:3} {word}");
    }
    Ok(())
}
