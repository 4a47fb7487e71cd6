//! Where an example keeps its state: options that all of them have.

use lexopt::prelude::*;
use std::path::Path;
use std::time::Duration;
use suiro::{App, Result, Snapshots};

pub const HELP: &str = "
  --store memory|disk  where tables are kept: in memory, or in LOG/state, and of them in memory
                       as much as there is room for [memory]
  --store-memory N     how much of the tables is in memory, in bytes, with --store disk [67108864]
  --snapshots MS       takes snapshots of the tables in memory, so often [never]
";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct StateOptions {
    disk: bool,
    memory: usize,
    snapshots: Option<Duration>,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self { disk: false, memory: 64 << 20, snapshots: None }
    }
}

impl StateOptions {
    /// Takes the option `name`, if it is one of these, and gives whether it is.
    pub fn take(
        &mut self,
        name: &str,
        parser: &mut lexopt::Parser,
    ) -> Result<bool, lexopt::Error> {
        match name {
            "store" => self.disk = parser.value()?.parse_with(is_disk)?,
            "store-memory" => self.memory = parser.value()?.parse()?,
            "snapshots" => {
                self.snapshots = Some(Duration::from_millis(parser.value()?.parse()?));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Has an app whose log is in `dir` keep its state so.
    pub fn apply(&self, app: App, dir: &Path) -> Result<App> {
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

fn is_disk(text: &str) -> Result<bool, &'static str> {
    match text {
        "memory" => Ok(false),
        "disk" => Ok(true),
        _ => Err("it is memory or disk"),
    }
}

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
