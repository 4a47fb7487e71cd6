//! How many different values there are, nearly: HyperLogLog.

use crate::Key;
use bytes::Bytes;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;

/// The binary logarithm of the number of registers.
const PRECISION: u8 = 12;

/// A byte for each register: half of it would do, but is several times slower to merge.
const KIND: HllType = HllType::Hll8;

/// What is known of a set of values. A clone shares it until one of the two changes.
#[derive(Clone)]
pub(crate) struct Distinct(Arc<HllSketch>);

impl Distinct {
    pub(crate) fn new() -> Self {
        let sketch = HllSketch::new(PRECISION, KIND);
        Self(Arc::new(sketch.expect("the precision is one that there is")))
    }

    pub(crate) fn add<D: Key>(&mut self, value: &D) {
        let coupon = Coupon::from_value(Encoded(value));
        Arc::make_mut(&mut self.0).update_with_coupon(coupon);
    }

    pub(crate) fn merge(&mut self, more: Self) {
        let union = HllUnion::new(PRECISION);
        let mut union = union.expect("the precision is one that there is");
        union.update(&self.0);
        union.update(&more.0);
        self.0 = Arc::new(union.to_sketch(KIND));
    }

    /// By the estimator that depends on nothing but the set of values.
    pub(crate) fn estimate(&self) -> u64 {
        self.0.composite_estimate().round() as u64
    }
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.serialize())
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let sketch = HllSketch::deserialize(&bytes).map_err(D::Error::custom)?;
        let is_ours = sketch.lg_config_k() == PRECISION && sketch.target_type() == KIND;
        is_ours
            .then(|| Self(Arc::new(sketch)))
            .ok_or_else(|| D::Error::custom("the sketch has another precision"))
    }
}

/// A value that is hashed as it is written: `Hash` of the standard library may differ from one
/// version of the compiler to the next, and from machine to machine.
struct Encoded<'a, D>(&'a D);

impl<D: Key> Hash for Encoded<'_, D> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut writer = rmp_serde::Serializer::new(Written(state));
        if let Err(error) = self.0.serialize(&mut writer) {
            // As whatever fails in a fold it is for the policy.
            panic!("a value that is to be counted cannot be written: {error}");
        }
    }
}

/// A hasher to which can be written.
struct Written<'a, H>(&'a mut H);

impl<H: Hasher> io::Write for Written<'_, H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: impl IntoIterator<Item = u64>) -> Distinct {
        let mut sketch = Distinct::new();
        values.into_iter().for_each(|value| sketch.add(&value));
        sketch
    }

    fn mix(value: u64) -> u64 {
        value.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (value >> 7)
    }

    /// How far an estimate is from the truth, as a part of it.
    fn error(of: u64, values: impl IntoIterator<Item = u64>) -> f64 {
        (sketch(values).estimate() as f64 - of as f64) / of as f64
    }

    #[test]
    fn few_values_are_counted_exactly() {
        for count in 0..=380 {
            for seed in 0..8 {
                let values = (0..count).map(|value| mix(value + seed * 1_000_000));
                assert_eq!(sketch(values).estimate(), count, "seed {seed}");
            }
        }
    }

    /// The bound that the documentation states. Values come again and again, the small ones far
    /// more often.
    #[test]
    fn estimates_of_skewed_values_are_as_near_as_is_said() {
        let mut squares = Vec::new();
        for seed in 1..=60_u64 {
            for count in [400, 1_000, 4_000, 10_000, 20_000] {
                let repeats = (0..count).map(|rank| rank * rank / count);
                let values = (0..count).chain(repeats).map(|value| mix(value + (seed << 40)));
                let error = error(count, values);
                assert!(error.abs() < 4.0 * 0.0163, "{count} values, seed {seed}: {error}");
                squares.push(error * error);
            }
        }
        let standard = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!(standard < 0.0163, "the standard error is {standard}");
    }

    #[test]
    fn nothing_depends_on_an_order_or_on_what_is_merged() {
        for count in [5, 40, 380, 400, 5_000, 30_000] {
            let all = sketch((0..count).map(mix));
            assert_eq!(sketch((0..count).rev().map(mix)).estimate(), all.estimate());
            for parts in [2, 3, 17] {
                // Neighbours are in several parts.
                let part = |part| {
                    sketch(
                        (0..count).filter(move |it| it % parts == part || it % 7 == 0).map(mix),
                    )
                };
                let forwards = (0..parts).map(part).reduce(|mut all, more| {
                    all.merge(more);
                    all
                });
                let backwards = (0..parts).map(part).reduce(|all, mut more| {
                    more.merge(all);
                    more
                });
                for merged in [forwards, backwards].into_iter().flatten() {
                    assert_eq!(merged.estimate(), all.estimate(), "{count} in {parts}");
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for count in [0, 3, 100, 380, 5_000] {
            let mut written = sketch((0..count).map(mix));
            let bytes = rmp_serde::to_vec(&written).expect("bytes can be written");
            let mut read: Distinct = rmp_serde::from_slice(&bytes).expect("it was written");
            assert_eq!(read.estimate(), written.estimate());
            for value in 0..1_000 {
                written.add(&value);
                read.add(&value);
                assert_eq!(read.estimate(), written.estimate());
            }
        }
        assert!(rmp_serde::from_slice::<Distinct>(&[0xc4, 0]).is_err());
    }

    /// Sketches are kept for years: these bytes were written by the first version.
    #[test]
    fn hashes_and_bytes_stay_as_they_are() {
        let mut sketch = Distinct::new();
        sketch.add(&"ann".to_owned());
        sketch.add(&(7_u64, true));
        let bytes = [2, 1, 7, 12, 3, 8, 2, 8, 31, 131, 92, 11, 162, 16, 146, 13];
        assert_eq!(sketch.0.serialize(), bytes);
    }
}
