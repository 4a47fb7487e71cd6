//! A join of two sides whose keys have different types.

use suiro::{Topic, Topology};

const CLICKS: Topic<String, u64> = Topic::json("clicks");
const ADS: Topic<u32, String> = Topic::json("ads");

fn main() {
    let topology = Topology::new("wrong");
    let ads = topology.table(&ADS);
    topology.stream(&CLICKS).join(&ads, |click, _| click).to(&CLICKS);
}
