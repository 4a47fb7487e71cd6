//! What happens in the auction house.

use ecow::EcoString;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub enum Event {
    /// Persons and auctions are few and wide, and stand apart so that bids lie close together.
    Person(Box<Person>),
    Auction(Box<Auction>),
    Bid(Bid),
}

/// Somebody who sells and bids has come.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub name: EcoString,
    pub email: EcoString,
    pub credit_card: EcoString,
    pub city: EcoString,
    pub state: EcoString,
    /// Milliseconds, here and elsewhere.
    pub at: i64,
    pub extra: EcoString,
}

/// Something is for sale.
#[derive(Clone, Serialize, Deserialize)]
pub struct Auction {
    pub id: u64,
    pub item: EcoString,
    pub description: EcoString,
    /// In cents, here and elsewhere.
    pub initial_bid: u64,
    pub reserve: u64,
    pub at: i64,
    pub expires: i64,
    pub seller: u64,
    pub category: u64,
    pub extra: EcoString,
}

/// Somebody offers a price.
#[derive(Clone, Serialize, Deserialize)]
pub struct Bid {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
    pub channel: EcoString,
    pub url: EcoString,
    pub at: i64,
    pub extra: EcoString,
}

impl Event {
    pub fn person(self) -> Option<Box<Person>> {
        match self {
            Self::Person(person) => Some(person),
            _ => None,
        }
    }

    pub fn auction(self) -> Option<Box<Auction>> {
        match self {
            Self::Auction(auction) => Some(auction),
            _ => None,
        }
    }

    pub fn bid(self) -> Option<Bid> {
        match self {
            Self::Bid(bid) => Some(bid),
            _ => None,
        }
    }

    /// The auction that an event is about, if it is about one.
    pub fn lot(&self) -> Option<u64> {
        match self {
            Self::Person(_) => None,
            Self::Auction(auction) => Some(auction.id),
            Self::Bid(bid) => Some(bid.auction),
        }
    }
}

impl Bid {
    /// What says in a digest which bid it is.
    pub fn marks(&self) -> [u64; 5] {
        [self.auction, self.bidder, self.price, self.at as u64, self.extra.len() as u64]
    }
}
