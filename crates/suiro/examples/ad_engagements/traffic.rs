//! Views and clicks of users who do not exist, the same for the same seed.

use super::program::{ADS, Ad, AdId, CLICKS, Click, UserId, VIEWS, View};
use std::time::Duration;
use suiro::{Broker, Producer, Reader, Result, Seed, Transaction};

const TITLES: [&str; 6] = ["Bicycles", "Books", "Kettles", "Lamps", "Shoes", "Tea"];
const USERS: u64 = 200;
const MINUTE: u64 = 60_000;

/// Fills a new log with the ads and a day of `touches` views and clicks, in one commit. One in
/// five arrives up to ten minutes late, one in a hundred up to two hours, which is too late for
/// most visits.
pub fn write(log: &dyn Broker, seed: u64, touches: u64, partitions: u32) -> Result<()> {
    Producer::open(log, &ADS)?.create(partitions)?;
    Producer::open(log, &VIEWS)?.create(partitions)?;
    Producer::open(log, &CLICKS)?.create(partitions)?;
    if !Reader::open(log, &ADS)?.follow(Duration::ZERO)?.is_empty() {
        return Ok(());
    }
    let mut seed = Seed::new(seed);
    let mut transaction = Transaction::open(log)?;
    for (id, title) in (0..).zip(TITLES) {
        let ad = Ad { title: title.to_owned(), cents: 5 + seed.below(40) };
        transaction.write(&ADS, &AdId(id), Some(&ad), 0)?;
    }
    let day = 24 * 60 * MINUTE;
    for number in 0..touches {
        let user = UserId(seed.below(USERS) as u32);
        // The first ads are shown more often, and the last are clicked more often.
        let ad = seed.below(TITLES.len() as u64).min(seed.below(TITLES.len() as u64));
        let late = match seed.below(100) {
            0 => seed.below(2 * 60 * MINUTE),
            1..=20 => seed.below(10 * MINUTE),
            _ => 0,
        };
        let at = (number * day / touches).saturating_sub(late) as i64;
        let id = AdId(ad as u32);
        if seed.below(12) < 2 + ad {
            transaction.write(&CLICKS, &user, Some(&Click { ad: id }), at)?;
        } else {
            transaction.write(&VIEWS, &user, Some(&View { ad: id }), at)?;
        }
    }
    transaction.commit()
}
