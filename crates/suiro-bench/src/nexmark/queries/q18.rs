//! q18: the last bid of each bidder for each auction, after each bid.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q18", plain, suiro };

fn plain(events: &Events, digest: &mut Digest) {
    let mut last: HashMap<(u64, u64), Bid> = HashMap::new();
    for bid in events.bids() {
        digest.add(&bid.marks());
        last.insert((bid.bidder, bid.auction), bid);
    }
    // All that was kept is looked at, so that it is kept.
    let kept = last.values().fold(0, |sum, bid| sum ^ bid.price);
    std::hint::black_box(kept);
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let last = events
        .flat_map(Event::bid)
        .key_by(|bid| (bid.bidder, bid.auction))
        .reduce("last", |_, bid| bid)
        .changes();
    drop(last.inspect(move |_, bid: &Option<Bid>| {
        bid.iter().for_each(|bid| sink.add(&bid.marks()));
    }));
}
