//! What a client must know: where the brokers are, who it is to them, and how patient to be.
//!
//! | room | what it holds |
//! |---|---|
//! | `security` | how client and brokers know each other |
//! | `secret` | text that nobody is shown by accident |
//! | `listener` | where processes of an app watch each other |
//! | `jaas` | user and password as Java's clients name them |
//! | `properties` | the format of properties files |

mod jaas;
mod listener;
mod properties;
mod secret;
mod security;

pub use listener::PeerListener;
pub use secret::Secret;
pub use security::{Protocol, SaslMechanism, Security};

use std::path::PathBuf;
use std::time::Duration;
use suiro_core::batch::Compression;
use suiro_core::{Error, Result};

/// Settings of a client, by the names that Kafka's own clients use.
///
/// ```
/// use suiro_kafka::Settings;
///
/// let settings = Settings::from_properties("
///     ## as in a client.properties
///     bootstrap.servers=one:9092,two:9092
///     session.timeout.ms=10000
/// ")?;
/// assert_eq!(settings.bootstrap_servers, ["one:9092", "two:9092"]);
///
/// let error = Settings::from_properties("bootstrap.serves=one:9092").unwrap_err();
/// assert!(error.to_string().contains("bootstrap.serves"));
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `bootstrap.servers`: addresses of some brokers, `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// `client.id`: what brokers call this client in their logs and quotas.
    pub client_id: String,
    /// `request.timeout.ms`: how long an answer may take before its connection is given up
    /// (30 s).
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long something is tried before it is an error (60 s).
    pub api_timeout: Duration,
    /// `session.timeout.ms`: how long a member of a group may be silent before its tasks go to
    /// others (45 s).
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`: how often a member says that it is there (3 s).
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: how long a member may take to follow a change of its group
    /// (60 s).
    pub rebalance_timeout: Duration,
    /// `transaction.timeout.ms`: how long the brokers let a commit be open (60 s).
    pub transaction_timeout: Duration,
    /// `metadata.max.age.ms`: how old what is known of topics may become (5 min).
    pub metadata_max_age: Duration,
    /// `retry.backoff.ms`: the first pause before something is tried again; it doubles up to
    /// `retry.backoff.max.ms` (20 ms, 1 s).
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `max.request.size`: the most bytes of records in one request (1 MiB).
    pub max_request_size: usize,
    /// `compression.type`: how what is written is compressed: `none`, `gzip`, `snappy`, `lz4`, or
    /// `zstd` (none). Batches that would not become smaller go as they are.
    pub compression: Compression,
    /// `fetch.max.wait.ms`: how long a broker may hold back an answer when nothing is new
    /// (500 ms).
    pub fetch_max_wait: Duration,
    /// `replication.factor` of topics that are created; -1 leaves it to the brokers.
    pub replication_factor: i16,
    /// `state.dir`: where a process keeps the name under which it works on a program; processes
    /// of one machine may share it (`suiro` in the directory for temporary files).
    pub state_dir: PathBuf,
    /// `peer.listener`: where a process listens so that others of its app see at once when it dies
    /// (on any port of the address by which it reaches its brokers).
    pub peer_listener: PeerListener,
    /// `security.protocol` and the settings of SASL and SSL: how client and brokers know each
    /// other (not at all).
    pub security: Security,
}

impl Settings {
    /// The defaults, for brokers at `servers`: `host:port`, several with commas between them.
    ///
    /// ```
    /// use suiro_kafka::Settings;
    ///
    /// assert_eq!(Settings::new("localhost:9092").bootstrap_servers, ["localhost:9092"]);
    /// ```
    pub fn new(servers: &str) -> Self {
        let millis = Duration::from_millis;
        Self {
            bootstrap_servers: list(servers),
            client_id: "suiro".into(),
            request_timeout: millis(30_000),
            api_timeout: millis(60_000),
            session_timeout: millis(45_000),
            heartbeat_interval: millis(3_000),
            rebalance_timeout: millis(60_000),
            transaction_timeout: millis(60_000),
            metadata_max_age: millis(300_000),
            retry_backoff: millis(20),
            retry_backoff_max: millis(1_000),
            max_request_size: 1 << 20,
            compression: Compression::None,
            fetch_max_wait: millis(500),
            replication_factor: -1,
            state_dir: std::env::temp_dir().join("suiro"),
            peer_listener: PeerListener::default(),
            security: Security::default(),
        }
    }

    /// Reads the text of a properties file, as Java writes them: a line each, `name=value`, `#`
    /// begins a comment, a backslash at the end continues a line, and `\n` is an end of line in
    /// a value. A name that is not known is an error, so that nobody believes in a setting that
    /// does nothing.
    pub fn from_properties(text: &str) -> Result<Self> {
        let mut settings = Self::new("");
        for (name, value) in properties::pairs(text)? {
            settings.set(&name, &value)?;
        }
        Ok(settings)
    }

    /// Sets one setting by Kafka's name.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro_kafka::Settings;
    ///
    /// let mut settings = Settings::new("localhost:9092");
    /// settings.set("transaction.timeout.ms", "10000")?;
    /// assert_eq!(settings.transaction_timeout, Duration::from_secs(10));
    /// assert!(settings.set("transaction.timeout.ms", "soon").is_err());
    /// # Ok::<(), suiro_core::Error>(())
    /// ```
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = || {
            value.parse::<u64>().map_err(|error| {
                let error = Error::invalid("setting is no number").caused_by(error);
                error.with("name", name).with("value", value)
            })
        };
        let millis = || number().map(Duration::from_millis);
        match name {
            "bootstrap.servers" => self.bootstrap_servers = list(value),
            "client.id" => self.client_id = value.into(),
            "request.timeout.ms" => self.request_timeout = millis()?,
            "default.api.timeout.ms" => self.api_timeout = millis()?,
            "session.timeout.ms" => self.session_timeout = millis()?,
            "heartbeat.interval.ms" => self.heartbeat_interval = millis()?,
            "max.poll.interval.ms" => self.rebalance_timeout = millis()?,
            "transaction.timeout.ms" => self.transaction_timeout = millis()?,
            "metadata.max.age.ms" => self.metadata_max_age = millis()?,
            "retry.backoff.ms" => self.retry_backoff = millis()?,
            "retry.backoff.max.ms" => self.retry_backoff_max = millis()?,
            "max.request.size" => self.max_request_size = number()? as usize,
            "compression.type" => self.compression = Compression::named(value)?,
            "fetch.max.wait.ms" => self.fetch_max_wait = millis()?,
            "peer.listener" => self.peer_listener = PeerListener::parse(value)?,
            "state.dir" => self.state_dir = value.into(),
            "replication.factor" => {
                self.replication_factor = value.parse().map_err(|error| {
                    let error = Error::invalid("setting is no small number").caused_by(error);
                    error.with("name", name).with("value", value)
                })?;
            }
            // The value of a name that is not known may be a password.
            _ if !self.security.set(name, value)? => {
                let text = "setting is not known; correct or remove it";
                return Err(Error::invalid(text).with("name", name));
            }
            _ => {}
        }
        Ok(())
    }

    /// The addresses, parted into host and port.
    pub(crate) fn addresses(&self) -> Result<Vec<(String, u16)>> {
        let mut all = Vec::new();
        for server in &self.bootstrap_servers {
            let parted = server.rsplit_once(':');
            let parted = parted.and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let Some((host, port)) = parted.filter(|(host, _)| !host.is_empty()) else {
                let text = "address is not of the form host:port";
                return Err(Error::invalid(text).with("bootstrap.servers", server));
            };
            all.push((host.trim_matches(['[', ']']).to_owned(), port));
        }
        if all.is_empty() {
            let text = "no address of a broker; set bootstrap.servers to host:port";
            return Err(Error::invalid(text));
        }
        Ok(all)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use suiro_core::ErrorKind;

    #[test]
    fn addresses_need_a_host_and_a_port() {
        let all = Settings::new("one:9092, [::1]:9093").addresses().unwrap();
        assert_eq!(all, [("one".into(), 9092), ("::1".into(), 9093)]);
        for wrong in ["", "one", ":9092", "one:port", "one:99999"] {
            let error = Settings::new(wrong).addresses().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        }
    }
}
