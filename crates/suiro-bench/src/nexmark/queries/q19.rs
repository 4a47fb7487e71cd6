//! q19: the ten highest bids of each auction in order, after each bid.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q19", plain, suiro };

const RANKS: usize = 10;

/// Of equal bids the first is higher.
fn take(top: &mut Vec<Bid>, bid: Bid) {
    let place = top.partition_point(|other| other.price >= bid.price);
    if place < RANKS {
        top.truncate(RANKS - 1);
        top.insert(place, bid);
    }
}

fn row(top: &[Bid]) -> [u64; 4] {
    let ranks = (1_u64..).zip(top);
    let sum = ranks.fold(0_u64, |sum, (rank, bid)| sum.wrapping_add(rank * bid.price));
    let bidders = top.iter().fold(0_u64, |sum, bid| sum.wrapping_add(bid.bidder));
    [top[0].auction, top.len() as u64, sum, bidders]
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut tops: HashMap<u64, Vec<Bid>> = HashMap::new();
    for bid in events.bids() {
        let top = tops.entry(bid.auction).or_default();
        take(top, bid);
        digest.add(&row(top));
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let tops = events
        .flat_map(Event::bid)
        .key_by(|bid| bid.auction)
        .fold("tops", Vec::new, take)
        .changes();
    drop(tops.inspect(move |_, top: &Option<Vec<Bid>>| {
        top.iter().for_each(|top| sink.add(&row(top)));
    }));
}
