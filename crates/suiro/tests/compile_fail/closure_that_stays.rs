//! A closure that cannot go to another thread.

use std::rc::Rc;
use suiro::{Topic, Topology};

const CLICKS: Topic<u32, u64> = Topic::json("clicks");

fn main() {
    let topology = Topology::new("wrong");
    let factor = Rc::new(2);
    topology.stream(&CLICKS).map(move |click| click * *factor).to(&CLICKS);
}
