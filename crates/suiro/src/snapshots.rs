//! Where an app keeps snapshots of its stores, and how often it takes them.

use std::fmt;
#[cfg(feature = "snapshots")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Result;
use suiro_core::broker::Broker;
use suiro_core::objects::Objects;
use suiro_engine::{SnapshotSettings, Tuning};

/// Snapshots of the stores of an app, so that a restart replays only what was committed after
/// the last one: see [`App::snapshots`](crate::App::snapshots).
///
/// A snapshot is made of what is committed in the changelogs, by a thread of its own that never
/// makes a task wait. The next one adds what has changed since. At a start each store is loaded
/// from its newest snapshot that is whole, on all cores, and the changelog is replayed from there
/// on. A damaged file is passed over, with a warning that names it: then an older snapshot is
/// used, or the whole changelog. Without snapshots everything is as correct, and slower to start.
///
/// Snapshots that are newer than all that is in the log are refused by name: then commits were
/// lost, and a human must say whether to bring the log back or to go on without.
///
/// A source table that is restored from its own compacted topic has no snapshots.
///
/// ```
/// use std::time::Duration;
/// use suiro::{App, AppState, Log, Producer, Snapshots, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::json("clicks");
///
/// let topology = Topology::new("clicks");
/// let _counts = topology.stream(&CLICKS).count("counts");
/// let plan = topology.build()?;
///
/// let dir = tempfile::tempdir().unwrap();
/// let log = Log::open(dir.path())?;
/// let mut clicks = Producer::open(&log, &CLICKS)?;
/// clicks.create(1)?;
/// clicks.send("ann".into(), "home".into(), 1)?;
/// clicks.flush()?;
///
/// let snapshots = Snapshots::every(Duration::from_mins(1));
/// let app = App::new(plan.clone(), log.clone()).snapshots(snapshots.clone());
/// let running = app.start()?;
/// while running.metrics().records_in < 1 {
///     std::thread::yield_now();
/// }
/// assert_eq!(running.snapshot()?.rows, 1);
/// running.shutdown()?;
///
/// let running = App::new(plan, log).snapshots(snapshots).start()?;
/// while running.state() != AppState::Running {
///     std::thread::yield_now();
/// }
/// assert_eq!((running.metrics().loaded, running.metrics().restored), (1, 0));
/// running.shutdown()?;
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone)]
pub struct Snapshots {
    every: Duration,
    place: Arc<OpenPlace>,
    tuning: Tuning,
}

/// Opens the place of the snapshots. It is a function, so that a program that takes no snapshots
/// does not carry what opens it.
type OpenPlace = dyn Fn(&dyn Broker) -> Result<Arc<dyn Objects>> + Send + Sync;

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("every", &self.every)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

impl Snapshots {
    /// Snapshots in the directory `snapshots` of the log, taken at this distance: beside the
    /// log, they go when it goes. A log without files needs another place.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Snapshots;
    ///
    /// let snapshots = Snapshots::every(Duration::from_mins(1));
    /// assert!(format!("{snapshots:?}").contains("60s"));
    /// ```
    #[cfg(feature = "snapshots")]
    pub fn every(interval: Duration) -> Self {
        Self::new(interval, |broker| {
            let text = "the log is not in a directory; say where the snapshots are to be kept";
            let dir = broker.directory().ok_or_else(|| suiro_core::Error::invalid(text))?;
            Ok(Arc::new(suiro_store::ObjectStorage::directory(dir.join("snapshots"))?))
        })
    }

    /// Snapshots in the directory `dir`, which several apps may share. It is made if it does not
    /// exist.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{App, Log, Snapshots, Topic, Topology};
    ///
    /// const CLICKS: Topic<String, String> = Topic::json("clicks");
    ///
    /// let topology = Topology::new("clicks");
    /// let _counts = topology.stream(&CLICKS).count("counts");
    /// let dir = tempfile::tempdir().unwrap();
    /// let snapshots = Snapshots::in_directory(Duration::from_secs(30), dir.path().join("s"));
    /// let app = App::new(topology.build()?, Log::in_memory()).partitions(1);
    /// app.snapshots(snapshots).start()?.shutdown()?;
    /// assert!(dir.path().join("s").is_dir());
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[cfg(feature = "snapshots")]
    pub fn in_directory(interval: Duration, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self::new(interval, move |_| Ok(Arc::new(suiro_store::ObjectStorage::directory(&dir)?)))
    }

    /// Snapshots in an S3-compatible bucket: `s3://bucket/prefix`. Keys, region and endpoint
    /// come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
    /// `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`). The bucket must support conditional writes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Snapshots;
    ///
    /// Snapshots::in_bucket(Duration::from_mins(5), "s3://snapshots/shop");
    /// ```
    #[cfg(feature = "s3")]
    pub fn in_bucket(interval: Duration, url: impl Into<String>) -> Self {
        let url = url.into();
        Self::new(interval, move |_| Ok(Arc::new(suiro_store::ObjectStorage::bucket(&url)?)))
    }

    /// Snapshots in any object store: [`MemoryObjects`](crate::MemoryObjects) in a test, or one
    /// of your own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{MemoryObjects, Snapshots};
    ///
    /// Snapshots::in_objects(Duration::from_secs(1), MemoryObjects::default());
    /// ```
    pub fn in_objects(interval: Duration, objects: impl Objects + 'static) -> Self {
        let objects: Arc<dyn Objects> = Arc::new(objects);
        Self::new(interval, move |_| Ok(Arc::clone(&objects)))
    }

    fn new(
        every: Duration,
        place: impl Fn(&dyn Broker) -> Result<Arc<dyn Objects>> + Send + Sync + 'static,
    ) -> Self {
        Self { every, place: Arc::new(place), tuning: Tuning::default() }
    }

    /// How many snapshots of a partition are kept: the newest, and those to fall back to when it
    /// is damaged. At least 1; default 2. They share the files that did not change.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{MemoryObjects, Snapshots};
    ///
    /// Snapshots::in_objects(Duration::from_secs(1), MemoryObjects::default()).keep(3);
    /// ```
    #[must_use]
    pub fn keep(mut self, count: usize) -> Self {
        self.tuning.keep = count.max(1);
        self
    }

    /// How old a file must be before it is deleted because no snapshot needs it any more. It must
    /// be longer than taking a snapshot takes. Default: 10 minutes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{MemoryObjects, Snapshots};
    ///
    /// let snapshots = Snapshots::in_objects(Duration::from_secs(1), MemoryObjects::default());
    /// let _patient = snapshots.grace(Duration::from_hours(1));
    /// ```
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.tuning.grace = grace;
        self
    }

    pub(crate) fn open(&self, broker: &dyn Broker) -> Result<SnapshotSettings> {
        let objects = (self.place)(broker)?;
        Ok(SnapshotSettings { objects, every: self.every, tuning: self.tuning.clone() })
    }
}
