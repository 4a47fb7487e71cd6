//! How bids are counted by rank of price, with everybody and everything counted once (q15 and q16).

use super::event::Bid;
use serde::{Deserialize, Serialize};

/// What counts of a bid.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Offer {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
}

impl Offer {
    /// Below ten thousand, below a million, or above.
    pub fn rank(&self) -> usize {
        usize::from(self.price >= 10_000) + usize::from(self.price >= 1_000_000)
    }
}

impl From<&Bid> for Offer {
    fn from(bid: &Bid) -> Self {
        Self { auction: bid.auction, bidder: bid.bidder, price: bid.price }
    }
}

/// The day of a bid, from 0.
pub fn day(bid: &Bid) -> i64 {
    bid.at / 86_400_000
}

/// Of all bids, and of those of each rank.
type Counts = [u64; 4];

/// The columns of q15.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    bids: Counts,
    bidders: Counts,
    auctions: Counts,
}

impl Figures {
    /// Takes a bid of a rank. Its bidder and its auction were seen with the ranks whose bits are
    /// set.
    pub fn take(&mut self, rank: usize, bidder: u8, auction: u8) {
        self.bids[0] += 1;
        self.bids[1 + rank] += 1;
        for (counts, seen) in [(&mut self.bidders, bidder), (&mut self.auctions, auction)] {
            counts[0] += u64::from(seen == 0);
            counts[1 + rank] += u64::from(seen >> rank & 1 == 0);
        }
    }

    pub fn row(&self) -> [u64; 12] {
        let all = [self.bids, self.bidders, self.auctions];
        std::array::from_fn(|column| all[column / 4][column % 4])
    }
}

/// The ranks with which ids were seen. Ids lie close together, so that sixteen share a word, a
/// digit each; and they come nearly in order, so that new words go near the end of the list.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Seen(Vec<(u64, u64)>);

impl Seen {
    /// Notes an id; gives the ranks with which it was seen before, a bit for each.
    pub fn add(&mut self, id: u64, rank: usize) -> u8 {
        let (number, digit) = (id / 16, id % 16 * 4);
        let place = self.0.partition_point(|(other, _)| *other < number);
        if self.0.get(place).is_none_or(|(other, _)| *other != number) {
            self.0.insert(place, (number, 0));
        }
        let (_, word) = &mut self.0[place];
        let before = *word >> digit & 0xf;
        *word |= 1 << rank << digit;
        before as u8
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Offer, Seen};
    use crate::nexmark::generator::Events;
    use std::collections::BTreeSet;

    /// The rows are those of a sum over sets, after each of some hundred bids.
    #[test]
    fn everybody_counts_once_for_each_rank() {
        let mut figures = Figures::default();
        let (mut bidders, mut auctions) = (Seen::default(), Seen::default());
        let mut offers: Vec<Offer> = Vec::new();
        for bid in Events::new(800).bids() {
            let offer = Offer::from(&bid);
            let rank = offer.rank();
            let bidder = bidders.add(offer.bidder, rank);
            figures.take(rank, bidder, auctions.add(offer.auction, rank));
            offers.push(offer);
            assert_eq!(figures.row(), expected(&offers));
        }
    }

    fn expected(offers: &[Offer]) -> [u64; 12] {
        let ranges = [0..u64::MAX, 0..10_000, 10_000..1_000_000, 1_000_000..u64::MAX];
        let within = ranges.map(|prices| {
            let within = offers.iter().filter(move |offer| prices.contains(&offer.price));
            within.copied().collect::<Vec<Offer>>()
        });
        let bids = within.each_ref().map(|offers| offers.len() as u64);
        let different = |id: fn(&Offer) -> u64| {
            within
                .each_ref()
                .map(|offers| offers.iter().map(id).collect::<BTreeSet<_>>().len() as u64)
        };
        let columns = [bids, different(|it| it.bidder), different(|it| it.auction)];
        columns.concat().try_into().expect("three times four are twelve")
    }
}
