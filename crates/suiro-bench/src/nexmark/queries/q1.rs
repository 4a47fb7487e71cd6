//! q1: every bid with its price in another currency.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q1", plain, suiro };

/// The price in thousandths of a cent, exactly.
fn price(bid: &Bid) -> u64 {
    bid.price * 908
}

fn plain(events: &Events, digest: &mut Digest) {
    for bid in events.bids() {
        digest.add(&[bid.auction, bid.bidder, price(&bid), bid.at as u64]);
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let bids = events.flat_map(Event::bid).map(|bid| Bid { price: price(&bid), ..bid });
    drop(bids.inspect(move |_, bid| {
        sink.add(&[bid.auction, bid.bidder, bid.price, bid.at as u64]);
    }));
}
