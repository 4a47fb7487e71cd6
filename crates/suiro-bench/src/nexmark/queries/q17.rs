//! q17: figures of each auction and day, after each bid.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q17", plain, suiro };

#[derive(Clone, Default, Serialize, Deserialize)]
struct Figures {
    bids: u64,
    /// Bids below ten thousand, below a million, and above.
    ranks: [u64; 3],
    least: u64,
    most: u64,
    sum: u64,
}

impl Figures {
    fn take(&mut self, price: u64) {
        self.least = if self.bids == 0 { price } else { self.least.min(price) };
        self.most = self.most.max(price);
        self.bids += 1;
        self.sum += price;
        let rank = usize::from(price >= 10_000) + usize::from(price >= 1_000_000);
        self.ranks[rank] += 1;
    }

    fn row(&self, (auction, day): (u64, i64)) -> [u64; 10] {
        let [low, middle, high] = self.ranks;
        let average = self.sum / self.bids;
        let prices = [self.least, self.most, average, self.sum];
        let [least, most, average, sum] = prices;
        [auction, day as u64, self.bids, low, middle, high, least, most, average, sum]
    }
}

fn key(bid: &Bid) -> (u64, i64) {
    (bid.auction, bid.at / 86_400_000)
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut all: HashMap<(u64, i64), Figures> = HashMap::new();
    for bid in events.bids() {
        let figures = all.entry(key(&bid)).or_default();
        figures.take(bid.price);
        digest.add(&figures.row(key(&bid)));
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let figures = events
        .flat_map(Event::bid)
        .rekey(|bid| (key(&bid), bid.price))
        .fold("figures", Figures::default, Figures::take)
        .changes();
    drop(figures.inspect(move |key, figures: &Option<Figures>| {
        if let Some(figures) = figures {
            sink.add(&figures.row(*key));
        }
    }));
}
