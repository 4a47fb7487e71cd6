//! q9: the winning bid of each auction, after each event of it: the highest while it was open, and
//! of equal ones the first.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Auction, Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q9", plain, suiro };

#[derive(Clone, Default, Serialize, Deserialize)]
struct Lot {
    auction: Option<Box<Auction>>,
    winner: Option<Bid>,
}

impl Lot {
    fn take(&mut self, event: Event) {
        match event {
            Event::Auction(auction) => self.auction = Some(auction),
            Event::Bid(bid) => {
                let open =
                    self.auction.as_ref().is_some_and(|auction| bid.at <= auction.expires);
                if open && self.winner.as_ref().is_none_or(|winner| winner.price < bid.price) {
                    self.winner = Some(bid);
                }
            }
            Event::Person(_) => {}
        }
    }

    fn row(&self) -> Option<[u64; 5]> {
        let (auction, bid) = (self.auction.as_ref()?, self.winner.as_ref()?);
        Some([auction.id, auction.seller, bid.bidder, bid.price, bid.at as u64])
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut lots: HashMap<u64, Lot> = HashMap::new();
    for event in events.iter() {
        let Some(id) = event.lot() else { continue };
        let lot = lots.entry(id).or_default();
        lot.take(event);
        lot.row().iter().for_each(|row| digest.add(row));
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let winners = events
        .flat_map(|event| Some((event.lot()?, event)))
        .rekey(|pair| pair)
        .fold("lots", Lot::default, Lot::take)
        .changes();
    drop(winners.inspect(move |_, lot: &Option<Lot>| {
        lot.as_ref().and_then(Lot::row).iter().for_each(|row| sink.add(row));
    }));
}
