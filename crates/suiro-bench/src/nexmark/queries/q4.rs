//! q4: the average of the winning prices of each category, after each bid.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q4", plain, suiro };

/// What is known of an auction.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Lot {
    category: u64,
    /// None before the auction has begun.
    expires: Option<i64>,
    best: Option<u64>,
}

impl Lot {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Auction(auction) => {
                (self.category, self.expires) = (auction.category, Some(auction.expires));
            }
            Event::Bid(bid) if self.expires.is_some_and(|end| bid.at <= end) => {
                self.best = self.best.max(Some(bid.price));
            }
            _ => {}
        }
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut lots: HashMap<u64, Lot> = HashMap::new();
    let mut averages: HashMap<u64, (u64, u64)> = HashMap::new();
    for event in events.iter() {
        let Some(id) = event.lot() else { continue };
        let lot = lots.entry(id).or_default();
        let before = lot.best;
        lot.take(&event);
        let Some(best) = lot.best else { continue };
        let (sum, count) = averages.entry(lot.category).or_default();
        *sum += best - before.unwrap_or(0);
        *count += u64::from(before.is_none());
        digest.add(&[lot.category, *sum / *count]);
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let averages = events
        .flat_map(|event| Some((event.lot()?, event)))
        .rekey(|lot| lot)
        .fold("lots", Lot::default, |lot, event| lot.take(&event))
        .filter(|lot| lot.best.is_some())
        .group_by(|lot| lot.category)
        .fold(
            "averages",
            || (0, 0),
            |(sum, count), lot| (*sum, *count) = (*sum + lot.best.unwrap_or(0), *count + 1),
            |(sum, count), lot| (*sum, *count) = (*sum - lot.best.unwrap_or(0), *count - 1),
        )
        .changes();
    drop(averages.inspect(move |category, average: &Option<(u64, u64)>| {
        if let Some((sum, count)) = average {
            sink.add(&[*category, sum / count]);
        }
    }));
}
