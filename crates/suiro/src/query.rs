//! Live look-ups in the stores of a running program.

use crate::state::{Held, TableStore, WindowStore};
use crate::{Data, InWindow, Key, Record};
use std::marker::PhantomData;
use suiro_core::{Error, Headers, Result};
use suiro_engine::{Plan, Running, Scope, Stores};

/// Looks into one store of a running program. Each answer is as of the last commit when it was
/// asked for; two answers may be of two commits.
///
/// ```
/// use suiro::{App, Log, Producer, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("clicks");
/// let _counts = topology.stream(&CLICKS).count("counts");
/// let log = Log::in_memory();
/// let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
///
/// let mut clicks = Producer::open(&log, &CLICKS)?;
/// clicks.send("ann".into(), "home".into(), 0)?;
/// clicks.flush()?;
/// let counts = running.query::<String, u64>("counts")?;
/// while counts.get(&"ann".into())? != Some(1) {
///     std::thread::yield_now();
/// }
/// assert_eq!(counts.get(&"bob".into())?, None);
/// running.shutdown()?;
/// # Ok::<(), suiro::Error>(())
/// ```
pub struct Query<'a, K, A> {
    running: &'a Running,
    store: usize,
    name: String,
    types: PhantomData<fn() -> (K, A)>,
}

impl<'a, K: Key, A: Data> Query<'a, K, A> {
    pub(crate) fn new(running: &'a Running, plan: &Plan, name: &str) -> Result<Self> {
        let store = plan.store(name).ok_or_else(|| {
            Error::invalid("the program has no store of this name").with("store", name)
        })?;
        Ok(Self { running, store, name: name.to_owned(), types: PhantomData })
    }

    /// The row of `key`.
    pub fn get(&self, key: &K) -> Result<Option<A>> {
        let (key, store) = (key.clone(), self.store);
        self.visit(move |stores, found: &mut Option<A>| {
            let table = stores.find::<TableStore<K, A>>(store)?;
            if let Some((row, _)) = table.cells.committed(&key) {
                *found = Some(row.clone());
            }
            Some(())
        })
    }

    /// All rows, in no order.
    pub fn all(&self) -> Result<Vec<Record<K, A>>> {
        let store = self.store;
        self.visit(move |stores, found: &mut Vec<Record<K, A>>| {
            let table = stores.find::<TableStore<K, A>>(store)?;
            found.extend(table.cells.all_committed().map(|(key, row, at)| Record {
                key: key.clone(),
                value: row.clone(),
                at,
                headers: Headers::NONE,
            }));
            Some(())
        })
    }

    /// The open windows of `key`, in order of start; `start` is their only bound that the
    /// store knows, so `end` is the largest time seen in the window.
    pub fn windows(&self, key: &K) -> Result<Vec<InWindow<A>>> {
        let (key, store) = (key.clone(), self.store);
        self.visit(move |stores, found: &mut Vec<InWindow<A>>| {
            let windows = stores.find::<WindowStore<K, A>>(store)?;
            for (start, pane) in &windows.panes {
                if let Some((Held::Open(value, _), at)) = pane.committed(&key) {
                    let value = value.clone();
                    found.push(InWindow { start: *start, end: at, value });
                }
            }
            Some(())
        })
    }

    /// Visits the stores of all tasks; `None` says that the store has another type.
    fn visit<T: Default + Send + 'static>(
        &self,
        look: impl Fn(&Stores, &mut T) -> Option<()> + Send + 'static,
    ) -> Result<T> {
        let store = self.store;
        let found = self.running.visit(move |scope: &mut Scope| {
            let mut found = T::default();
            for (_, stores) in scope.stores() {
                if stores.has(store) {
                    look(stores, &mut found)?;
                }
            }
            Some(found)
        })?;
        found.ok_or_else(|| {
            Error::invalid("the store has rows of other types or another kind")
                .with("store", &self.name)
        })
    }
}
