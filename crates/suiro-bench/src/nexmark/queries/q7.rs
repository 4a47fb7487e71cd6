//! q7: the highest bids of every ten seconds.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use std::time::Duration;
use suiro::{Stream, Topology, Tumbling};

pub const QUERY: Query = Query { bench: "nexmark-q7", plain, suiro };

const SIZE: i64 = 10_000;

fn take(highest: &mut Vec<Bid>, bid: Bid) {
    let best = highest.first().map_or(0, |first| first.price);
    if bid.price > best {
        highest.clear();
    }
    if bid.price >= best {
        highest.push(bid);
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    let (mut window, mut highest) = (0, Vec::new());
    let mut send = |highest: &mut Vec<Bid>| {
        highest.drain(..).for_each(|bid| digest.add(&bid.marks()));
    };
    for bid in events.bids() {
        if bid.at / SIZE != window {
            send(&mut highest);
        }
        window = bid.at / SIZE;
        take(&mut highest, bid);
    }
    send(&mut highest);
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let highest = events
        .flat_map(Event::bid)
        .key_by(|_| 0)
        .window(Tumbling::of(Duration::from_millis(SIZE as u64)))
        .fold("highest", Vec::new, take)
        .on_close()
        .flat_map(|window| window.value);
    drop(highest.inspect(move |_, bid| sink.add(&bid.marks())));
}
