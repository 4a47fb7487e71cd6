//! q13: bids with what a table of ten thousand rows knows.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use suiro::{Record, Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q13", plain, suiro };

const ROWS: u64 = 10_000;

/// A row of the table.
fn known(key: u64) -> u64 {
    key * 7 + 3
}

fn row(bid: &Bid, known: u64) -> [u64; 5] {
    [bid.auction, bid.bidder, bid.price, bid.at as u64, known]
}

fn plain(events: &Events, digest: &mut Digest) {
    let table: Vec<u64> = (0..ROWS).map(known).collect();
    for bid in events.bids() {
        digest.add(&row(&bid, table[(bid.auction % ROWS) as usize]));
    }
}

fn suiro(topology: &Topology, events: Stream<u64, Event>, sink: Sink) {
    // Its rows are older than any bid.
    let table = topology
        .generate("side", 1, |_, number| {
            (number < ROWS).then(|| Record::new(number, known(number), 0))
        })
        .fold("side", || 0, |row, known| *row = known);
    let enriched = events
        .flat_map(Event::bid)
        .key_by(|bid| bid.auction % ROWS)
        .repartition("bids")
        .join(&table, |bid, known| row(&bid, *known));
    drop(enriched.inspect(move |_, row| sink.add(row)));
}
