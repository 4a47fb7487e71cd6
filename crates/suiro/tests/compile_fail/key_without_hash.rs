//! A key that cannot be looked up.

use serde::{Deserialize, Serialize};
use suiro::{Topic, Topology};

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UserId(u32);

const VIEWS: Topic<UserId, u64> = Topic::json("views");
const CLICKS: Topic<u32, u64> = Topic::json("clicks");

fn main() {
    let topology = Topology::new("wrong");
    let _ = topology.stream(&CLICKS).key_by(|click| UserId(*click as u32));
    let _ = topology.table(&VIEWS);
}
