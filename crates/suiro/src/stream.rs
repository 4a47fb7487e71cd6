//! A stream: an endless run of independent events. Steps without state.

use crate::format::{Format, JsonKey};
use crate::operators::{self, each};
use crate::policy::Policy;
use crate::step::Step;
use crate::topology::Draft;
use crate::{Data, Key, Topic, row};
use std::marker::PhantomData;
use suiro_core::{Error, Result, Timestamp};
use suiro_engine::Edge;

/// A handle to a stream of records with keys `K` and values `V`.
///
/// The handle owns its stream. To let two parts of a program read the same stream, `clone` it:
/// the fan-out is visible, and only then must the records be `Clone`.
#[must_use = "a stream does nothing until it ends in `to` or in a table"]
pub struct Stream<K: 'static, V: 'static> {
    pub(crate) draft: Draft,
    pub(crate) from: Edge,
    pub(crate) keys: &'static dyn Format<K>,
    /// `key_by` gave new keys, and the records are not yet where their keys belong.
    pub(crate) moved: bool,
    step: Option<Step>,
    types: PhantomData<fn() -> V>,
}

impl<K: Clone + Send + 'static, V: Clone + Send + 'static> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        let Edge { node, output } = self.from;
        self.draft.sketch().graph.nodes[node].outputs[output] = Some(row::copy::<K, V>);
        Self {
            draft: self.draft.clone(),
            from: self.from,
            keys: self.keys,
            moved: self.moved,
            step: self.step.clone(),
            types: PhantomData,
        }
    }
}

impl<K: 'static, V: 'static> Stream<K, V> {
    pub(crate) fn new(draft: &Draft, from: Edge, keys: &'static dyn Format<K>) -> Self {
        let (draft, types) = (draft.clone(), PhantomData);
        Self { draft, from, keys, moved: false, step: None, types }
    }

    pub(crate) fn with_step(mut self, step: Step) -> Self {
        self.step = Some(step);
        self
    }

    pub(crate) fn with_moved(mut self, moved: bool) -> Self {
        self.moved = moved;
        self
    }

    /// Sets the policy of the step that made this stream.
    ///
    /// ```
    /// use suiro::{Policy, Topic, Topology};
    ///
    /// const NUMBERS: Topic<u64, String> = Topic::json("numbers");
    /// const PARSED: Topic<u64, i64> = Topic::json("parsed");
    ///
    /// let topology = Topology::new("parse");
    /// topology
    ///     .stream(&NUMBERS)
    ///     .try_map(|text| text.parse::<i64>())
    ///     .on_error(Policy::Skip)
    ///     .to(&PARSED);
    /// ```
    pub fn on_error(self, policy: Policy) -> Self {
        match &self.step {
            Some(step) => step.policy.set(policy),
            None => self.draft.refuse(Error::invalid(
                "this step runs no user code and cannot fail; move `on_error` to one that does",
            )),
        }
        self
    }
}

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Keeps the records whose value satisfies `keep`.
    pub fn filter(self, keep: impl Fn(&V) -> bool + Send + Sync + 'static) -> Stream<K, V> {
        self.filter_with_key(move |_, value| keep(value))
    }

    /// Keeps the records whose key and value satisfy `keep`.
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

    /// Turns each value into another, with a look at the key.
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

    /// Turns each value into another, or fails: then the policy decides.
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

    /// Turns each value into none, one or many; the key, the time and the headers stay.
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

    /// Turns each value into none, one or many, or fails: then the policy decides.
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

    /// Shows each record to `look`, and lets it pass.
    #[doc(alias = "peek")]
    pub fn inspect(self, look: impl Fn(&K, &V) + Send + Sync + 'static) -> Stream<K, V> {
        each::add(self, "inspect", move |rows, out| {
            out.extend(rows.inspect(|row| look(&row.key, &row.value)));
            Ok(())
        })
    }

    /// Gives each record a new key. The next fold or windowed fold moves it to the partition
    /// that owns the key; before a join, say [`repartition`](Stream::repartition).
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
    /// use suiro::{Topic, Topology};
    ///
    /// const WORDS: Topic<u64, String> = Topic::json("words");
    /// const COUNTS: Topic<String, u64> = Topic::json("counts");
    ///
    /// let topology = Topology::new("words");
    /// topology.stream(&WORDS).rekey(|word| (word, ())).count("counts").to(&COUNTS);
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

    /// One stream out of two of the same types. Records go in the order of their turns
    /// (rule T2).
    #[doc(alias = "union")]
    pub fn merge(self, other: Stream<K, V>) -> Stream<K, V> {
        operators::merge::add(self, other)
    }

    /// Two streams: the records whose value satisfies `test`, and the others.
    #[doc(alias = "branch")]
    pub fn split(
        self,
        test: impl Fn(&V) -> bool + Send + Sync + 'static,
    ) -> (Stream<K, V>, Stream<K, V>) {
        operators::split::add(self, test)
    }

    /// Writes every record to `topic`, and ends the stream. The partition is chosen by the
    /// key, as every Kafka producer does.
    #[doc(alias = "sinkTo")]
    pub fn to(self, topic: &Topic<K, V>) {
        operators::sink::add(self, topic);
    }

    /// Moves each record to the partition that owns its key, through the internal topic
    /// `<app>.<name>.repartition`. Folds do it by themselves where it is needed; joins do not.
    pub fn repartition(self, name: &str) -> Stream<K, V>
    where
        K: Key,
        V: Data,
    {
        operators::exchange::add(self, name)
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid("the step returned an error").caused_by(error)
}
