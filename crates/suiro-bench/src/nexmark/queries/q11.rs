//! q11: how often somebody bids before they pause for ten seconds.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use std::time::Duration;
use suiro::{Sessions, Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q11", plain, suiro };

const GAP: i64 = 10_000;

fn plain(events: &Events, digest: &mut Digest) {
    // The first and the last bid, and how many.
    let mut open: HashMap<u64, (i64, i64, u64)> = HashMap::new();
    for bid in events.bids() {
        let (first, last, bids) = open.entry(bid.bidder).or_insert((bid.at, bid.at, 0));
        if bid.at > *last + GAP {
            digest.add(&[bid.bidder, *first as u64, *last as u64, *bids]);
            (*first, *bids) = (bid.at, 0);
        }
        (*last, *bids) = (bid.at, *bids + 1);
    }
    for (bidder, (first, last, bids)) in open {
        digest.add(&[bidder, first as u64, last as u64, bids]);
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let sessions = events
        .flat_map(Event::bid)
        .rekey(|bid| (bid.bidder, ()))
        .window(Sessions::with_gap(Duration::from_millis(GAP as u64)))
        .count("bids")
        .on_close();
    drop(sessions.inspect(move |bidder, session| {
        let [first, last] = [session.start, session.end].map(|time| time.as_millis() as u64);
        sink.add(&[*bidder, first, last, session.value]);
    }));
}
