//! The suites that every [`Broker`](crate::broker::Broker), [`Store`](crate::store::Store) and
//! [`Objects`](crate::objects::Objects) passes. An implementation calls them from its tests.
//!
//! A suite is a list of named checks. `run` makes a fresh subject for each and panics with
//! the name of the check that fails; a check can also be called alone.

pub mod broker;
pub mod objects;
pub mod store;
