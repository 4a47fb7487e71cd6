//! Reads anything as batches, records and compressed bytes.
//!
//! Seeds are in `crates/suiro-core/tests/corpus/batch`; the test `codec` runs the same work on
//! them and on changes of them, without nightly.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| suiro_core::batch::fuzz::read_anything(data));
