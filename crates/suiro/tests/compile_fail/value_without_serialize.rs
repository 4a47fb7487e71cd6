//! A value that cannot leave memory, in a topic and in a fold.

use suiro::{Topic, Topology};

#[derive(Clone)]
struct View;

const VIEWS: Topic<u32, View> = Topic::json("views");
const CLICKS: Topic<u32, u64> = Topic::json("clicks");

fn main() {
    let topology = Topology::new("wrong");
    let _ = topology.stream(&CLICKS).fold("seen", || View, |_, _| ());
    let _ = topology.stream(&CLICKS).map(|_| View).count("views");
}
