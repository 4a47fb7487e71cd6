//! q21: the channel of a bid as a number: from its name, or from its address.

use crate::digest::{Digest, of_bytes};
use crate::nexmark::Query;
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use ecow::EcoString;
use suiro::{Stream, Topology};

pub const QUERY: Query = Query { bench: "nexmark-q21", plain, suiro };

fn channel(bid: &Bid) -> Option<EcoString> {
    match bid.channel.to_lowercase().as_str() {
        "apple" => Some("0".into()),
        "google" => Some("1".into()),
        "facebook" => Some("2".into()),
        "baidu" => Some("3".into()),
        _ => {
            let (_, id) = bid.url.split_once("channel_id=")?;
            Some(id.split('&').next()?.into())
        }
    }
}

fn row(bid: &Bid, channel: &str) -> [u64; 4] {
    [bid.auction, bid.bidder, bid.price, of_bytes(channel.as_bytes())]
}

fn plain(events: &Events, digest: &mut Digest) {
    for bid in events.bids() {
        if let Some(channel) = channel(&bid) {
            digest.add(&row(&bid, &channel));
        }
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let bids = events.flat_map(Event::bid).flat_map(|bid| Some((channel(&bid)?, bid)));
    drop(bids.inspect(move |_, (channel, bid)| sink.add(&row(bid, channel))));
}
