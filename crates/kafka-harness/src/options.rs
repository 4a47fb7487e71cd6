//! What a cluster is to be like.

/// What a cluster is to be like; one node of the newest Kafka that is tested, unless said otherwise.
///
/// ```
/// use suiro_kafka_harness::Options;
///
/// let three = Options::new().nodes(3).set("broker.session.timeout.ms", "2000");
/// let old_and_safe = Options::new().version("3.9.2").security();
/// assert_ne!(three, old_and_safe);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub(crate) arguments: Vec<String>,
}

impl Options {
    /// One node, plain text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One node or three. With three, topics have three replicas, and a write needs two.
    #[must_use]
    pub fn nodes(self, count: u8) -> Self {
        self.with("--nodes", count.to_string())
    }

    /// The version of Kafka, as Maven Central has it.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        self.with("--version", version.to_owned())
    }

    /// A property of the brokers in Kafka's own name. The last value of a property counts.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.with("--set", format!("{key}={value}"))
    }

    /// The level of a feature when the cluster is made, as `transaction.version` 1.
    #[must_use]
    pub fn feature(self, name: &str, level: u16) -> Self {
        self.with("--feature", format!("{name}={level}"))
    }

    /// Listeners for SSL, SASL_PLAINTEXT and SASL_SSL too, with certificates and users;
    /// [`Kafka::fact`](crate::Kafka::fact) names them.
    #[must_use]
    pub fn security(mut self) -> Self {
        self.arguments.push("--security".to_owned());
        self
    }

    /// Authorisation: the users have no rights but those that `kafka-acls` gives them, and who gives
    /// no name (the plain listener, SSL without a certificate) has all.
    #[must_use]
    pub fn authorization(self) -> Self {
        let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        self.set("authorizer.class.name", authorizer).set("super.users", "User:ANONYMOUS")
    }

    /// The brokers' whole JIT: they start slower and are faster in the long run. For benches.
    #[must_use]
    pub fn for_benches(self) -> Self {
        self.with("--jit", "full".to_owned())
    }

    fn with(mut self, option: &str, value: String) -> Self {
        self.arguments.extend([option.to_owned(), value]);
        self
    }
}
