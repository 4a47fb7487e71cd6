//! The suite that every [`Broker`](crate::broker::Broker) passes, written from its contract
//! alone.
