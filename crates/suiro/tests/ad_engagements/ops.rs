//! What may happen to the program: records of all three topics, crashes and ends.

use super::program::{Ad, AdId, Touch, UserId};
use proptest::prelude::*;
use suiro::Seed;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Op {
    /// A view or a click, at a time.
    Touch(UserId, Touch, i64),
    /// An ad, or its removal, at a time.
    Ad(AdId, Option<Ad>, i64),
    /// The program takes what there is.
    Run,
    /// The program dies without a commit, and comes back.
    Crash,
    /// The program runs to the end of its input, and comes back.
    Finish,
}

/// An op without its time: what, who, which ad, how many minutes the clock goes on before it, by
/// how many minutes it lags behind the clock, and a millisecond more or not.
pub type Raw = (u32, u32, u32, i64, i64, i64);

/// Any op; the clock goes on by less than a gap most of the time.
pub fn any() -> impl Strategy<Value = Raw> {
    let step = prop_oneof![3 => 0..8_i64, 1 => 25..40_i64];
    let lag = prop_oneof![3 => Just(0_i64), 2 => 0..36_i64, 1 => 30..80_i64];
    (0..40_u32, 0..12_u32, 0..4_u32, step, lag, 0..2_i64)
}

/// Gives each op its time.
pub fn timed(ops: Vec<Raw>) -> Vec<Op> {
    let mut clock = 0;
    let timed = ops.into_iter().map(|(what, user, ad, step, lag, more)| {
        clock += step;
        let at = (clock - lag).max(0) * 60_000 + more;
        let (user, ad) = (UserId(user), AdId(ad));
        match what {
            0..16 => Op::Touch(user, Touch::Viewed(ad), at),
            16..31 => Op::Touch(user, Touch::Clicked(ad), at),
            31..34 => {
                let title = format!("ad {}", ad.0);
                Op::Ad(ad, Some(Ad { title, cents: 1 + at as u64 % 97 }), at)
            }
            34 => Op::Ad(ad, None, at),
            35..37 => Op::Run,
            37..39 => Op::Crash,
            _ => Op::Finish,
        }
    });
    timed.collect()
}

/// `count` ops of a seed, with few users, so that sessions grow and merge.
pub fn many_ops(seed: u64, count: usize) -> Vec<Op> {
    let mut seed = Seed::new(seed);
    let ops = (0..count).map(|_| {
        let step = if seed.one_in(8) { 20 + seed.below(20) } else { seed.below(6) };
        let lag = if seed.one_in(2) { seed.below(60) } else { 0 };
        let (what, user, ad) =
            (seed.below(40) as u32, seed.below(4) as u32, seed.below(3) as u32);
        (what, user, ad, step as i64, lag as i64, seed.below(2) as i64)
    });
    timed(ops.collect())
}
