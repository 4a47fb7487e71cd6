//! Steps that look at one record at a time and cannot fail.

use crate::format::JsonKey;
use crate::operators::each;
use crate::{Key, Stream};
use suiro_core::Timestamp;

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Keeps the records whose value satisfies `keep`, and drops the others.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const READINGS: Topic<String, i32> = Topic::json("readings");
    /// const HOT: Topic<String, i32> = Topic::json("hot");
    ///
    /// let topology = Topology::new("hot");
    /// topology.stream(&READINGS).filter(|degrees| *degrees > 30).to(&HOT);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&READINGS, "hall".into(), 20, 0)?;
    /// driver.send(&READINGS, "roof".into(), 35, 1)?;
    /// let hot = driver.read(&HOT)?;
    /// assert_eq!(hot.len(), 1);
    /// assert_eq!(hot[0].key, "roof");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn filter(self, keep: impl Fn(&V) -> bool + Send + Sync + 'static) -> Stream<K, V> {
        self.filter_with_key(move |_, value| keep(value))
    }

    /// Keeps the records whose key and value satisfy `keep`, and drops the others.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const READINGS: Topic<String, i32> = Topic::json("readings");
    /// const FROST: Topic<String, i32> = Topic::json("frost-inside");
    ///
    /// let topology = Topology::new("frost");
    /// topology
    ///     .stream(&READINGS)
    ///     .filter_with_key(|room, degrees| room != "roof" && *degrees < 0)
    ///     .to(&FROST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&READINGS, "roof".into(), -5, 0)?;
    /// driver.send(&READINGS, "hall".into(), -1, 1)?;
    /// let frost = driver.read(&FROST)?;
    /// assert_eq!((frost.len(), frost[0].value), (1, -1));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn filter_with_key(
        self,
        keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
    ) -> Stream<K, V> {
        each::add(self, "filter", move |rows, out| {
            out.extend(rows.filter(|row| keep(&row.key, &row.value)));
            Ok(())
        })
    }

    /// Turns each value into another; the key stays, and so does the partition.
    ///
    /// `change` must be a function of its argument alone: after a crash it is called again.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const CELSIUS: Topic<String, i32> = Topic::json("celsius");
    /// const FAHRENHEIT: Topic<String, i32> = Topic::json("fahrenheit");
    ///
    /// let topology = Topology::new("degrees");
    /// topology.stream(&CELSIUS).map(|degrees| degrees * 9 / 5 + 32).to(&FAHRENHEIT);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&CELSIUS, "hall".into(), 20, 0)?;
    /// assert_eq!(driver.read(&FAHRENHEIT)?[0].value, 68);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "mapValues")]
    pub fn map<W: Send + 'static>(
        self,
        change: impl Fn(V) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        each::add(self, "map", move |rows, out| {
            for row in rows {
                out.push(crate::Record {
                    key: row.key,
                    value: change(row.value),
                    at: row.at,
                    headers: row.headers,
                });
            }
            Ok(())
        })
    }

    /// Turns each value into another, with a look at the key; the key stays.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const READINGS: Topic<String, i32> = Topic::json("readings");
    /// const LINES: Topic<String, String> = Topic::json("lines");
    ///
    /// let topology = Topology::new("lines");
    /// topology
    ///     .stream(&READINGS)
    ///     .map_with_key(|room, degrees| format!("{room}: {degrees}"))
    ///     .to(&LINES);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&READINGS, "hall".into(), 20, 0)?;
    /// assert_eq!(driver.read(&LINES)?[0].value, "hall: 20");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn map_with_key<W: Send + 'static>(
        self,
        change: impl Fn(&K, V) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        each::add(self, "map", move |rows, out| {
            for row in rows {
                let value = change(&row.key, row.value);
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

    /// Turns each value into another, with a look at the time of the record.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const READINGS: Topic<String, i64> = Topic::json("readings");
    /// const NEWEST: Topic<String, (i64, i64)> = Topic::json("newest-readings");
    ///
    /// let topology = Topology::new("newest");
    /// topology
    ///     .stream(&READINGS)
    ///     .map_with_time(|at, reading| (at.as_millis(), reading))
    ///     .reduce("newest", |left, right| left.max(right))
    ///     .to(&NEWEST);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&READINGS, "roof".into(), 21, 1_000)?;
    /// assert_eq!(driver.read(&NEWEST)?[0].value, (1_000, 21));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn map_with_time<W: Send + 'static>(
        self,
        change: impl Fn(Timestamp, V) -> W + Send + Sync + 'static,
    ) -> Stream<K, W> {
        each::add(self, "map", move |rows, out| {
            for row in rows {
                let value = change(row.at, row.value);
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

    /// Turns each value into none, one or many, in their order; the key, the time and the
    /// headers stay.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LINES: Topic<u64, String> = Topic::json("lines");
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    ///
    /// let topology = Topology::new("words");
    /// let lines = topology.stream(&LINES);
    /// lines.flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>()).to(&WORDS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LINES, 1, "black tea".into(), 0)?;
    /// let words: Vec<_> = driver.read(&WORDS)?.into_iter().map(|word| word.value).collect();
    /// assert_eq!(words, ["black", "tea"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "flatMapValues")]
    pub fn flat_map<I: IntoIterator<Item: Send + 'static>>(
        self,
        expand: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> Stream<K, I::Item>
    where
        K: Clone,
    {
        each::add(self, "flat_map", move |rows, out| {
            for row in rows {
                each::expand(row.key, expand(row.value), row.at, row.headers, out);
            }
            Ok(())
        })
    }

    /// Shows each record to `look`, and lets it pass.
    ///
    /// It is for logs and tests: `look` sees records before they are committed, and sees them
    /// again after a crash.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const SAME: Topic<String, u64> = Topic::json("same-orders");
    ///
    /// let (tell, heard) = std::sync::mpsc::channel();
    /// let topology = Topology::new("watch");
    /// let orders = topology.stream(&ORDERS);
    /// orders.inspect(move |_, cents| tell.send(*cents).unwrap()).to(&SAME);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// assert_eq!(heard.recv(), Ok(250));
    /// assert_eq!(driver.read(&SAME)?[0].value, 250);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "peek")]
    pub fn inspect(self, look: impl Fn(&K, &V) + Send + Sync + 'static) -> Stream<K, V> {
        each::add(self, "inspect", move |rows, out| {
            out.extend(rows.inspect(|row| look(&row.key, &row.value)));
            Ok(())
        })
    }

    /// Gives each record a new key. The next fold or windowed fold moves it to the partition
    /// that owns the key; before a join, say [`repartition`](Stream::repartition). A key is
    /// never null (rule N2).
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const CLICKS: Topic<u64, String> = Topic::json("clicks");
    /// const BY_PAGE: Topic<String, u64> = Topic::json("clicks-by-page");
    ///
    /// let topology = Topology::new("pages");
    /// topology.stream(&CLICKS).key_by(|page| page.clone()).count("pages").to(&BY_PAGE);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for user in [1, 2] {
    ///     driver.send(&CLICKS, user, "home".into(), 0)?;
    /// }
    /// let pages = driver.read_last(&BY_PAGE)?;
    /// assert_eq!(pages["home"], 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "selectKey")]
    #[doc(alias = "keyBy")]
    #[doc(alias = "groupBy")]
    pub fn key_by<J: Key>(self, key: impl Fn(&V) -> J + Send + Sync + 'static) -> Stream<J, V> {
        let keyed = each::add_keyed(self, "key_by", &JsonKey, move |rows, out| {
            for row in rows {
                let key = key(&row.value);
                out.push(crate::Record {
                    key,
                    value: row.value,
                    at: row.at,
                    headers: row.headers,
                });
            }
            Ok(())
        });
        keyed.with_moved(true)
    }

    /// Gives each record a new key and a new value in one step. It is [`key_by`](Stream::key_by)
    /// for a key that is taken out of the value instead of copied.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("words");
    /// topology.stream(&WORDS).rekey(|word| (word, ())).count("counts").to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&WORDS, 1, "tea".into(), 0)?;
    /// assert_eq!(driver.read_last(&COUNTS)?["tea"], 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "map_pair")]
    pub fn rekey<J: Key, W: Send + 'static>(
        self,
        pair: impl Fn(V) -> (J, W) + Send + Sync + 'static,
    ) -> Stream<J, W> {
        let keyed = each::add_keyed(self, "rekey", &JsonKey, move |rows, out| {
            for row in rows {
                let (key, value) = pair(row.value);
                out.push(crate::Record { key, value, at: row.at, headers: row.headers });
            }
            Ok(())
        });
        keyed.with_moved(true)
    }
}
