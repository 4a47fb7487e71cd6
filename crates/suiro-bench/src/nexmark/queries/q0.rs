//! q0: every bid as it is.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q0", plain, suiro };

fn plain(events: &Events, digest: &mut Digest) {
    events.bids().for_each(|bid| digest.add(&bid.marks()));
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let bids = events.flat_map(Event::bid);
    drop(bids.inspect(move |_, bid| sink.add(&bid.marks())));
}
