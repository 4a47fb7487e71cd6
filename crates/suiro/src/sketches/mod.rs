//! Sketches: answers that are nearly right, of a state that stays small.
//!
//! A sketch takes any number of values and keeps a few kibibytes of them. Two of one kind can be put
//! together, and what comes out is that of all values at once; so both are
//! [combining](crate::WindowTable::combining), and hopping windows over them are made of slices.
//! They are folds like any other: what is said of stores, crashes and policies of a fold holds
//! here, too.
//!
//! # How many different values
//!
//! [`approximate_distinct`](crate::Stream::approximate_distinct) is HyperLogLog with 4,096
//! registers, by the crate `datasketches` of the Apache Software Foundation (Apache-2.0). The
//! standard error is 1.6 %: of three estimates two are within it of the truth, and of a thousand
//! three are farther away than three times as much, 4.9 %. Up to some 380 values the hashes
//! themselves are kept, four bytes each, and the estimate is the very number, but for one case in
//! thousands in which two hashes are alike; beyond, a sketch takes 4 KiB.
//!
//! Of the sketch's two estimators that one is asked that depends on the registers alone. (The other
//! is somewhat nearer, and depends on the order in which values came and on what was merged with
//! what.) So the estimate is a function of the set of values. The hash has one seed for good and is
//! taken of the value as the state of stores is written, so that it is the same in every build of a
//! program; the sketch is kept in the format that DataSketches fixed for all languages.
//!
//! # Quantiles
//!
//! [`approximate_quantiles`](crate::Stream::approximate_quantiles) is DDSketch with a relative
//! error of 1 %, by the crate `sketches-ddsketch` (Apache-2.0): numbers are counted in bins, each
//! 2 % wider than the one before. See [`Quantiles`] for what that is worth. Up to 64 numbers are
//! kept as they are; beyond, a sketch takes some kibibytes, as the numbers are spread, 32 KiB at
//! most. Counts of bins are added when sketches are put together, so that nothing depends on an
//! order; a sketch is kept in the format that DDSketch has for Java.
//!
//! # What was not taken
//!
//! KLL and REQ sketches draw lots when they compact, and what a t-digest says depends on what was
//! merged with what: both could give another answer after a crash (rule D1). Of other HyperLogLogs
//! `hyperloglogplus` and `hyperloglockless` write their hasher, and the first its working buffers,
//! too; `cardinality-estimator` sums its registers up in small floats as they come, which depends on
//! their order.

mod distinct;
mod quantiles;

pub(crate) use distinct::Distinct;
pub use quantiles::Quantiles;
