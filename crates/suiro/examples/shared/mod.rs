//! What all examples share: options, and what follows from them.

mod place;
mod state;

use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use suiro::Guarantee;

pub const HELP: &str = "
  --app NAME           names the positions and the state; processes with the same one share the
                       work, where the topics are on Kafka [the name of the example]
  --kafka HOST:PORT[,..]  the topics are on Apache Kafka, in place of an embedded log
  --properties FILE    settings of the client, by Kafka's names; several processes may share one
  --state DIR          what a process keeps beside Kafka: its name, and its tables if it is asked to
                       [suiro in the directory for temporary files]
  --standbys N         how many copies of the tables other processes keep, on Kafka [0]
  --guarantee exactly-once|at-least-once  what is promised where something fails [exactly-once]
  --store memory|disk  where tables are kept: in memory, or in LOG/state, and of them in memory
                       as much as there is room for [memory]
  --store-memory N     how much of the tables is in memory, in bytes, with --store disk [67108864]
  --snapshots MS       takes snapshots of the tables in memory, so often [never]
";

/// What the command line says of what all examples share.
#[derive(Clone, Debug)]
pub struct SharedOptions {
    /// The name of the app.
    pub app: String,
    servers: Option<String>,
    properties: Option<PathBuf>,
    state: Option<PathBuf>,
    standbys: u32,
    guarantee: Guarantee,
    disk: bool,
    memory: usize,
    snapshots: Option<Duration>,
}

impl SharedOptions {
    /// As it is where the command line says nothing; the app is called `app`.
    pub fn of(app: &str) -> Self {
        let (servers, properties, state, snapshots) = (None, None, None, None);
        let (app, standbys, disk, memory) = (app.to_owned(), 0, false, 64 << 20);
        let guarantee = Guarantee::ExactlyOnce;
        Self { app, servers, properties, state, standbys, guarantee, disk, memory, snapshots }
    }

    /// Takes the option `name`; there is none that is not known here.
    pub fn take(
        &mut self,
        name: &str,
        parser: &mut lexopt::Parser,
    ) -> Result<(), lexopt::Error> {
        match name {
            "app" => self.app = parser.value()?.string()?,
            "kafka" => self.servers = Some(parser.value()?.string()?),
            "properties" => self.properties = Some(parser.value()?.into()),
            "state" => self.state = Some(parser.value()?.into()),
            "standbys" => self.standbys = parser.value()?.parse()?,
            "guarantee" => self.guarantee = parser.value()?.parse_with(guarantee)?,
            "store" => self.disk = parser.value()?.parse_with(is_disk)?,
            "store-memory" => self.memory = parser.value()?.parse()?,
            "snapshots" => {
                self.snapshots = Some(Duration::from_millis(parser.value()?.parse()?));
            }
            _ => return Err(Long(name).unexpected()),
        }
        Ok(())
    }

    /// Whether the topics are on Kafka.
    pub fn is_kafka(&self) -> bool {
        self.servers.is_some() || self.properties.is_some()
    }

    /// Where a process keeps its state: beside the log in `dir`, or where it is told to.
    fn state_dir(&self, dir: &Path) -> PathBuf {
        match &self.state {
            Some(state) => state.clone(),
            None if self.is_kafka() => std::env::temp_dir().join("suiro"),
            None => dir.to_owned(),
        }
    }
}

fn guarantee(text: &str) -> Result<Guarantee, &'static str> {
    match text {
        "exactly-once" => Ok(Guarantee::ExactlyOnce),
        "at-least-once" => Ok(Guarantee::AtLeastOnce),
        _ => Err("it is exactly-once or at-least-once"),
    }
}

fn is_disk(text: &str) -> Result<bool, &'static str> {
    match text {
        "memory" => Ok(false),
        "disk" => Ok(true),
        _ => Err("it is memory or disk"),
    }
}
