//! q3: who sells something of category 10 in three of the states: a join of two streams without
//! an end. A seller may be named before they come.

use crate::digest::{Digest, of_bytes};
use crate::nexmark::Query;
use crate::nexmark::event::{Auction, Event, Person};
use crate::nexmark::generator::Events;
use crate::nexmark::sink::Sink;
use hashbrown::HashMap;
use std::time::Duration;
use suiro::{Stream, Topology, Within};

pub const QUERY: Query = Query { bench: "nexmark-q3", plain, suiro };

/// Longer than any run: what has come once stays.
const ALWAYS: Duration = Duration::from_secs(365 * 24 * 3600);

fn is_wanted(auction: &Auction) -> bool {
    auction.category == 10
}

fn is_near(person: &Person) -> bool {
    ["OR", "ID", "CA"].contains(&person.state.as_str())
}

fn row(person: &Person, auction: u64) -> [u64; 4] {
    let [name, city, state] =
        [&person.name, &person.city, &person.state].map(|text| of_bytes(text.as_bytes()));
    [name, city, state, auction]
}

fn plain(events: &Events, digest: &mut Digest) {
    let mut persons: HashMap<u64, Box<Person>> = HashMap::new();
    let mut auctions: HashMap<u64, Vec<u64>> = HashMap::new();
    for event in events.iter() {
        match event {
            Event::Person(person) if is_near(&person) => {
                let waiting = auctions.get(&person.id).into_iter().flatten();
                waiting.for_each(|auction| digest.add(&row(&person, *auction)));
                persons.insert(person.id, person);
            }
            Event::Auction(auction) if is_wanted(&auction) => {
                if let Some(person) = persons.get(&auction.seller) {
                    digest.add(&row(person, auction.id));
                }
                auctions.entry(auction.seller).or_default().push(auction.id);
            }
            _ => {}
        }
    }
}

fn suiro(_: &Topology, events: Stream<u64, Event>, sink: Sink) {
    let persons = events
        .clone()
        .flat_map(Event::person)
        .filter(|person| is_near(person))
        .key_by(|person| person.id);
    let auctions = events
        .flat_map(Event::auction)
        .filter(|auction| is_wanted(auction))
        .rekey(|auction| (auction.seller, auction.id));
    let sellers =
        auctions.join_within("sellers", persons, Within::of(ALWAYS), |auction, person| {
            row(person, *auction)
        });
    drop(sellers.inspect(move |_, row| sink.add(row)));
}
