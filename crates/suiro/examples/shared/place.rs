//! Where an example's topics are: in an embedded log, or on Apache Kafka.

use super::SharedOptions;
use std::path::Path;
use std::sync::Arc;
use suiro::{Broker, Error, Log, LogOptions, Result};

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

impl SharedOptions {
    /// Opens what the topics are on; `log` opens a log in `dir`.
    pub fn open(&self, log: LogOptions, dir: &Path) -> Result<Place> {
        if self.is_kafka() {
            return Ok(Place { broker: self.kafka()?, log: None });
        }
        let log = log.holder(&self.app).open(dir)?;
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
