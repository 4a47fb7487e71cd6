//! Where the snapshots of an app lie, and how they are made.

use std::sync::Arc;
use std::time::Duration;
use suiro_core::objects::Objects;
use suiro_core::{Clock, TopicPartition};

/// Where the snapshots of an app lie, and how they are made. Clones are the same place.
///
/// ```
/// use std::sync::Arc;
/// use suiro_core::SystemClock;
/// use suiro_store::MemoryObjects;
/// use suiro_store::snapshot::{Place, Tuning};
///
/// let objects = Arc::new(MemoryObjects::default());
/// let place = Place::new(objects, "shop", Arc::new(SystemClock::default()), Tuning::default());
/// assert_eq!(place.app(), "shop");
/// ```
#[derive(Clone)]
pub struct Place {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tuning: Tuning,
    app: Arc<str>,
}

/// How snapshots are made.
///
/// ```
/// use suiro_store::snapshot::Tuning;
///
/// let careful = Tuning { keep: 5, ..Tuning::default() };
/// assert!(careful.grace > std::time::Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How many snapshots of a partition are kept: the newest, and those to fall back to when
    /// it is damaged. At least 1; default 2.
    pub keep: usize,
    /// How old a file must be before it goes because no snapshot names it. It covers the time
    /// between the upload of a file and the manifest that names it. Default: 10 minutes.
    pub grace: Duration,
    /// How long after its append the log keeps a tombstone at least. A snapshot that is older is
    /// not used, since the changelog after it may lack removals. Default: 24 hours.
    pub tombstone_retention: Duration,
    /// About how many bytes of changes are gathered in memory. Default: 64 MiB.
    pub gather_bytes: usize,
    /// About how large a file is. Default: 8 MiB.
    pub file_bytes: usize,
    /// A run is merged with the one below it unless that is so many times larger. Default: 4.
    pub ratio: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            keep: 2,
            grace: Duration::from_mins(10),
            tombstone_retention: Duration::from_hours(24),
            gather_bytes: 64 << 20,
            file_bytes: 8 << 20,
            ratio: 4,
        }
    }
}

impl Place {
    /// The snapshots of `app` in `objects`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use suiro_core::SystemClock;
    /// use suiro_store::MemoryObjects;
    /// use suiro_store::snapshot::{Place, Tuning};
    ///
    /// let (objects, clock) = (MemoryObjects::default(), SystemClock::default());
    /// Place::new(Arc::new(objects), "shop", Arc::new(clock), Tuning::default());
    /// ```
    pub fn new(
        objects: Arc<dyn Objects>,
        app: &str,
        clock: Arc<dyn Clock>,
        tuning: Tuning,
    ) -> Self {
        Self { objects, clock, tuning, app: app.into() }
    }

    /// The name of the app.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use suiro_core::SystemClock;
    /// use suiro_store::MemoryObjects;
    /// use suiro_store::snapshot::{Place, Tuning};
    ///
    /// let (objects, clock) = (MemoryObjects::default(), SystemClock::default());
    /// let place = Place::new(Arc::new(objects), "shop", Arc::new(clock), Tuning::default());
    /// assert_eq!(place.app(), "shop");
    /// ```
    pub fn app(&self) -> &str {
        &self.app
    }

    pub(crate) fn directory(&self, of: &TopicPartition) -> String {
        format!("{}/{}/{}", self.app, of.topic, of.partition)
    }

    pub(crate) fn manifests(&self, of: &TopicPartition) -> String {
        format!("{}/manifest", self.directory(of))
    }

    /// Numbers are written so that names are in their order.
    pub(crate) fn manifest(&self, of: &TopicPartition, number: u64) -> String {
        format!("{}/{number:020}", self.manifests(of))
    }

    pub(crate) fn runs(&self, of: &TopicPartition) -> String {
        format!("{}/run", self.directory(of))
    }

    pub(crate) fn file(&self, of: &TopicPartition, hash: &str) -> String {
        format!("{}/{hash}", self.runs(of))
    }
}
