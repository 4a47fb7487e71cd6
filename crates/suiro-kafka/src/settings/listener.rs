//! Where processes of an app watch each other.

use suiro_core::{Error, Result};

/// Where a process listens so that others of its app see at once when it dies. Nothing is said
/// there, and nothing that is said is read.
///
/// ```
/// use suiro_kafka::{PeerListener, Settings};
///
/// let mut settings = Settings::new("localhost:9092");
/// settings.set("peer.listener", "10.0.0.7:7400")?;
/// assert_eq!(settings.peer_listener, PeerListener::At("10.0.0.7".into(), 7400));
/// assert!(settings.set("peer.listener", "7400").is_err());
/// # Ok::<(), suiro_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PeerListener {
    /// At the address by which this host reaches its brokers, on a port that is free: `auto`.
    #[default]
    Auto,
    /// Nowhere: a process that dies is missed when its session times out. `none`.
    None,
    /// At an address by which the others reach it: `host:port`.
    At(String, u16),
}

impl PeerListener {
    pub(super) fn parse(value: &str) -> Result<Self> {
        match value {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let parted = value.rsplit_once(':');
        let parted = parted.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parted.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
            Error::invalid("setting is neither auto, none, nor of the form host:port")
                .with("name", "peer.listener")
                .with("value", value)
        })?;
        Ok(Self::At(host.trim_matches(['[', ']']).to_owned(), port))
    }
}
