//! Apache Kafka behind the contract of Suiro's log: batches in, batches out, one commit.
//!
//! No runtime and no threads: a session reads and writes its sockets when it is polled, and
//! waits where it is told to wait.
//!
//! | room | what it holds |
//! |---|---|
//! | `broker` | [`Kafka`]: a cluster as a log |
//! | `claim` | the name under which a process works on a program |
//! | `settings` | [`Settings`], by the names that Kafka's own clients use |
//! | `scram` | proving to a broker that one knows a password, without saying it |
//! | `session` | a conversation with a cluster: requests, answers, and what follows from them |
//! | `net` | connections that carry frames: TCP, and TLS on it |
//! | `codes` | what the brokers' error codes mean here |
//! | `visible` | what was committed here, and must be seen here |
//! | `words` | strings as the messages want them |
//! | `simulation` | the door of the simulator |

mod broker;
mod claim;
mod codes;
mod net;
pub mod scram;
mod session;
mod settings;
#[doc(hidden)]
pub mod simulation;
mod visible;
mod words;

pub use broker::Kafka;
pub use settings::{PeerListener, Protocol, SaslMechanism, Secret, Security, Settings};
