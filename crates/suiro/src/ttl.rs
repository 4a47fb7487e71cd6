//! How long the rows of a table live (rule A5).

use crate::{Data, Key, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use suiro_core::Error;
use suiro_core::time::millis;

/// How long rows live, set while the topology is written and read when it runs; 0 for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetime(Arc<AtomicI64>);

impl Lifetime {
    /// In milliseconds, if rows go by time.
    pub(crate) fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|ttl| *ttl > 0)
    }
}

/// What keeps the rows of a table: its operator and its store.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) lifetime: Lifetime,
    pub(crate) node: usize,
    pub(crate) store: usize,
}

impl<K: Key, V: Data> Table<K, V> {
    /// Lets each row go when it has not been updated for `ttl`, in event time (rule A5): when the
    /// stream time of the table, the largest time of a record that reached it, comes to the
    /// row's time + `ttl`. Joins and whatever else follows the table see a removal like any
    /// other, with just that time and without headers, before the update that moved the time.
    ///
    /// An update whose own time is already so long ago is late: it is counted in the metric
    /// `late` and not taken. Time that moves elsewhere, such as that of a stream which looks rows
    /// up, takes no row of this table. The end of a bounded run moves no time either.
    ///
    /// The table that keeps the rows has the `ttl`: say it right behind
    /// [`Topology::table`](crate::Topology::table), `to_table`, `fold`, `count` or `reduce`. Behind a filter,
    /// a map or a join it is refused by [`build`](crate::Topology::build), and so is one below a
    /// millisecond. A row of a fold is as old as its newest record (rule W8), and after it has
    /// gone a new one begins from `init`.
    ///
    /// A source table with a `ttl` has a changelog of its own, `<app>.<topic>.changelog`, even if
    /// its topic is compacted; it never writes to the topic. When a version of the program
    /// first says `ttl`, it takes the rows over from the topic as far as it had read it; those
    /// that are too old go with the next record. When `ttl` is taken away again, a compacted
    /// topic is the table once more, and what had gone by time is there again. Another `ttl`
    /// counts from the next record on.
    ///
    /// A table with a `ttl` is held in memory as a whole, also with
    /// [`App::stores`](crate::App::stores).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const SEEN: Topic<String, String> = Topic::json("seen");
    /// const ROOMS: Topic<String, Option<String>> = Topic::json("rooms");
    ///
    /// let topology = Topology::new("who-is-where");
    /// topology.table(&SEEN).ttl(Duration::from_mins(10)).changes().to(&ROOMS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&SEEN, "ann".into(), "kitchen".into(), 0)?;
    /// driver.send(&SEEN, "bob".into(), "garden".into(), 660_000)?;
    /// let rooms = driver.read(&ROOMS)?.into_iter();
    /// let rooms: Vec<_> = rooms.map(|row| (row.key, row.value, row.at.as_millis())).collect();
    /// assert_eq!(rooms[0], ("ann".into(), Some("kitchen".into()), 0));
    /// assert_eq!(rooms[1], ("ann".into(), None, 600_000));
    /// assert_eq!(rooms[2], ("bob".into(), Some("garden".into()), 660_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn ttl(self, ttl: Duration) -> Self {
        let ttl = millis(ttl);
        let Some(Owner { lifetime, node, store }) = &self.owner else {
            self.draft.refuse(Error::invalid(
                "this table is seen through another and keeps no rows, so it cannot let them go; \
                 say `ttl` at the table that keeps them, right behind `table`, `to_table`, \
                 `fold`, `count` or `reduce`",
            ));
            return self;
        };
        let mut sketch = self.draft.sketch();
        let wrong = match lifetime.get() {
            _ if ttl < 1 => {
                "a ttl below one millisecond leaves no row; say a longer one or none"
            }
            Some(_) => "a table has two ttls; it is one table whatever its handle: say it once",
            None => {
                lifetime.0.store(ttl, Ordering::Relaxed);
                sketch.graph.stores[*store].differs = true;
                let node = &mut sketch.graph.nodes[*node];
                node.ages = true;
                node.label += &format!(", ttl {ttl} ms");
                drop(sketch);
                return self;
            }
        };
        let table = Arc::clone(&sketch.graph.stores[*store].name);
        drop(sketch);
        self.draft.refuse(Error::invalid(wrong).with("table", table).with("ttl_ms", ttl));
        self
    }
}
