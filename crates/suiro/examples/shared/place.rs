//! Where an example's topics are: in an embedded log, or on Apache Kafka.

use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suiro::{Broker, Error, Log, LogOptions, Result};

pub const HELP: &str = "
  --kafka HOST:PORT[,..]  the topics are on Apache Kafka, in place of an embedded log; processes
                       with the same --app share the work
  --properties FILE    settings of the client, by Kafka's names; several processes may share one
  --state DIR          what a process keeps beside Kafka: its name, and its tables if it is asked to
                       [suiro in the directory for temporary files]
";

/// What a program's topics are on.
pub struct Place {
    pub broker: Arc<dyn Broker>,
    log: Option<Log>,
}

impl Place {
    /// Lets go of it, so that another process may open it.
    pub fn close(self) -> Result<()> {
        drop(self.broker);
        self.log.map_or(Ok(()), Log::close)
    }
}

/// What the command line says of Kafka.
#[derive(Clone, Debug, Default)]
pub struct PlaceOptions {
    servers: Option<String>,
    properties: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl PlaceOptions {
    /// Takes the option `name`, if it is one of these, and gives whether it is.
    pub fn take(
        &mut self,
        name: &str,
        parser: &mut lexopt::Parser,
    ) -> Result<bool, lexopt::Error> {
        match name {
            "kafka" => self.servers = Some(parser.value()?.string()?),
            "properties" => self.properties = Some(parser.value()?.into()),
            "state" => self.state = Some(parser.value()?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the topics are on Kafka.
    pub fn is_kafka(&self) -> bool {
        self.servers.is_some() || self.properties.is_some()
    }

    /// Where a process keeps its state: beside the log in `dir`, or where it is told to.
    pub fn state_dir(&self, dir: &Path) -> PathBuf {
        match &self.state {
            Some(state) => state.clone(),
            None if self.is_kafka() => std::env::temp_dir().join("suiro"),
            None => dir.to_owned(),
        }
    }

    /// Opens what the topics are on; `log` opens a log in `dir`.
    pub fn open(&self, log: LogOptions, dir: &Path) -> Result<Place> {
        if self.is_kafka() {
            return Ok(Place { broker: self.kafka()?, log: None });
        }
        let log = log.open(dir)?;
        Ok(Place { broker: Arc::new(log.clone()), log: Some(log) })
    }

    #[cfg(feature = "kafka")]
    fn kafka(&self) -> Result<Arc<dyn Broker>> {
        let text = match &self.properties {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                let text = "cannot read the file of --properties";
                Error::invalid(text).with("file", file.display()).caused_by(error)
            })?,
            None => String::new(),
        };
        let mut settings = suiro::KafkaSettings::from_properties(&text)?;
        if let Some(servers) = &self.servers {
            settings.set("bootstrap.servers", servers)?;
        }
        if let Some(state) = &self.state {
            settings.state_dir.clone_from(state);
        }
        Ok(Arc::new(suiro::Kafka::new(settings)))
    }

    #[cfg(not(feature = "kafka"))]
    fn kafka(&self) -> Result<Arc<dyn Broker>> {
        Err(Error::invalid("--kafka is not built in; build with --features kafka"))
    }
}
