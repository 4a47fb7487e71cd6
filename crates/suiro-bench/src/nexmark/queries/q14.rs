//! q14: bids between two prices, with the time of day in words and how many letters c they have.

use crate::digest::Digest;
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q14", plain, suiro };

/// When a bid came.
#[derive(Clone, Copy)]
enum Time {
    Day,
    Night,
    Other,
}

#[derive(Clone)]
struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    time: Time,
    at: i64,
    letters: u64,
}

/// The price in thousandths of a cent.
fn price(bid: &Bid) -> u64 {
    bid.price * 908
}

fn is_wanted(bid: &Bid) -> bool {
    (1_000_000_001..50_000_000_000).contains(&price(bid))
}

fn row(bid: &Bid) -> Row {
    let time = match bid.at / 3_600_000 % 24 {
        8..=18 => Time::Day,
        0..=6 | 20..=23 => Time::Night,
        _ => Time::Other,
    };
    let letters = bid.extra.bytes().filter(|byte| *byte == b'c').count() as u64;
    let (auction, bidder, at) = (bid.auction, bid.bidder, bid.at);
    Row { auction, bidder, price: price(bid), time, at, letters }
}

fn marks(row: &Row) -> [u64; 6] {
    [row.auction, row.bidder, row.price, row.time as u64, row.at as u64, row.letters]
}

fn plain(events: &Events, digest: &mut Digest) {
    let wanted = events.bids().filter(is_wanted);
    wanted.for_each(|bid| digest.add(&marks(&row(&bid))));
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let rows = events.flat_map(Event::bid).filter(is_wanted).map(|bid| row(&bid));
    drop(rows.inspect(move |_, row| sink.add(&marks(row))));
}
