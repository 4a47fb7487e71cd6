//! q22: three parts of the address of a bid.

use crate::digest::{Digest, of_bytes};
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use ecow::EcoString;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q22", plain, suiro };

fn parts(bid: &Bid) -> [EcoString; 3] {
    let mut parts = bid.url.split('/').skip(3);
    std::array::from_fn(|_| parts.next().unwrap_or_default().into())
}

fn row(bid: &Bid, parts: &[EcoString; 3]) -> [u64; 6] {
    let [first, second, third] = parts.each_ref().map(|part| of_bytes(part.as_bytes()));
    [bid.auction, bid.bidder, bid.price, first, second, third]
}

fn plain(events: &Events, digest: &mut Digest) {
    for bid in events.bids() {
        digest.add(&row(&bid, &parts(&bid)));
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let bids = events.flat_map(Event::bid).map(|bid| (parts(&bid), bid));
    drop(bids.inspect(move |_, (parts, bid)| sink.add(&row(bid, parts))));
}
