//! How a client makes itself known to brokers, and how it knows them.

use super::jaas::Login;
use super::secret::Secret;
use crate::scram;
use std::path::PathBuf;
use suiro_core::{Error, Result};

/// How a client makes itself known to brokers, and how it knows them.
///
/// ```
/// use suiro_kafka::{Protocol, SaslMechanism, Settings};
///
/// let settings = Settings::from_properties(r#"
///     bootstrap.servers=one:9093
///     security.protocol=SASL_SSL
///     sasl.mechanism=SCRAM-SHA-512
///     sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
///         username="alice" password="secret";
///     ssl.truststore.type=PEM
///     ssl.truststore.location=/etc/kafka/ca.pem
/// "#)?;
/// assert_eq!(settings.security.protocol, Protocol::SaslSsl);
/// assert_eq!(settings.security.sasl_username, "alice");
/// assert!(!format!("{settings:?}").contains("secret"));
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// `security.protocol`: whether connections are encrypted, and whether a user logs in (no,
    /// and no).
    pub protocol: Protocol,
    /// `sasl.mechanism`, or `sasl.mechanisms`: how a user logs in. Where one does, it must be
    /// named.
    pub sasl_mechanism: Option<SaslMechanism>,
    /// `sasl.username`, or the one in `sasl.jaas.config`.
    pub sasl_username: String,
    /// `sasl.password`, or the one in `sasl.jaas.config`.
    pub sasl_password: Secret,
    /// `ssl.truststore.location`, or `ssl.ca.location`: a file with the certificates, as PEM, of
    /// those who may vouch for a broker (those that the system trusts).
    pub truststore: Option<PathBuf>,
    /// `ssl.truststore.certificates`: the same as text.
    pub truststore_certificates: String,
    /// `ssl.keystore.location`: a file with the client's own key and certificates, as PEM (none).
    pub keystore: Option<PathBuf>,
    /// `ssl.keystore.certificate.chain`: the client's own certificates as text.
    pub keystore_certificates: String,
    /// `ssl.keystore.key`: the client's own key as text.
    pub keystore_key: Secret,
    /// `ssl.endpoint.identification.algorithm`: whether a broker's certificate must name the
    /// host that was asked for. `https` says yes, an empty value no (yes).
    pub verify_host: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            protocol: Protocol::Plaintext,
            sasl_mechanism: None,
            sasl_username: String::new(),
            sasl_password: Secret::default(),
            truststore: None,
            truststore_certificates: String::new(),
            keystore: None,
            keystore_certificates: String::new(),
            keystore_key: Secret::default(),
            verify_host: true,
        }
    }
}

/// Whether connections are encrypted, and whether a user logs in on them.
///
/// ```
/// use suiro_kafka::Protocol;
///
/// assert!(Protocol::SaslSsl.has_tls() && Protocol::SaslSsl.has_sasl());
/// assert_eq!(Protocol::SaslSsl.name(), "SASL_SSL");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PLAINTEXT`: neither.
    Plaintext,
    /// `SSL`: encrypted by TLS.
    Ssl,
    /// `SASL_PLAINTEXT`: a user logs in, and all can be read on the way, a password of the
    /// mechanism `PLAIN` too.
    SaslPlaintext,
    /// `SASL_SSL`: encrypted by TLS, and a user logs in.
    SaslSsl,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Whether connections are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a user logs in.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a user logs in.
///
/// ```
/// use suiro_kafka::SaslMechanism;
///
/// assert_eq!(SaslMechanism::Plain.name(), "PLAIN");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslMechanism {
    /// `PLAIN`: the password is sent as it is.
    Plain,
    /// `SCRAM-SHA-256` and `SCRAM-SHA-512`: the password is proved, and never sent.
    Scram(scram::Mechanism),
}

impl SaslMechanism {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(mechanism) => mechanism.name(),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            name => scram::Mechanism::from_name(name).map(Self::Scram),
        }
    }
}

impl Security {
    /// Sets one setting by Kafka's name; false if none of these has that name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "security.protocol" => {
                let named = |it: &Protocol| it.name().eq_ignore_ascii_case(value);
                let found = Protocol::ALL.into_iter().find(named);
                let known = "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL";
                self.protocol = found.ok_or_else(|| no_such(name, value, known))?;
            }
            "sasl.mechanism" | "sasl.mechanisms" => {
                let known = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";
                let found = SaslMechanism::from_name(value);
                self.sasl_mechanism = Some(found.ok_or_else(|| no_such(name, value, known))?);
            }
            "sasl.username" => self.sasl_username = value.into(),
            "sasl.password" => self.sasl_password = value.into(),
            "sasl.jaas.config" => {
                let login = Login::parse(value)?;
                self.sasl_username = login.username;
                self.sasl_password = login.password.as_str().into();
            }
            "ssl.truststore.location" | "ssl.ca.location" => {
                self.truststore = Some(value.into())
            }
            "ssl.truststore.certificates" => self.truststore_certificates = value.into(),
            "ssl.keystore.location" => self.keystore = Some(value.into()),
            "ssl.keystore.certificate.chain" => self.keystore_certificates = value.into(),
            "ssl.keystore.key" => self.keystore_key = value.into(),
            "ssl.endpoint.identification.algorithm" => {
                self.verify_host = match value {
                    "" => false,
                    _ if value.eq_ignore_ascii_case("https") => true,
                    _ => return Err(no_such(name, value, "https, or nothing for no check")),
                };
            }
            "ssl.truststore.type" | "ssl.keystore.type" => {
                if !value.eq_ignore_ascii_case("PEM") {
                    let text = "stores are read as PEM only; convert this one, with keytool \
                                -importkeystore to PKCS12 and openssl pkcs12 to PEM";
                    return Err(Error::invalid(text).with("name", name).with("value", value));
                }
            }
            "ssl.key.password" | "ssl.keystore.password" | "ssl.truststore.password" => {
                let text = "keys with a password are not read; keep the key in a PEM file that \
                            only this program may read (openssl pkcs8), and remove this setting";
                return Err(Error::invalid(text).with("name", name));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the settings fit together, and this build can do what they ask for.
    pub(crate) fn check(&self) -> Result<()> {
        let protocol = self.protocol.name();
        let wrong = |text: &str| Error::invalid(text).with("security.protocol", protocol);
        if self.protocol.has_sasl() {
            if self.sasl_mechanism.is_none() {
                let text = "no mechanism to log in with; set sasl.mechanism to PLAIN, \
                            SCRAM-SHA-256 or SCRAM-SHA-512";
                return Err(wrong(text));
            }
            if self.sasl_username.is_empty() || self.sasl_password.is_empty() {
                let text = "no user or no password to log in with; set sasl.username and \
                            sasl.password, or sasl.jaas.config";
                return Err(wrong(text));
            }
        } else if self.sasl_mechanism.is_some() || !self.sasl_username.is_empty() {
            let text = "nobody logs in by this protocol, though settings of sasl are there; set \
                        security.protocol to SASL_SSL or SASL_PLAINTEXT, or remove them";
            return Err(wrong(text));
        }
        if self.protocol.has_tls() {
            if !cfg!(feature = "tls") {
                let text = "built without tls; build with the feature `tls` of suiro";
                return Err(wrong(text));
            }
        } else if self.names_tls() {
            let text = "nothing is encrypted by this protocol, though settings of ssl are there; \
                        set security.protocol to SSL or SASL_SSL, or remove them";
            return Err(wrong(text));
        }
        Ok(())
    }

    /// Whether anything is said of encryption, but for the protocol.
    fn names_tls(&self) -> bool {
        let Self { protocol, sasl_mechanism, sasl_username, sasl_password, .. } = self.clone();
        let silent =
            Self { protocol, sasl_mechanism, sasl_username, sasl_password, ..Self::default() };
        *self != silent
    }
}

fn no_such(name: &str, value: &str, known: &str) -> Error {
    let error = Error::invalid("setting has no such value").with("name", name);
    error.with("value", value).with("known", known)
}

#[cfg(test)]
mod tests {
    use super::{Protocol, SaslMechanism};
    use crate::{Settings, scram};
    use suiro_core::ErrorKind;

    fn checked(properties: &[(&str, &str)]) -> suiro_core::Result<Settings> {
        let mut settings = Settings::new("one:9092");
        for (name, value) in properties {
            settings.set(name, value)?;
        }
        settings.security.check()?;
        Ok(settings)
    }

    #[test]
    fn names_are_those_of_kafka_and_of_librdkafka() {
        let settings = checked(&[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "SCRAM-SHA-256"),
            ("sasl.username", "alice"),
            ("sasl.password", "hush"),
        ]);
        let settings = settings.unwrap();
        let security = &settings.security;
        assert_eq!(security.protocol, Protocol::SaslPlaintext);
        let scram = SaslMechanism::Scram(scram::Mechanism::Sha256);
        assert_eq!(security.sasl_mechanism, Some(scram));
        assert_eq!(security.sasl_password.reveal(), "hush");
        assert!(!format!("{settings:?}").contains("hush"));

        let mut settings = Settings::new("one:9092");
        for (name, value) in [
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.keystore.location", "/own.pem"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", "hush"),
            ("ssl.endpoint.identification.algorithm", ""),
        ] {
            settings.set(name, value).unwrap();
        }
        assert_eq!(settings.security.truststore, Some("/ca.pem".into()));
        assert_eq!(settings.security.keystore, Some("/own.pem".into()));
        assert!(!settings.security.verify_host);
        assert!(!format!("{settings:?}").contains("hush"));
        settings.set("ssl.endpoint.identification.algorithm", "HTTPS").unwrap();
        assert!(settings.security.verify_host);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let plain = ("security.protocol", "SASL_PLAINTEXT");
        let mechanism = ("sasl.mechanism", "PLAIN");
        let user = ("sasl.username", "alice");
        let password = ("sasl.password", "hush");
        for (properties, part) in [
            (&[("security.protocol", "TLS")][..], "known=`PLAINTEXT, SSL"),
            (&[("sasl.mechanism", "GSSAPI")], "known=`PLAIN, SCRAM"),
            (&[("ssl.truststore.type", "JKS")], "PEM only"),
            (&[("ssl.key.password", "hush")], "ssl.key.password"),
            (&[("ssl.keystore.password", "hush")], "ssl.keystore.password"),
            (&[("ssl.endpoint.identification.algorithm", "ldap")], "value=`ldap`"),
            (&[("sasl.jaas.config", "hush")], "sasl.jaas.config"),
            (&[("sasl.pasword", "hush")], "sasl.pasword"),
            (&[plain, user, password], "sasl.mechanism"),
            (&[plain, mechanism, password], "sasl.username"),
            (&[plain, mechanism, user], "sasl.password"),
            (&[mechanism, user, password], "nobody logs in"),
            (&[("ssl.ca.location", "/ca.pem")], "nothing is encrypted"),
            (&[("ssl.endpoint.identification.algorithm", "")], "nothing is encrypted"),
        ] {
            let error = checked(properties).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let error = error.report();
            assert!(error.contains(part) && !error.contains("hush"), "{part}: {error}");
        }
    }

    #[test]
    fn tls_is_there_or_refused() {
        let checked = checked(&[("security.protocol", "SSL")]);
        assert_eq!(checked.is_ok(), cfg!(feature = "tls"));
        if let Err(error) = checked {
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
    }
}
