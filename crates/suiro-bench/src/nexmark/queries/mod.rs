//! The queries, one file each.

mod q0;
mod q1;
mod q11;
mod q13;
mod q14;
mod q15;
mod q16;
mod q17;
mod q18;
mod q19;
mod q2;
mod q20;
mod q21;
mod q22;
mod q3;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;
mod q9;

use super::Query;

pub const ALL: &[Query] = &[
    q0::QUERY,
    q1::QUERY,
    q2::QUERY,
    q3::QUERY,
    q4::QUERY,
    q5::QUERY,
    q6::QUERY,
    q7::QUERY,
    q8::QUERY,
    q9::QUERY,
    q11::QUERY,
    q13::QUERY,
    q14::QUERY,
    q15::QUERY,
    q16::QUERY,
    q17::QUERY,
    q18::QUERY,
    q19::QUERY,
    q20::QUERY,
    q21::QUERY,
    q22::QUERY,
];
