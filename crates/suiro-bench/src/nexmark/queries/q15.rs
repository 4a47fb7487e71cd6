//! q15: the bids of each day, those who bid and what they bid for, all and by rank of price, after
//! each bid.
//!
//! There is one row a day, and so one key. It is large, for it knows everybody; so it is kept by a
//! processor, which changes it in place and sends its figures, where a table would send all of it.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::figures::{Figures, Offer, Seen, day};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{Outcome, OutputOf, Processor, StoreOf, Stream, Topology, Turn};

pub const QUERY: Query = Query { bench: "nexmark-q15", plain, suiro };

/// A day so far.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Day {
    figures: Figures,
    bidders: Seen,
    auctions: Seen,
}

struct Statistics {
    days: StoreOf<Day>,
    rows: OutputOf<Figures>,
}

impl Processor for Statistics {
    type Key = i64;
    type In = Offer;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, offer: Offer) -> Outcome {
        let figures = turn.update(self.days, |day| {
            let (day, rank) = (day.get_or_insert_default(), offer.rank());
            let bidder = day.bidders.add(offer.bidder, rank);
            let auction = day.auctions.add(offer.auction, rank);
            day.figures.take(rank, bidder, auction);
            day.figures.clone()
        });
        turn.send(self.rows, figures);
        Ok(())
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    // By id, with which ranks it was seen: of bidders, and of auctions.
    type Seen = [Vec<u8>; 2];
    let mut days: HashMap<i64, (Figures, Seen)> = HashMap::new();
    for bid in events.bids() {
        let rank = Offer::from(&bid).rank();
        let (figures, [bidders, auctions]) = days.entry(day(&bid)).or_default();
        let [bidder, auction] = [(bidders, bid.bidder), (auctions, bid.auction)].map(|seen| {
            let (all, id) = (seen.0, seen.1 as usize);
            if all.len() <= id {
                all.resize(id + 1, 0);
            }
            let before = all[id];
            all[id] |= 1 << rank;
            before
        });
        figures.take(rank, bidder, auction);
        add(day(&bid), figures, |row| digest.add(row));
    }
}

fn add(day: i64, figures: &Figures, to: impl FnOnce(&[u64])) {
    let mut row = [day as u64; 13];
    row[1..].copy_from_slice(&figures.row());
    to(&row);
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let offers = events.flat_map(Event::bid).rekey(|bid| (day(&bid), Offer::from(&bid)));
    let mut process = offers.process("statistics");
    let days = process.store("days");
    let (rows, sent) = process.output();
    process.with(Statistics { days, rows });
    drop(sent.inspect(move |day, figures| add(*day, figures, |row| sink.add(row))));
}
