//! The events, each a function of its number: of fifty, one is a person, three are auctions and
//! the others bids.

use super::event::{Auction, Bid, Event, Person};
use crate::digest::splitmix;
use ecow::{EcoString, eco_format};
use suiro::Record;

const CYCLE: u64 = 50;
const AUCTIONS: u64 = 3;
/// Events in a millisecond.
const DENSITY: u64 = 100;
/// The first id of a person and of an auction.
const FIRST: u64 = 1_000;
/// Who is active, what is bid for, and how many of either may be named before they are there.
const ACTIVE: u64 = 1_000;
const IN_FLIGHT: u64 = 100;
const LEAD: u64 = 10;
/// One in so many is the favourite of the others.
const HOT: u64 = 100;
const CHANNELS: u64 = 10_000;

/// The time in which as many auctions come as are in flight.
const HORIZON: u64 = IN_FLIGHT * CYCLE / AUCTIONS / DENSITY;

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const FIRST_NAMES: [&str; 8] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie"];
const LAST_NAMES: [&str; 6] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton"];

/// So many events.
pub struct Events {
    count: u64,
    hot_channels: Vec<(EcoString, EcoString)>,
    channels: Vec<(EcoString, EcoString)>,
    /// Letters in no order; what fills an event up is a part of them.
    letters: String,
}

/// Random numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        splitmix(self.0)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// From one to a million dollars; each digit more is as likely as the one before.
    fn price(&mut self) -> u64 {
        let part = self.bits() as f64 / u64::MAX as f64;
        (10_f64.powf(part * 6.0) * 100.0).round() as u64
    }
}

/// The number of the newest person when event `number` comes, from 0.
fn newest_person(number: u64) -> u64 {
    number / CYCLE
}

/// The same of auctions; before there is one, the first.
fn newest_auction(number: u64) -> u64 {
    let (cycle, place) = (number / CYCLE, number % CYCLE);
    match place {
        0 => (cycle * AUCTIONS).saturating_sub(1),
        _ => cycle * AUCTIONS + (place - 1).min(AUCTIONS - 1),
    }
}

fn hot(newest: u64) -> u64 {
    FIRST + newest / HOT * HOT
}

fn active_person(number: u64, random: &mut Random) -> u64 {
    let there = newest_person(number) + 1;
    let active = there.min(ACTIVE);
    FIRST + there - active + random.below(active + LEAD)
}

impl Events {
    pub fn new(count: u64) -> Self {
        let mut random = Random(1);
        let letters = (0..8_192).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        let mut url = |id: Option<u64>| {
            let mut url = EcoString::from("https://www.nexmark.com/");
            for _ in 0..3 {
                (0..5).for_each(|_| url.push(char::from(b'a' + random.below(26) as u8)));
                url.push('/');
            }
            url.push_str("item.htm?query=1");
            if let Some(id) = id {
                url.push_str(&eco_format!("&channel_id={id}"));
            }
            url
        };
        let hot_channels =
            HOT_CHANNELS.iter().map(|name| ((*name).into(), url(None))).collect();
        let channels = (0..CHANNELS)
            .map(|id| (eco_format!("channel-{id}"), url((id % 10 != 0).then_some(id))))
            .collect();
        Self { count, hot_channels, channels, letters }
    }

    pub fn iter(&self) -> impl Iterator<Item = Event> {
        (0..self.count).map(|number| self.at(number))
    }

    pub fn bids(&self) -> impl Iterator<Item = Bid> {
        self.iter().filter_map(Event::bid)
    }

    /// Event `number` as a record; `None` behind the last.
    pub fn record(&self, number: u64) -> Option<Record<u64, Event>> {
        let at = (number / DENSITY) as i64;
        (number < self.count).then(|| Record::new(number, self.at(number), at))
    }

    fn at(&self, number: u64) -> Event {
        let at = (number / DENSITY) as i64;
        let random = &mut Random(number.wrapping_mul(0x0005_DEEC_E66D).wrapping_add(11));
        match number % CYCLE {
            0 => Event::Person(Box::new(self.person(number, at, random))),
            1..=AUCTIONS => Event::Auction(Box::new(self.auction(number, at, random))),
            _ => Event::Bid(self.bid(number, at, random)),
        }
    }

    fn person(&self, number: u64, at: i64, random: &mut Random) -> Person {
        let (first, last) = (random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        let digits = random.below(10_000_000_000_000_000);
        Person {
            id: FIRST + newest_person(number),
            name: eco_format!("{first} {last}"),
            email: eco_format!("{}@{}.com", self.text(7, random), self.text(5, random)),
            credit_card: eco_format!("{digits:016}"),
            city: (*random.pick(&CITIES)).into(),
            state: (*random.pick(&STATES)).into(),
            at,
            extra: self.padding(130, random),
        }
    }

    fn auction(&self, number: u64, at: i64, random: &mut Random) -> Auction {
        let newest = newest_person(number);
        let seller = match random.below(4) {
            0 => active_person(number, random),
            _ => hot(newest),
        };
        let initial_bid = random.price();
        Auction {
            id: FIRST + newest_auction(number),
            item: self.text(20, random).into(),
            description: self.text(100, random).into(),
            initial_bid,
            reserve: initial_bid + random.price(),
            at,
            expires: at + 1 + random.below(2 * HORIZON) as i64,
            seller,
            category: 10 + random.below(5),
            extra: self.padding(320, random),
        }
    }

    fn bid(&self, number: u64, at: i64, random: &mut Random) -> Bid {
        let newest = newest_auction(number);
        let auction = match random.below(2) {
            0 => hot(newest),
            _ => {
                let oldest = newest.saturating_sub(IN_FLIGHT);
                FIRST + oldest + random.below(newest - oldest + 1 + LEAD)
            }
        };
        let bidder = match random.below(4) {
            0 => active_person(number, random),
            _ => hot(newest_person(number)) + 1,
        };
        let channels = if random.below(2) == 0 { &self.hot_channels } else { &self.channels };
        let (channel, url) = random.pick(channels).clone();
        let (price, extra) = (random.price(), self.padding(68, random));
        Bid { auction, bidder, price, channel, url, at, extra }
    }

    /// Some of the letters.
    fn text(&self, length: usize, random: &mut Random) -> &str {
        let from = random.below((self.letters.len() - length) as u64) as usize;
        &self.letters[from..from + length]
    }

    /// About so many of them, a fifth more or less.
    fn padding(&self, length: usize, random: &mut Random) -> EcoString {
        let fifth = length / 5;
        let length = length - fifth + random.below(2 * fifth as u64) as usize;
        self.text(length, random).into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Events, FIRST};
    use std::collections::BTreeSet;

    /// Ids follow each other, and nobody bids for what is not nearly there.
    #[test]
    fn ids_follow_each_other() {
        let (mut persons, mut auctions, mut bids) = (FIRST, FIRST, 0);
        let mut bidders = BTreeSet::new();
        for event in Events::new(50_000).iter() {
            match event {
                Event::Person(person) => {
                    assert_eq!(person.id, persons);
                    persons += 1;
                }
                Event::Auction(auction) => {
                    assert_eq!(auction.id, auctions);
                    assert!(auction.expires > auction.at && auction.seller < persons + 10);
                    auctions += 1;
                }
                Event::Bid(bid) => {
                    assert!(bid.auction < auctions + 10, "{} of {auctions}", bid.auction);
                    assert!((100..=100_000_000).contains(&bid.price));
                    bidders.insert(bid.bidder);
                    bids += 1;
                }
            }
        }
        assert_eq!((persons, auctions, bids), (FIRST + 1_000, FIRST + 3_000, 46_000));
        assert!(bidders.len() > 500);
    }
}
