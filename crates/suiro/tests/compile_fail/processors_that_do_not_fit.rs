//! Steps of one's own on a stream without keys, on values of another type, and beside a table
//! of other keys; and rows of another type than their store.

use suiro::{NoKey, Outcome, Processor, StoreOf, Topic, Topology, Turn};

const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
const CLICKS: Topic<String, u64> = Topic::json("clicks");
const NAMES: Topic<u32, String> = Topic::json("names");

struct Lengths {
    total: StoreOf<u64>,
}

impl Processor for Lengths {
    type Key = String;
    type In = String;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, line: String) -> Outcome {
        turn.put(self.total, line);
        Ok(())
    }
}

fn main() {
    let topology = Topology::new("wrong");
    let _ = topology.stream(&LINES).process("lines");
    let names = topology.table(&NAMES);
    let mut process = topology.stream(&CLICKS).process("clicks");
    let _ = process.table(&names);
    let total = process.store("total");
    process.with(Lengths { total });
}
