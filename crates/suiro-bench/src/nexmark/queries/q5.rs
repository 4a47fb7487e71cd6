//! q5: the auctions with most bids in the last ten seconds, every two seconds.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{Hopping, Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q5", plain, suiro };

const SIZE: i64 = 10_000;
const ADVANCE: i64 = 2_000;

/// The most bids in a window, and the auctions that have them.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Top {
    bids: u64,
    auctions: Vec<u64>,
}

impl Top {
    fn take(&mut self, auction: u64, bids: u64) {
        if bids > self.bids {
            self.bids = bids;
            self.auctions.clear();
        }
        if bids == self.bids {
            self.auctions.push(auction);
        }
    }

    fn row(&self, start: i64) -> [u64; 4] {
        // The order in which they came to it does not matter.
        let sum = self.auctions.iter().sum();
        [start as u64, self.bids, self.auctions.len() as u64, sum]
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    // A slice for every two seconds, of which a window has five.
    let mut slices: BTreeMap<i64, HashMap<u64, u64>> = BTreeMap::new();
    for bid in events.bids() {
        let slice = slices.entry(bid.at / ADVANCE * ADVANCE).or_default();
        *slice.entry(bid.auction).or_default() += 1;
    }
    let Some((last, _)) = slices.last_key_value() else { return };
    for start in (0..=*last).step_by(ADVANCE as usize) {
        add_window(start, &slices, digest);
    }
}

fn add_window(start: i64, slices: &BTreeMap<i64, HashMap<u64, u64>>, digest: &mut Digest) {
    let mut window: HashMap<u64, u64> = HashMap::new();
    for (auction, bids) in slices.range(start..start + SIZE).flat_map(|(_, slice)| slice) {
        *window.entry(*auction).or_default() += bids;
    }
    let mut top = Top::default();
    window.iter().for_each(|(auction, bids)| top.take(*auction, *bids));
    digest.add(&top.row(start));
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let windows = Hopping::of(Duration::from_millis(SIZE as u64))
        .every(Duration::from_millis(ADVANCE as u64));
    let tops = events
        .flat_map(Event::bid)
        .rekey(|bid| (bid.auction, ()))
        .window(windows)
        .count("bids")
        .on_close()
        .map_with_key(|auction, window| (window.start.as_millis(), (*auction, window.value)))
        .rekey(|row| row)
        .fold("tops", Top::default, |top, (auction, bids)| top.take(auction, bids))
        .changes();
    drop(tops.inspect(move |start, top: &Option<Top>| {
        if let Some(top) = top {
            sink.update(*start as u64, &top.row(*start));
        }
    }));
}
