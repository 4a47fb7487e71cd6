//! Steps whose code may fail: then the policy decides.

use crate::Stream;
use crate::operators::each;
use suiro_core::{Error, Result};

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Turns each value into another, or fails: then the policy decides.
    ///
    /// With [`Policy::Stop`](crate::Policy::Stop), the default, the program ends with an error
    /// that names the step and carries the cause; all records before the failing one are
    /// committed.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEXTS, 1, "42".into(), 0)?;
    /// assert_eq!(driver.read(&NUMBERS)?[0].value, 42);
    /// let error = driver.send(&TEXTS, 1, "many".into(), 1).unwrap_err();
    /// assert!(error.report().contains("try_map"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn try_map<W: Send + 'static, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        self,
        change: impl Fn(V) -> Result<W, E> + Send + Sync + 'static,
    ) -> Stream<K, W> {
        each::add(self, "try_map", move |rows, out| {
            for row in rows {
                let value = change(row.value).map_err(failed)?;
                out.push(crate::Record {
                    key: row.key,
                    value,
                    at: row.at,
                    headers: row.headers,
                });
            }
            Ok(())
        })
    }

    /// Keeps the records whose value satisfies `keep`, which may fail: then the policy decides.
    ///
    /// ```
    /// use suiro::{Policy, TestDriver, Topic, Topology};
    ///
    /// const AGES: Topic<String, String> = Topic::json("ages");
    /// const ADULTS: Topic<String, String> = Topic::json("adults");
    ///
    /// let topology = Topology::new("adults");
    /// let ages = topology.stream(&AGES);
    /// let adults = ages.try_filter(|age| age.parse::<u8>().map(|age| age >= 18));
    /// adults.on_error(Policy::Skip).to(&ADULTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (name, age) in [("ann", "30"), ("bob", "?"), ("cid", "7")] {
    ///     driver.send(&AGES, name.into(), age.into(), 0)?;
    /// }
    /// assert_eq!(driver.read(&ADULTS)?.len(), 1);
    /// assert_eq!(driver.metrics().skipped, 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn try_filter<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        self,
        keep: impl Fn(&V) -> Result<bool, E> + Send + Sync + 'static,
    ) -> Stream<K, V> {
        each::add(self, "try_filter", move |rows, out| {
            for row in rows {
                if keep(&row.value).map_err(failed)? {
                    out.push(row);
                }
            }
            Ok(())
        })
    }

    /// Turns each value into none, one or many, or fails: then the policy decides, and none of
    /// them is sent.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LISTS: Topic<u64, String> = Topic::json("lists");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("lists");
    /// let parse = |list: String| list.split(',').map(str::parse).collect::<Result<Vec<i64>, _>>();
    /// topology.stream(&LISTS).try_flat_map(parse).to(&NUMBERS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LISTS, 1, "3,4".into(), 0)?;
    /// let numbers: Vec<_> = driver.read(&NUMBERS)?.into_iter().map(|n| n.value).collect();
    /// assert_eq!(numbers, [3, 4]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn try_flat_map<I, E>(
        self,
        expand: impl Fn(V) -> Result<I, E> + Send + Sync + 'static,
    ) -> Stream<K, I::Item>
    where
        K: Clone,
        I: IntoIterator<Item: Send + 'static>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        each::add(self, "try_flat_map", move |rows, out| {
            for row in rows {
                let values = expand(row.value).map_err(failed)?;
                each::expand(row.key, values, row.at, row.headers, out);
            }
            Ok(())
        })
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid("the step returned an error").caused_by(error)
}
