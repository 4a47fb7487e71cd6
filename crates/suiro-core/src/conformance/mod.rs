//! The suites that every [`Broker`](crate::broker::Broker) and every
//! [`Store`](crate::store::Store) passes. An implementation calls them from its tests.
