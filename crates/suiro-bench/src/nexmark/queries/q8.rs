//! q8: who came and opened an auction in the same ten seconds.

use crate::digest::{Digest, of_bytes};
use crate::nexmark::Query;
use crate::nexmark::event::Event;
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use ecow::EcoString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use suiro::{Stream, Topology, Tumbling};

pub const QUERY: Query = Query { bench: "nexmark-q8", plain, suiro };

const SIZE: i64 = 10_000;

/// What is known of a person in a window.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Newcomer {
    name: Option<EcoString>,
    sells: bool,
}

impl Newcomer {
    /// What there is to tell, if both have happened.
    fn row(&self, id: u64, start: i64) -> Option<[u64; 3]> {
        let name = self.name.as_ref().filter(|_| self.sells)?;
        Some([id, of_bytes(name.as_bytes()), start as u64])
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Person(person) => self.name = Some(person.name),
            Event::Auction(_) => self.sells = true,
            Event::Bid(_) => {}
        }
    }
}

/// Whom a person's or a seller's event is about.
fn who(event: &Event) -> Option<u64> {
    match event {
        Event::Person(person) => Some(person.id),
        Event::Auction(auction) => Some(auction.seller),
        Event::Bid(_) => None,
    }
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut window = 0;
    let mut persons: HashMap<u64, Newcomer> = HashMap::new();
    let mut send = |persons: &mut HashMap<u64, Newcomer>, window: i64| {
        for (id, newcomer) in persons.drain() {
            newcomer.row(id, window * SIZE).iter().for_each(|row| digest.add(row));
        }
    };
    for event in events.iter() {
        let at = match &event {
            Event::Person(person) => person.at,
            Event::Auction(auction) => auction.at,
            Event::Bid(_) => continue,
        };
        if at / SIZE != window {
            send(&mut persons, window);
        }
        window = at / SIZE;
        if let Some(id) = who(&event) {
            persons.entry(id).or_default().take(event);
        }
    }
    send(&mut persons, window);
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let newcomers = events
        .flat_map(|event| Some((who(&event)?, event)))
        .rekey(|pair| pair)
        .window(Tumbling::of(Duration::from_millis(SIZE as u64)))
        .fold("newcomers", Newcomer::default, Newcomer::take)
        .on_close()
        .map_with_key(|id, window| window.value.row(*id, window.start.as_millis()))
        .flat_map(|row| row);
    drop(newcomers.inspect(move |_, row| sink.add(row)));
}
