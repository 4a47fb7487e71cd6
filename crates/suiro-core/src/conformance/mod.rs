//! The suites that every [`Broker`](crate::broker::Broker) and every
//! [`Store`](crate::store::Store) passes. An implementation calls them from its tests.
//!
//! A suite is a list of named checks. `run` makes a fresh subject for each and panics with
//! the name of the check that fails; a check can also be called alone.

pub mod broker;
pub mod store;
