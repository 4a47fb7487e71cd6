//! q20: bids with their auctions, of category 10: a join of two streams. An auction is kept for
//! ever; a bid that comes before its auction waits for it, and never for long.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Auction, Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use std::time::Duration;
use suiro::{Stream, Topology, Within};

pub const QUERY: Query = Query { bench: "nexmark-q20", plain, suiro };

/// Longer than any run.
const ALWAYS: Duration = Duration::from_secs(365 * 24 * 3600);

/// Longer than a bid can be ahead of its auction.
const AHEAD: Duration = Duration::from_secs(1);

fn is_wanted(auction: &Auction) -> bool {
    auction.category == 10
}

fn row(bid: &Bid, auction: &Auction) -> [u64; 6] {
    let [id, bidder, price, at, length] = bid.marks();
    [id, bidder, price, at, length, auction.seller]
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut auctions: HashMap<u64, Box<Auction>> = HashMap::new();
    let mut bids: HashMap<u64, Vec<Bid>> = HashMap::new();
    for event in events.iter() {
        match event {
            Event::Auction(auction) => {
                let waiting = bids.remove(&auction.id).unwrap_or_default();
                if is_wanted(&auction) {
                    waiting.iter().for_each(|bid| digest.add(&row(bid, &auction)));
                }
                auctions.insert(auction.id, auction);
            }
            Event::Bid(bid) => match auctions.get(&bid.auction) {
                Some(auction) if is_wanted(auction) => digest.add(&row(&bid, auction)),
                Some(_) => {}
                None => bids.entry(bid.auction).or_default().push(bid),
            },
            Event::Person(_) => {}
        }
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let bids = events.clone().flat_map(Event::bid).key_by(|bid| bid.auction);
    let auctions = events
        .flat_map(Event::auction)
        .filter(|auction| is_wanted(auction))
        .key_by(|auction| auction.id);
    let within = Within::of(ALWAYS).after(AHEAD);
    let pairs = bids.join_within("pairs", auctions, within, |bid, auction| row(bid, auction));
    drop(pairs.inspect(move |_, row| sink.add(row)));
}
