//! q2: the bids for some auctions.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q2", plain, suiro };

const ONE_IN: u64 = 123;

fn plain(events: &Events, digest: &mut Digest) {
    let some = events.bids().filter(|bid| bid.auction % ONE_IN == 0);
    some.for_each(|bid| digest.add(&[bid.auction, bid.price]));
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let some = events
        .flat_map(Event::bid)
        .filter(|bid| bid.auction % ONE_IN == 0)
        .map(|bid| (bid.auction, bid.price));
    drop(some.inspect(move |_, (auction, price)| sink.add(&[*auction, *price])));
}
