//! What is written to the inputs of the joins and of `ad_engagements`, by a seed.

use crate::joins::{Join, STREAM_AND_TABLE, STREAMS, TABLES};
use crate::visits::{ADS, Ad, AdId, CLICKS, Click, UserId, VIEWS, View};
use suiro::{Result, Seed, Transaction};

const MINUTE: i64 = 60_000;

/// Records lag behind, but none is of before the epoch.
const START: i64 = 600 * MINUTE;

/// Time goes on by so much from record to record, so that visits close within seconds.
const STEP: i64 = 2_000;

/// So many users look at ads at a time; after so many records the next one comes for the first.
const USERS: u64 = 12;
const STAYS: u64 = 30;

const ADS_SHOWN: u64 = 8;
const KEYS: u64 = 12;

/// Records of all inputs, one after the other.
pub struct Traffic {
    seed: Seed,
    number: u64,
}

impl Traffic {
    pub fn new(seed: u64) -> Self {
        Self { seed: Seed::new(seed), number: 0 }
    }

    /// Writes the next record.
    pub fn write(&mut self, to: &mut Transaction) -> Result<()> {
        self.number += 1;
        match self.seed.below(32) {
            0 => self.ad(to),
            1..12 => self.touch(to),
            12..20 => self.join(to, STREAMS),
            20..26 => self.join(to, STREAM_AND_TABLE),
            _ => self.join(to, TABLES),
        }
    }

    /// The time of the next record. One in five lags behind by up to `often`, and one in fifty by
    /// up to `seldom`.
    fn time(&mut self, often: i64, seldom: i64) -> i64 {
        let lag = match self.seed.below(50) {
            0 => seldom,
            1..=10 => often,
            _ => 1,
        };
        START + self.number as i64 * STEP - self.seed.below(lag.unsigned_abs()) as i64
    }

    fn ad(&mut self, to: &mut Transaction) -> Result<()> {
        let id = self.seed.below(ADS_SHOWN);
        let ad = Ad { title: format!("ad {id}"), cents: 5 + self.seed.below(40) };
        let ad = (!self.seed.one_in(8)).then_some(ad);
        let at = self.time(MINUTE, 10 * MINUTE);
        to.write(&ADS, &AdId(id as u32), ad.as_ref(), at)
    }

    /// Some come too late for their visits, and some join two of them.
    fn touch(&mut self, to: &mut Transaction) -> Result<()> {
        let user = UserId((self.number / STAYS + self.seed.below(USERS)) as u32 % 1000);
        let ad = AdId(self.seed.below(ADS_SHOWN) as u32 / 2);
        let at = self.time(10 * MINUTE, 120 * MINUTE);
        if self.seed.one_in(4) {
            to.write(&CLICKS, &user, Some(&Click { ad }), at)
        } else {
            to.write(&VIEWS, &user, Some(&View { ad }), at)
        }
    }

    /// A record of either input; tables lose rows, too.
    fn join(&mut self, to: &mut Transaction, join: Join) -> Result<()> {
        let input = self.seed.below(2) as usize;
        let key = format!("key-{}", self.seed.below(KEYS));
        let number = (!join.tables[input] || !self.seed.one_in(4)).then_some(self.number);
        let at = self.time(MINUTE, 10 * MINUTE);
        to.write(&join.input(input), &key, number.as_ref(), at)
    }
}
