//! Kafka v2 record batches.
