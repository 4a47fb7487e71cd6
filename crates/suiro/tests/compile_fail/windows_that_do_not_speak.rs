//! Windows that were not told when to speak have no results to write or to map.

use std::time::Duration;
use suiro::{CountWindows, InWindow, Sessions, Topic, Topology, Tumbling};

const CLICKS: Topic<String, u64> = Topic::json("clicks");
const COUNTS: Topic<String, InWindow<u64>> = Topic::json("counts");

fn main() {
    let topology = Topology::new("wrong");
    let clicks = topology.stream(&CLICKS);
    let hour = Duration::from_hours(1);
    clicks.clone().window(Tumbling::of(hour)).count("hourly").to(&COUNTS);
    clicks.clone().window(Tumbling::of(hour)).count("mapped").map(|window| window.value);
    clicks.clone().window(Sessions::with_gap(hour)).count("visits").to(&COUNTS);
    clicks.clone().window(Sessions::with_gap(hour)).count("lengths").map(|window| window.value);
    let counted = clicks.window(CountWindows::of(3)).top_n("best", 1, |click| *click);
    counted.map(|window| window.value);
}
