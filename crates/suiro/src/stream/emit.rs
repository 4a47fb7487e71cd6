//! Many records out of one, without a list in between.

use crate::format::JsonKey;
use crate::operators::each;
use crate::row::Batch;
use crate::{Key, Record, Stream};
use suiro_core::{Headers, Timestamp};

/// Takes the records that [`Stream::flat_rekey`] makes of one.
///
/// ```
/// use suiro::Emit;
///
/// fn letters(word: &str, out: &mut Emit<'_, char, usize>) {
///     for (place, letter) in word.chars().enumerate() {
///         out.push(letter, place);
///     }
/// }
/// # let _ = letters;
/// ```
#[derive(Debug)]
pub struct Emit<'a, K, V> {
    out: &'a mut Batch<K, V>,
    at: Timestamp,
    headers: Headers,
    /// To where `out` goes back if user code does not come to its end.
    keep: usize,
}

impl<K, V> Emit<'_, K, V> {
    /// Adds a record, with the time and the headers of the one that it is made of.
    ///
    /// ```
    /// fn both(pair: (u64, u64), out: &mut suiro::Emit<'_, u64, ()>) {
    ///     out.push(pair.0, ());
    ///     out.push(pair.1, ());
    /// }
    /// # let _ = both;
    /// ```
    #[inline]
    pub fn push(&mut self, key: K, value: V) {
        let headers = self.headers.clone();
        self.out.push(Record { key, value, at: self.at, headers });
    }
}

impl<K, V> Drop for Emit<'_, K, V> {
    fn drop(&mut self) {
        self.out.truncate(self.keep);
    }
}

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Turns each value into any number of records with keys of their own. It is
    /// [`flat_map`](Stream::flat_map) and [`rekey`](Stream::rekey) in one step, and `expand` need
    /// not make a list: it pushes records, so that what it pushes may be cut out of the value.
    /// If it panics, none of the record's own is kept.
    ///
    /// The records keep the time and the headers of the one they are made of, and the order in
    /// which they are pushed. A key is never null (rule N2).
    ///
    /// ```
    /// use suiro::{NoKey, TestDriver, Topic, Topology};
    ///
    /// const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
    /// const COUNTS: Topic<String, u64> = Topic::json("word-counts");
    ///
    /// let topology = Topology::new("words");
    /// topology
    ///     .stream(&LINES)
    ///     .flat_rekey(|line, out| {
    ///         for word in line.split(' ') {
    ///             out.push(word.to_owned(), ());
    ///         }
    ///     })
    ///     .count("counts")
    ///     .to(&COUNTS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&LINES, NoKey, "to be or not to be".into(), 0)?;
    /// assert_eq!(driver.read_last(&COUNTS)?["be"], 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "flatMap")]
    #[doc(alias = "collector")]
    pub fn flat_rekey<J: Key, W: Send + 'static>(
        self,
        expand: impl Fn(V, &mut Emit<'_, J, W>) + Send + Sync + 'static,
    ) -> Stream<J, W> {
        let keyed = each::add_keyed(self, "flat_rekey", &JsonKey, move |rows, out| {
            for row in rows {
                let keep = out.len();
                let mut emit = Emit { out: &mut *out, at: row.at, headers: row.headers, keep };
                expand(row.value, &mut emit);
                emit.keep = emit.out.len();
            }
            Ok(())
        });
        keyed.with_moved(true)
    }
}
