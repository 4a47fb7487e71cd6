//! Only the tests of this crate count.
