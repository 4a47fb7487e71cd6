//! Quantiles of numbers, nearly: DDSketch.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};
use std::fmt;
use std::sync::Arc;

/// So many numbers are kept as they are.
const FEW: usize = 64;

/// How numbers are spread: the quantiles of a key or of a window, as
/// [`approximate_quantiles`](crate::Stream::approximate_quantiles) gives them.
///
/// Of up to 64 numbers all answers are exact. Of more, [`count`](Quantiles::count),
/// [`min`](Quantiles::min) and [`max`](Quantiles::max) are exact, and
/// [`quantile`](Quantiles::quantile) is within 1 % of a number that was there: of the one at that
/// place in their order. Two things are told no more: numbers nearer to zero than 0.000000001 are
/// taken for zero, and of numbers 10^17 times nearer to zero than the largest (or, below zero,
/// the smallest) only that they are no larger.
///
/// It can be written to a topic and read again. What is in it is for this type alone to read.
///
/// ```
/// use suiro::{Quantiles, TestDriver, Topic, Topology};
///
/// const CALLS: Topic<String, f64> = Topic::json("calls");
/// const LATENCIES: Topic<String, Quantiles> = Topic::json("latencies");
///
/// let topology = Topology::new("latencies");
/// topology.stream(&CALLS).approximate_quantiles("latencies", |millis| *millis).to(&LATENCIES);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// for millis in 1..=1_000 {
///     driver.send(&CALLS, "home".into(), f64::from(millis), 0)?;
/// }
/// let latencies = &driver.read_last(&LATENCIES)?["home"];
/// assert_eq!((latencies.count(), latencies.min(), latencies.max()), (1_000, 1.0, 1_000.0));
/// let near = |a: f64, b: f64| (a - b).abs() <= 0.01 * b;
/// assert!(near(latencies.quantile(0.5), 500.0));
/// assert!(near(latencies.quantile(0.99), 990.0));
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Quantiles(Held);

#[derive(Clone)]
enum Held {
    /// In order.
    Few(Vec<f64>),
    /// A clone shares it until one of the two changes.
    Many(Arc<DDSketch>),
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Few(Vec<f64>),
    /// In the format of DDSketch for Java.
    Many(Bytes),
}

impl Quantiles {
    pub(crate) fn new() -> Self {
        Self(Held::Few(Vec::new()))
    }

    /// Panics if the number is none that has a place in an order.
    pub(crate) fn add(&mut self, value: f64) {
        assert!(value.is_finite(), "quantiles are of finite numbers, not of {value}");
        // There is one zero.
        let value = value + 0.0;
        match &mut self.0 {
            Held::Few(values) => {
                let place = values.partition_point(|other| *other <= value);
                values.insert(place, value);
                if values.len() > FEW {
                    self.0 = Held::Many(Arc::new(sketch_of(values)));
                }
            }
            Held::Many(sketch) => Arc::make_mut(sketch).add(value),
        }
    }

    pub(crate) fn merge(&mut self, more: Self) {
        match (&mut self.0, more.0) {
            (_, Held::Few(values)) => values.into_iter().for_each(|value| self.add(value)),
            (Held::Few(values), Held::Many(mut sketch)) => {
                let all = Arc::make_mut(&mut sketch);
                values.iter().for_each(|value| all.add(*value));
                self.0 = Held::Many(sketch);
            }
            (Held::Many(sketch), Held::Many(more)) => {
                Arc::make_mut(sketch)
                    .merge(&more)
                    .expect("all sketches have one width of bins");
            }
        }
    }

    /// The number with a part `q` of all before it: the median for 0.5, 99 of a hundred are
    /// before that for 0.99. Of `n` numbers in order, counted from 0, it is the one at `q * (n -
    /// 1)`, rounded down. What is below 0 counts as 0, above 1 as 1.
    ///
    /// ```
    /// use suiro::{Quantiles, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const MEDIANS: Topic<String, f64> = Topic::json("medians");
    ///
    /// let topology = Topology::new("latencies");
    /// let latencies = topology.stream(&CALLS).approximate_quantiles("latencies", |it| *it);
    /// latencies.map(|latency| latency.quantile(0.5)).to(&MEDIANS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for millis in [90.0, 20.0, 30.0] {
    ///     driver.send(&CALLS, "home".into(), millis, 0)?;
    /// }
    /// assert_eq!(driver.read_last(&MEDIANS)?["home"], 30.0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        // Whatever is no number is below all of them.
        let q = if q > 0.0 { q.min(1.0) } else { 0.0 };
        match &self.0 {
            Held::Few(values) => {
                let last = values.len().saturating_sub(1);
                let place = (q * last as f64) as usize;
                values.get(place).copied().unwrap_or(f64::NAN)
            }
            Held::Many(sketch) => {
                let value = sketch.quantile(q).ok().flatten();
                // The middle of a bin may be beyond the last number in it.
                value.map_or(f64::NAN, |value| value.clamp(self.min(), self.max()))
            }
        }
    }

    /// How many numbers there are.
    ///
    /// ```
    /// use suiro::{Quantiles, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("latencies");
    /// let latencies = topology.stream(&CALLS).approximate_quantiles("latencies", |it| *it);
    /// latencies.map(Quantiles::count).to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CALLS, "home".into(), 20.0, 0)?;
    /// driver.send(&CALLS, "home".into(), 20.0, 1)?;
    /// assert_eq!(driver.read_last(&COUNTS)?["home"], 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Held::Few(values) => values.len() as u64,
            Held::Many(sketch) => sketch.count() as u64,
        }
    }

    /// The smallest number, exactly.
    ///
    /// ```
    /// use suiro::{Quantiles, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const FASTEST: Topic<String, f64> = Topic::json("fastest");
    ///
    /// let topology = Topology::new("latencies");
    /// let latencies = topology.stream(&CALLS).approximate_quantiles("latencies", |it| *it);
    /// latencies.map(Quantiles::min).to(&FASTEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CALLS, "home".into(), 20.0, 0)?;
    /// driver.send(&CALLS, "home".into(), 30.0, 1)?;
    /// assert_eq!(driver.read_last(&FASTEST)?["home"], 20.0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn min(&self) -> f64 {
        match &self.0 {
            Held::Few(values) => values.first().copied(),
            Held::Many(sketch) => sketch.min(),
        }
        .unwrap_or(f64::NAN)
    }

    /// The largest number, exactly.
    ///
    /// ```
    /// use suiro::{Quantiles, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const SLOWEST: Topic<String, f64> = Topic::json("slowest");
    ///
    /// let topology = Topology::new("latencies");
    /// let latencies = topology.stream(&CALLS).approximate_quantiles("latencies", |it| *it);
    /// latencies.map(Quantiles::max).to(&SLOWEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CALLS, "home".into(), 20.0, 0)?;
    /// driver.send(&CALLS, "home".into(), 30.0, 1)?;
    /// assert_eq!(driver.read_last(&SLOWEST)?["home"], 30.0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[must_use]
    pub fn max(&self) -> f64 {
        match &self.0 {
            Held::Few(values) => values.last().copied(),
            Held::Many(sketch) => sketch.max(),
        }
        .unwrap_or(f64::NAN)
    }
}

impl fmt::Debug for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantiles")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("median", &self.quantile(0.5))
            .field("max", &self.max())
            .finish()
    }
}

fn sketch_of(values: &[f64]) -> DDSketch {
    let mut sketch = DDSketch::new(Config::defaults());
    values.iter().for_each(|value| sketch.add(*value));
    sketch
}

impl From<Quantiles> for Form {
    fn from(quantiles: Quantiles) -> Self {
        match quantiles.0 {
            Held::Few(values) => Self::Few(values),
            Held::Many(sketch) => Self::Many(sketch.to_java_bytes().into()),
        }
    }
}

impl TryFrom<Form> for Quantiles {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        match form {
            Form::Few(values) => {
                let is_ordered = values.is_sorted() && values.iter().all(|it| it.is_finite());
                let held = is_ordered.then_some(Held::Few(values));
                held.map(Self).ok_or_else(|| "numbers that are in no order".to_owned())
            }
            Form::Many(bytes) => {
                let read = DDSketch::from_java_bytes(&bytes);
                let read = read.map_err(|error| error.to_string())?;
                // Only what can be put together with others is one of ours.
                let mut sketch = DDSketch::new(Config::defaults());
                sketch.merge(&read).map_err(|error| error.to_string())?;
                Ok(Self(Held::Many(Arc::new(sketch))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantiles(values: &[f64]) -> Quantiles {
        let mut quantiles = Quantiles::new();
        values.iter().for_each(|value| quantiles.add(*value));
        quantiles
    }

    /// All that can be asked.
    fn answers(of: &Quantiles) -> Vec<f64> {
        let places = (0..=1_000).map(|q| of.quantile(f64::from(q) / 1_000.0));
        [of.count() as f64, of.min(), of.max()].into_iter().chain(places).collect()
    }

    /// Numbers as latencies and sums of money are: near to each other, and some far away.
    fn skewed() -> impl Strategy<Value = f64> {
        let size = prop_oneof![6 => 0.0..2.0_f64, 2 => -3.0..5.0_f64, 1 => -8.0..9.0_f64];
        let sign = prop_oneof![4 => Just(1.0), 1 => Just(-1.0), 1 => Just(0.0)];
        (size, sign).prop_map(|(size, sign): (f64, f64)| sign * 10_f64.powf(size))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The bound that the documentation states, against the numbers themselves.
        #[test]
        fn quantiles_of_skewed_numbers_are_as_near_as_is_said(
            mut values in prop::collection::vec(skewed(), 1..400),
        ) {
            let sketch = quantiles(&values);
            values.sort_by(f64::total_cmp);
            let last = values.len() - 1;
            prop_assert_eq!(sketch.count(), values.len() as u64);
            prop_assert_eq!((sketch.min(), sketch.max()), (values[0], values[last]));
            for q in (0..=1_000).map(|q| f64::from(q) / 1_000.0) {
                let exact = values[(q * last as f64) as usize];
                let error = (sketch.quantile(q) - exact).abs();
                let bound = if values.len() > FEW { 0.010_000_1 * exact.abs() } else { 0.0 };
                prop_assert!(error <= bound, "{q}: {} for {exact}", sketch.quantile(q));
            }
        }

        /// Also where numbers are so far apart that the smallest are told apart no more.
        #[test]
        fn nothing_depends_on_an_order_or_on_what_is_merged(
            values in prop::collection::vec(
                prop_oneof![skewed(), (-30.0..30.0_f64).prop_map(|size| 10_f64.powf(size))],
                0..400,
            ),
            parts in 1..9_usize,
            backwards in any::<bool>(),
        ) {
            let all = answers(&quantiles(&values));
            let same = |one: &[f64], other: &[f64]| {
                one.iter().zip(other).all(|(one, other)| one.to_bits() == other.to_bits())
            };
            let reversed: Vec<_> = values.iter().rev().copied().collect();
            prop_assert!(same(&answers(&quantiles(&reversed)), &all));
            let mut merged = Quantiles::new();
            for part in values.chunks(values.len() / parts + 1) {
                let mut part = quantiles(part);
                if backwards {
                    std::mem::swap(&mut part, &mut merged);
                }
                // As it comes back from a store.
                let bytes = rmp_serde::to_vec(&part).expect("it can be written");
                merged.merge(rmp_serde::from_slice(&bytes).expect("it was written"));
            }
            prop_assert!(same(&answers(&merged), &all));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let add = || Quantiles::new().add(value);
            assert!(std::panic::catch_unwind(add).is_err());
        }
        assert!(
            rmp_serde::to_vec(&Form::Few(vec![2.0, 1.0]))
                .is_ok_and(|bytes| rmp_serde::from_slice::<Quantiles>(&bytes).is_err())
        );
        assert!(
            rmp_serde::to_vec(&Form::Many(Bytes::from_static(b"none")))
                .is_ok_and(|bytes| rmp_serde::from_slice::<Quantiles>(&bytes).is_err())
        );
    }

    /// Sketches are kept for years: these bytes were written by the first version.
    #[test]
    fn bytes_stay_as_they_are() {
        let values: Vec<_> = (0..70).map(|value| f64::from(value % 5)).collect();
        let Form::Many(bytes) = quantiles(&values).into() else {
            panic!("seventy are many");
        };
        let head = [160, 140, 28, 136, 0, 0, 0, 0, 0, 0, 0, 0, 140, 0, 0, 0, 0, 0, 0, 16, 64];
        let sum_and_width = [
            132, 0, 0, 0, 0, 0, 128, 97, 64, 2, 253, 74, 129, 90, 191, 82, 240, 63, 0, 0, 0, 0,
            0, 0, 0, 0,
        ];
        let bins = [4, 135, 96, 5, 4, 0, 135, 96, 68, 135, 96, 40, 135, 96, 30, 135, 96];
        assert_eq!(&bytes[..], [&head[..], &sum_and_width, &bins].concat());
    }
}
