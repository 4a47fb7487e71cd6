//! Live look-ups in the stores of a running program.

use crate::inspect::rows;
use crate::state::{
    Counted, Furthest, GlobalRows, Held, Paired, Reach, SessionStore, SliceStore, SlidingView,
    TableStore, VersionStore, WindowStore,
};
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
    place: Place,
    name: String,
    types: PhantomData<fn() -> (K, A)>,
}

/// Where the rows are.
#[derive(Clone, Copy)]
enum Place {
    /// In the stores of that number.
    Store(usize),
    /// In the global table of that number.
    Global(usize),
}

impl<K, A> std::fmt::Debug for Query<'_, K, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query").field("store", &self.name).finish_non_exhaustive()
    }
}

impl<'a, K: Key, A: Data> Query<'a, K, A> {
    pub(crate) fn new(running: &'a Running, plan: &Plan, name: &str) -> Result<Self> {
        let global = || plan.globals().position(|topic| &**topic == name).map(Place::Global);
        let place = plan.store(name).map(Place::Store).or_else(global).ok_or_else(|| {
            Error::invalid("the program has no store of this name").with("store", name)
        })?;
        Ok(Self { running, place, name: name.to_owned(), types: PhantomData })
    }

    /// The row of `key`, as of the last commit; `None` if there is none.
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
    /// # let mut clicks = Producer::open(&log, &CLICKS)?;
    /// # clicks.send("ann".into(), "home".into(), 0)?;
    /// # clicks.flush()?;
    /// let counts = running.query::<String, u64>("counts")?;
    /// # while counts.get(&"ann".into())?.is_none() {
    /// #     std::thread::yield_now();
    /// # }
    /// // A click of ann has been counted.
    /// assert_eq!(counts.get(&"ann".into())?, Some(1));
    /// assert_eq!(counts.get(&"bob".into())?, None);
    /// # running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn get(&self, key: &K) -> Result<Option<A>> {
        let key = key.clone();
        let store = match self.place {
            Place::Store(store) => store,
            Place::Global(number) => {
                return self.look(number, move |rows| rows.get(&key).cloned());
            }
        };
        self.visit(store, move |stores, found: &mut Option<A>| {
            let row = match stores.find::<TableStore<K, A>>(store) {
                Some(table) => table.committed(&key),
                None if let Some(versions) = stores.find::<VersionStore<K, A>>(store) => {
                    Ok(versions.committed(&key))
                }
                None => match stores.find::<TableStore<K, Counted<A>>>(store) {
                    Some(groups) => {
                        groups.committed(&key).map(|group| group.map(|group| group.value))
                    }
                    None => {
                        let pairs = stores.find::<TableStore<K, Paired<A>>>(store)?;
                        pairs.committed(&key).map(|pair| pair.and_then(Paired::into_row))
                    }
                },
            };
            Some(row.map(|row| {
                if row.is_some() {
                    *found = row;
                }
            }))
        })
    }

    /// All rows with the times of their last change, as of the last commit, in no order. They
    /// are copied, so it is for small stores.
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
    /// # let mut clicks = Producer::open(&log, &CLICKS)?;
    /// # clicks.send("ann".into(), "home".into(), 0)?;
    /// # clicks.flush()?;
    /// let counts = running.query::<String, u64>("counts")?;
    /// # while counts.all()?.is_empty() {
    /// #     std::thread::yield_now();
    /// # }
    /// // A click of ann has been counted.
    /// let all = counts.all()?;
    /// assert_eq!((all[0].key.as_str(), all[0].value), ("ann", 1));
    /// # running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn all(&self) -> Result<Vec<Record<K, A>>> {
        let store = match self.place {
            Place::Store(store) => store,
            Place::Global(number) => {
                let copy =
                    |(key, value, at): (&K, &A, _)| Record::new(key.clone(), value.clone(), at);
                return self.look(number, move |rows| rows.iter().map(copy).collect());
            }
        };
        self.visit(store, move |stores, found: &mut Vec<Record<K, A>>| {
            Some(rows::<K, A>(stores, store)?.map(|rows| {
                found.extend(rows.into_iter().map(|(key, value, at)| Record {
                    key,
                    value,
                    at,
                    headers: Headers::NONE,
                }));
            }))
        })
    }

    /// The windows or sessions of `key` that have not closed, in order of start.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{App, Log, Producer, Topic, Topology, Tumbling};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let minutes = topology.stream(&CLICKS).window(Tumbling::of(Duration::from_mins(1)));
    /// let _counts = minutes.count("counts").on_close();
    /// let log = Log::in_memory();
    /// let running = App::new(topology.build()?, log.clone()).partitions(1).start()?;
    /// # let mut clicks = Producer::open(&log, &CLICKS)?;
    /// # clicks.send("ann".into(), "home".into(), 0)?;
    /// # clicks.flush()?;
    /// let counts = running.query::<String, u64>("counts")?;
    /// # while counts.windows(&"ann".into())?.is_empty() {
    /// #     std::thread::yield_now();
    /// # }
    /// // A click of ann has been counted, in the first minute.
    /// let open = counts.windows(&"ann".into())?;
    /// assert_eq!((open[0].start, open[0].value), (0.into(), 1));
    /// # running.shutdown()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn windows(&self, key: &K) -> Result<Vec<InWindow<A>>> {
        let key = key.clone();
        let Place::Store(store) = self.place else { return Err(self.other()) };
        self.visit(store, move |stores, found: &mut Vec<InWindow<A>>| {
            if let Some(sessions) = stores.find::<SessionStore<K, A>>(store) {
                return Some(find_sessions(sessions, &key, found));
            }
            if let Some(sessions) = stores.find::<SessionStore<K, A, Furthest>>(store) {
                return Some(find_sessions(sessions, &key, found));
            }
            if let Some((view, sliding)) = stores.view::<SlidingView<K, A>>(store) {
                return Some(view.windows(sliding, &key).map(|open| {
                    found.extend(open.into_iter().filter_map(|pane| {
                        let (start, end) = (pane.start, view.end(pane.start));
                        pane.value.map(|value| InWindow { start, end, value })
                    }));
                }));
            }
            if let Some(slices) = stores.find::<SliceStore<K, A>>(store) {
                return Some(slices.windows_of(&key).map(|open| {
                    found.extend(open.into_iter().filter_map(|(start, part)| {
                        let end = slices.hops.end(start);
                        part.map(|part| InWindow { start, end, value: part.value })
                    }));
                }));
            }
            let windows = stores.find::<WindowStore<K, A>>(store)?;
            Some(windows.panes.keys().try_for_each(|start| {
                if let Some(Held::Open(value, _)) = windows.committed(*start, &key)? {
                    let (start, end) = (*start, windows.hops.end(*start));
                    found.push(InWindow { start, end, value });
                }
                Ok(())
            }))
        })
    }

    /// Visits the stores of all tasks; `None` says that the store has another type.
    fn visit<T: Default + Send + 'static>(
        &self,
        store: usize,
        look: impl Fn(&Stores, &mut T) -> Option<Result<()>> + Send + 'static,
    ) -> Result<T> {
        let found = self.running.visit(move |scope: &mut Scope| {
            let mut found = T::default();
            for (_, stores) in scope.stores() {
                if stores.has(store)
                    && let Err(error) = look(stores, &mut found)?
                {
                    return Some(Err(error));
                }
            }
            Some(Ok(found))
        })?;
        found.unwrap_or_else(|| Err(self.other()))
    }

    /// Looks at a global table.
    fn look<T: Send + 'static>(
        &self,
        number: usize,
        look: impl FnOnce(&GlobalRows<K, A>) -> T + Send + 'static,
    ) -> Result<T> {
        let look = move |scope: &mut Scope| scope.globals().look(number, look);
        self.running.visit(look)?.ok_or_else(|| self.other())
    }

    fn other(&self) -> Error {
        let text = "the store has rows of other types or another kind";
        Error::invalid(text).with("store", &self.name)
    }
}

/// Finds the open sessions of a key.
fn find_sessions<K: Key, A: Data, R: Reach>(
    sessions: &SessionStore<K, A, R>,
    key: &K,
    found: &mut Vec<InWindow<A>>,
) -> Result<()> {
    found.extend(sessions.committed(key)?.into_iter().map(|session| InWindow {
        start: session.start,
        end: session.end,
        value: session.value,
    }));
    Ok(())
}
