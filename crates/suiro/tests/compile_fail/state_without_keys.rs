//! Steps with state on a stream without keys.

use std::time::Duration;
use suiro::{NoKey, Topic, Topology, Tumbling};

const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
const NAMES: Topic<u32, String> = Topic::json("names");

fn main() {
    let topology = Topology::new("wrong");
    let lines = topology.stream(&LINES);
    let names = topology.table(&NAMES);
    let _ = lines.clone().count("counts");
    let _ = lines.clone().fold("lengths", || 0, |sum, line| *sum += line.len());
    let _ = lines.clone().join(&names, |line, _| line);
    let _ = lines.window(Tumbling::of(Duration::from_hours(1)));
}
