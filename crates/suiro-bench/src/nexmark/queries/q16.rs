//! q16: as q15 for each channel and day, with the minute of the last bid, after each bid.
//!
//! Half of the bids are in four channels, the others in ten thousand: what a channel knows of whom
//! must be small where little comes.

use crate::digest::{Digest, of_bytes};
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::figures::{Figures, Offer, Seen, day};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use ecow::EcoString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use suiro::{Outcome, OutputOf, Processor, StoreOf, Stream, Topology, Turn};

pub const QUERY: Query = Query { bench: "nexmark-q16", plain, suiro };

/// A channel and a day.
type ChannelDay = (EcoString, i64);

/// The bids of a channel on a day so far.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Channel {
    figures: Figures,
    minute: i64,
    bidders: Seen,
    auctions: Seen,
}

/// The minute of a day, from 0.
fn minute(at: i64) -> i64 {
    at / 60_000 % 1_440
}

struct Statistics {
    channels: StoreOf<Channel>,
    rows: OutputOf<(i64, Figures)>,
}

impl Processor for Statistics {
    type Key = ChannelDay;
    type In = Offer;
    type Timer = ();

    fn on_record(&self, turn: &mut Turn<'_, Self>, offer: Offer) -> Outcome {
        let minute = minute(turn.at().as_millis());
        let row = turn.update(self.channels, |channel| {
            let (channel, rank) = (channel.get_or_insert_default(), offer.rank());
            let bidder = channel.bidders.add(offer.bidder, rank);
            let auction = channel.auctions.add(offer.auction, rank);
            channel.figures.take(rank, bidder, auction);
            channel.minute = channel.minute.max(minute);
            (channel.minute, channel.figures.clone())
        });
        turn.send(self.rows, row);
        Ok(())
    }
}

/// What the loop knows of a channel.
#[derive(Default)]
struct Plain {
    figures: Figures,
    minute: i64,
    /// The ranks with which bidders were seen, and auctions.
    seen: [HashMap<u64, u8>; 2],
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut channels: HashMap<ChannelDay, Plain> = HashMap::new();
    for Bid { channel, bidder, auction, price, at, .. } in events.bids() {
        let offer = Offer { auction, bidder, price };
        let place = (channel, at / 86_400_000);
        let Plain { figures, minute: last, seen } = channels.entry(place.clone()).or_default();
        let [bidders, auctions] = seen;
        let [bidder, auction] = [(bidders, bidder), (auctions, auction)].map(|(seen, id)| {
            let ranks = seen.entry(id).or_default();
            std::mem::replace(ranks, *ranks | 1 << offer.rank())
        });
        figures.take(offer.rank(), bidder, auction);
        *last = minute(at).max(*last);
        add(&place, *last, figures, |row| digest.add(row));
    }
}

fn add((channel, day): &ChannelDay, minute: i64, figures: &Figures, to: impl FnOnce(&[u64])) {
    let mut row = [0; 15];
    row[..3].copy_from_slice(&[of_bytes(channel.as_bytes()), *day as u64, minute as u64]);
    row[3..].copy_from_slice(&figures.row());
    to(&row);
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let offers = events.flat_map(Event::bid).rekey(|bid| {
        let offer = Offer::from(&bid);
        ((bid.channel.clone(), day(&bid)), offer)
    });
    let mut process = offers.process("statistics");
    let channels = process.store("channels");
    let (rows, sent) = process.output();
    process.with(Statistics { channels, rows });
    drop(sent.inspect(move |place, (minute, figures)| {
        add(place, *minute, figures, |row| sink.add(row));
    }));
}
