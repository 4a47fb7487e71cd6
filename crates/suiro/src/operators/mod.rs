//! Operators, one per file, all of one shape: `add` draws the node and gives the handle, a
//! struct holds what the operator needs, and `impl Operator` says what it does with rows.

pub(crate) mod call;
pub(crate) mod cogroup;
pub(crate) mod count_fold;
pub(crate) mod distinct;
pub(crate) mod each;
pub(crate) mod every;
pub(crate) mod exchange;
pub(crate) mod fold;
pub(crate) mod foreign_key;
pub(crate) mod group_fold;
pub(crate) mod join_as_of;
pub(crate) mod join_global;
pub(crate) mod join_streams;
pub(crate) mod join_tables;
pub(crate) mod lookup;
pub(crate) mod lookup_as_of;
pub(crate) mod merge;
pub(crate) mod named_sink;
pub(crate) mod partition_sink;
pub(crate) mod pattern;
pub(crate) mod process;
pub(crate) mod session_fold;
pub(crate) mod sink;
pub(crate) mod slice_fold;
pub(crate) mod sliding_fold;
pub(crate) mod split;
pub(crate) mod table_changes;
pub(crate) mod table_group;
pub(crate) mod table_sink;
pub(crate) mod table_source;
pub(crate) mod table_step;
pub(crate) mod versioned_source;
pub(crate) mod window_fold;
