//! How the numbers of each key or window are spread, nearly, as a fold.

use super::Table;
use crate::window::{Hopping, SessionTable, Sessions, Tumbling, WindowTable, Windowed};
use crate::{Data, Key, Quantiles, Stream};

/// What takes a value into a sketch by its number.
fn adding<V>(
    of: impl Fn(&V) -> f64 + Send + Sync + 'static,
) -> impl Fn(&mut Quantiles, V) + Send + Sync + 'static {
    move |sketch, value| sketch.add(of(&value))
}

impl<K: 'static, V: 'static> Stream<K, V> {
    /// How the numbers that `of` gives for the records of each key are spread: [`Quantiles`] with
    /// a relative error of 1 %, exact up to 64 numbers. It is DDSketch as a
    /// [`fold`](Stream::fold): `name` names the store and its changelog for good. Needs the feature
    /// `sketches`.
    ///
    /// A number that is infinite or none at all fails its record, for the policy. The state of a
    /// key takes some kibibytes, as its numbers are spread, and at most 32. What is answered depends
    /// on nothing but the numbers: not on their order, nor on crashes.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const SLOW: Topic<String, f64> = Topic::json("slow-calls");
    ///
    /// let topology = Topology::new("latencies");
    /// let latencies = topology.stream(&CALLS).approximate_quantiles("latency", |millis| *millis);
    /// latencies.map(|latency| latency.quantile(0.99)).to(&SLOW);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for millis in 0..=1_000 {
    ///     driver.send(&CALLS, "home".into(), f64::from(millis), 0)?;
    /// }
    /// let slow = driver.read_last(&SLOW)?["home"];
    /// assert!((slow - 990.0).abs() <= 9.9);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "approx_quantile")]
    #[doc(alias = "APPROX_PERCENTILE")]
    #[doc(alias = "percentile")]
    #[doc(alias = "DDSketch")]
    pub fn approximate_quantiles(
        self,
        name: &str,
        of: impl Fn(&V) -> f64 + Send + Sync + 'static,
    ) -> Table<K, Quantiles>
    where
        K: Key,
        V: Data,
    {
        self.fold(name, Quantiles::new, adding(of))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Tumbling> {
    /// How the numbers that `of` gives for the records in each window are spread, as
    /// [`Stream::approximate_quantiles`] tells for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology, Tumbling};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const MEDIANS: Topic<String, f64> = Topic::json("medians");
    ///
    /// let topology = Topology::new("latencies");
    /// let minutes = topology.stream(&CALLS).window(Tumbling::of(Duration::from_mins(1)));
    /// let latencies = minutes.approximate_quantiles("latency", |millis| *millis);
    /// latencies.on_close().map(|minute| minute.value.quantile(0.5)).to(&MEDIANS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for millis in [90.0, 20.0, 30.0] {
    ///     driver.send(&CALLS, "home".into(), millis, 0)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&MEDIANS)?[0].value, 30.0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_quantiles(
        self,
        name: &str,
        of: impl Fn(&V) -> f64 + Send + Sync + 'static,
    ) -> WindowTable<K, V, Quantiles> {
        self.fold(name, Quantiles::new, adding(of))
    }
}

impl<K: Key, V: Data> Windowed<K, V, Hopping> {
    /// How the numbers that `of` gives for the records in each window are spread, as
    /// [`Stream::approximate_quantiles`] tells for each key. Sketches are
    /// [combining](WindowTable::combining): on close they are put together from slices.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Hopping, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const SLOWEST: Topic<String, f64> = Topic::json("slowest");
    ///
    /// let topology = Topology::new("latencies");
    /// let minutes = Hopping::of(Duration::from_mins(1)).every(Duration::from_secs(30));
    /// let minutes = topology.stream(&CALLS).window(minutes);
    /// let latencies = minutes.approximate_quantiles("latency", |millis| *millis);
    /// latencies.on_close().map(|minute| minute.value.max()).to(&SLOWEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (millis, second) in [(90.0, 0), (20.0, 40), (30.0, 50)] {
    ///     driver.send(&CALLS, "home".into(), millis, second * 1_000)?;
    /// }
    /// driver.finish()?;
    /// let slowest: Vec<_> = driver.read(&SLOWEST)?.into_iter().map(|it| it.value).collect();
    /// assert_eq!(slowest, [90.0, 30.0]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_quantiles(
        self,
        name: &str,
        of: impl Fn(&V) -> f64 + Send + Sync + 'static,
    ) -> WindowTable<K, V, Quantiles> {
        self.fold(name, Quantiles::new, adding(of)).combining(Quantiles::merge)
    }
}

impl<K: Key, V: Data> Windowed<K, V, Sessions> {
    /// How the numbers that `of` gives for the records in each session are spread, as
    /// [`Stream::approximate_quantiles`] tells for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Sessions, TestDriver, Topic, Topology};
    ///
    /// const CALLS: Topic<String, f64> = Topic::json("calls");
    /// const MEDIANS: Topic<String, f64> = Topic::json("medians");
    ///
    /// let topology = Topology::new("latencies");
    /// let bursts = Sessions::with_gap(Duration::from_secs(5));
    /// let bursts = topology.stream(&CALLS).window(bursts);
    /// let latencies = bursts.approximate_quantiles("latency", |millis| *millis);
    /// latencies.on_close().map(|burst| burst.value.quantile(0.5)).to(&MEDIANS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for millis in [90.0, 20.0, 30.0] {
    ///     driver.send(&CALLS, "home".into(), millis, 0)?;
    /// }
    /// driver.finish()?;
    /// assert_eq!(driver.read(&MEDIANS)?[0].value, 30.0);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn approximate_quantiles(
        self,
        name: &str,
        of: impl Fn(&V) -> f64 + Send + Sync + 'static,
    ) -> SessionTable<K, V, Quantiles> {
        self.fold(name, Quantiles::new, adding(of), Quantiles::merge)
    }
}
