//! Where an example keeps its tables.

use super::SharedOptions;
use std::path::Path;
use std::time::Duration;
use suiro::{App, Result, Snapshots};

impl SharedOptions {
    /// Has an app whose log is in `dir`, if it has one, keep its state so.
    pub fn apply(&self, app: App, dir: &Path) -> Result<App> {
        let app = app.standbys(self.standbys).guarantee(self.guarantee);
        let dir = &self.state_dir(dir);
        let app = match self.snapshots {
            Some(every) => app.snapshots(snapshots(every, dir)?),
            None => app,
        };
        if self.disk { on_disk(app, dir, self.memory) } else { Ok(app) }
    }
}

/// What the stores may take for their caches and write buffers, in bytes.
#[cfg(feature = "disk")]
const CACHE: u64 = 16 << 20;

#[cfg(feature = "disk")]
fn on_disk(app: App, dir: &Path, memory: usize) -> Result<App> {
    // A service says `state_on_disk`, with one budget for all of it. Here the rows alone are told
    // how much they may take, be it nothing, so that tests have them come and go.
    let stores = suiro::DiskStores::open_in(dir.join("state"), CACHE)?;
    Ok(app.stores(stores, memory))
}

#[cfg(not(feature = "disk"))]
fn on_disk(_: App, _: &Path, _: usize) -> Result<App> {
    Err(suiro::Error::invalid("--store disk is not built in; build with --features disk"))
}

#[cfg(feature = "snapshots")]
fn snapshots(every: Duration, dir: &Path) -> Result<Snapshots> {
    Ok(Snapshots::in_directory(every, dir.join("snapshots")))
}

#[cfg(not(feature = "snapshots"))]
fn snapshots(_: Duration, _: &Path) -> Result<Snapshots> {
    Err(suiro::Error::invalid("--snapshots is not built in; build with --features snapshots"))
}
