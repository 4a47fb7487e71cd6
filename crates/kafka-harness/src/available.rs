//! Whether tests on Kafka run on this machine, and the line that says that they do not.

use crate::script::Script;
use std::env;
use std::io::{self, Write};

/// What `SUIRO_KAFKA` asks for.
pub(crate) enum Wish {
    /// Kafka if it can be had.
    IfAvailable,
    /// Kafka, or a failure.
    Required,
    /// No tests on Kafka.
    Off,
    /// A cluster that runs already, by its addresses.
    Running(String),
}

impl Wish {
    pub(crate) fn read() -> Self {
        match env::var("SUIRO_KAFKA").unwrap_or_default().as_str() {
            "" => Self::IfAvailable,
            "required" => Self::Required,
            "off" => Self::Off,
            addresses => Self::Running(addresses.to_owned()),
        }
    }
}

/// Whether Kafka can be started here: Java 17, and Maven to fetch Kafka with or Kafka fetched before.
///
/// # Errors
///
/// Says what is missing and how to install it.
///
/// ```
/// if let Err(reason) = suiro_kafka_harness::available() {
///     println!("no Kafka here: {reason}");
/// }
/// ```
pub fn available() -> io::Result<()> {
    Script::without_cluster().run(&["available"]).map(drop)
}

/// Whether a test that starts Kafka is to run. If not, stderr says so, past the capture of tests.
pub(crate) fn wanted(wish: &Wish) -> bool {
    let reason = match wish {
        Wish::Required => return true,
        Wish::Off => "SUIRO_KAFKA=off".to_owned(),
        Wish::IfAvailable | Wish::Running(_) => match available() {
            Ok(()) => return true,
            Err(error) => error.to_string(),
        },
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody is there to hear of a stderr that is closed.
    let _ = writeln!(io::stderr(), "left out: {test}, which needs Apache Kafka: {reason}");
    false
}
