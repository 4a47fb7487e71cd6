//! q6: what the last ten auctions of each seller brought on average, after each that closes.
//!
//! The query is written for SQL, and Flink cannot run it: it closes no auction, so that a better
//! bid takes a price back, and a window over rows takes nothing back. It is read here as it is
//! meant. An auction closes when event time has passed its `expires`; those that close at one
//! time do so in order of the bytes of their keys (rule R2); it brought its highest bid, and one
//! without a bid is not sold. Ten are the last and the nine before it.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use ecow::{EcoString, eco_format};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use suiro::{Outcome, OutputOf, Processor, StoreOf, Stream, Timestamp, Topology, Turn};

pub const QUERY: Query = Query { bench: "nexmark-q6", plain, suiro };

const LAST: usize = 10;

/// What is told of an auction.
#[derive(Clone, Serialize, Deserialize)]
enum News {
    Opened { seller: u64, expires: i64 },
    Bid { price: u64 },
}

/// An open auction.
#[derive(Clone, Serialize, Deserialize)]
struct Lot {
    seller: u64,
    best: Option<u64>,
}

/// Somebody has sold something.
#[derive(Clone, Serialize, Deserialize)]
struct Sale {
    seller: u64,
    price: u64,
}

/// Closes auctions.
struct Closing {
    lots: StoreOf<Lot>,
    sales: OutputOf<Sale>,
}

impl Processor for Closing {
    type Key = u64;
    type In = News;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, news: News) -> Outcome {
        match news {
            News::Opened { seller, expires } => {
                turn.put(self.lots, Lot { seller, best: None });
                // A timer fires before what comes at its time, and that is still a bid.
                turn.set_timer((), Timestamp::from_millis(expires + 1));
            }
            News::Bid { price } => {
                let higher = turn.get(self.lots).filter(|lot| lot.best < Some(price));
                if let Some(Lot { seller, .. }) = higher.cloned() {
                    turn.put(self.lots, Lot { seller, best: Some(price) });
                }
            }
        }
        Ok(())
    }

    fn on_timer(&self, turn: &mut Turn<'_, Self>, _: ()) -> Outcome {
        if let Some(Lot { seller, best: Some(price) }) = turn.remove(self.lots) {
            turn.send(self.sales, Sale { seller, price });
        }
        Ok(())
    }
}

fn take(last: &mut VecDeque<u64>, price: u64) {
    if last.len() == LAST {
        last.pop_front();
    }
    last.push_back(price);
}

fn row(seller: u64, last: &VecDeque<u64>) -> [u64; 2] {
    [seller, last.iter().sum::<u64>() / last.len() as u64]
}

/// What the loop knows.
#[derive(Default)]
struct House {
    open: HashMap<u64, Lot>,
    /// Open auctions, in the order in which they close.
    due: BTreeSet<(i64, EcoString, u64)>,
    sellers: HashMap<u64, VecDeque<u64>>,
}

impl House {
    /// Closes what is due before a time.
    fn close(&mut self, time: i64, digest: &mut Digest) {
        while self.due.first().is_some_and(|(expires, ..)| *expires < time) {
            let Some((_, _, id)) = self.due.pop_first() else { return };
            if let Some(Lot { seller, best: Some(price) }) = self.open.remove(&id) {
                let last = self.sellers.entry(seller).or_default();
                take(last, price);
                digest.add(&row(seller, last));
            }
        }
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut house = House::default();
    for event in events.iter() {
        match event {
            Event::Auction(it) => {
                house.close(it.at, digest);
                house.open.insert(it.id, Lot { seller: it.seller, best: None });
                house.due.insert((it.expires, eco_format!("{}", it.id), it.id));
            }
            Event::Bid(bid) => {
                house.close(bid.at, digest);
                if let Some(lot) = house.open.get_mut(&bid.auction) {
                    lot.best = lot.best.max(Some(bid.price));
                }
            }
            Event::Person(_) => {}
        }
    }
    house.close(i64::MAX, digest);
}

fn news(event: Event) -> Option<(u64, News)> {
    match event {
        Event::Auction(it) => {
            let (seller, expires) = (it.seller, it.expires);
            Some((it.id, News::Opened { seller, expires }))
        }
        Event::Bid(bid) => Some((bid.auction, News::Bid { price: bid.price })),
        Event::Person(_) => None,
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let mut process = events.flat_map(news).rekey(|news| news).process("closing");
    let lots = process.store("lots");
    let (sales, sold) = process.output();
    process.with(Closing { lots, sales });
    let averages = sold
        .rekey(|sale| (sale.seller, sale.price))
        .fold("last", VecDeque::new, take)
        .changes();
    drop(averages.inspect(move |seller, last: &Option<VecDeque<u64>>| {
        last.iter().for_each(|last| sink.add(&row(*seller, last)));
    }));
}
