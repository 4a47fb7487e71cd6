//! Windows, streams and tables that lead to nothing.
#![deny(unused_must_use)]

use std::time::Duration;
use suiro::{Sessions, Topic, Topology, Tumbling};

const CLICKS: Topic<String, u64> = Topic::json("clicks");

fn main() {
    let topology = Topology::new("wrong");
    let clicks = topology.stream(&CLICKS);
    let hour = Duration::from_hours(1);
    clicks.clone().window(Tumbling::of(hour));
    clicks.clone().window(Tumbling::of(hour)).count("hourly");
    clicks.clone().window(Sessions::with_gap(hour)).count("visits");
    clicks.clone().count("all");
    clicks.filter(|click| *click > 0);
}
