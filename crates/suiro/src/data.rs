//! What may be a value, and what may be a key.

use serde::{Serialize, de::DeserializeOwned};
use std::hash::Hash;

/// A value that can leave memory: into a topic, a store or a repartition.
///
/// It is implemented for every type that derives `Clone`, `Serialize` and `Deserialize`. Values
/// that only pass between stateless steps need not be `Data`.
///
/// ```
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct View {
///     ad: u64,
/// }
///
/// fn keep<T: suiro::Data>(_: T) {}
/// keep(View { ad: 7 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept or sent by a topology",
    label = "this type must be `Data`",
    note = "add `#[derive(Clone, serde::Serialize, serde::Deserialize)]` to `{Self}`"
)]
pub trait Data: Serialize + DeserializeOwned + Clone + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Clone + Send + 'static> Data for T {}

/// A value that can place a record: [`Data`] with equality and a hash.
///
/// ```
/// #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
/// struct UserId(u64);
///
/// fn place<K: suiro::Key>(_: K) {}
/// place(UserId(7));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "this type must be `Key`",
    note = "add `#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]` \
            to `{Self}`",
    note = "a stream without keys gets them from `key_by`"
)]
pub trait Key: Data + Eq + Hash {}

#[diagnostic::do_not_recommend]
impl<T: Data + Eq + Hash> Key for T {}

/// Proof that both sides of a join are keyed by the same type.
///
/// It says no more than `J == K`, but it says it after the types of both sides are known, so
/// that a wrong key is reported as a wrong key.
///
/// ```
/// fn is_joinable<J: suiro::SameKey<K>, K>(_left: &[K], _right: &[J]) -> bool {
///     true
/// }
/// assert!(is_joinable(&[1_u64], &[2_u64]));
/// ```
#[diagnostic::on_unimplemented(
    message = "cannot join records keyed by `{K}` with records keyed by `{Self}`",
    label = "this side is keyed by `{Self}`",
    note = "give both sides one key with `key_by` first"
)]
pub trait SameKey<K> {}

impl<K> SameKey<K> for K {}

/// What a value of a stream is to a table ([`Stream::to_table`](crate::Stream::to_table)): a row,
/// or, as the `None` of an `Option`, the removal of one (rule A1).
///
/// A value is a row of its own type. An `Option<V>` may also be a row of type `V`, or its
/// removal.
///
/// ```
/// use suiro::IntoRow;
///
/// fn row<V>(value: impl IntoRow<V>) -> Option<V> {
///     value.into_row()
/// }
/// assert_eq!(row(7), Some(7));
/// assert_eq!(row::<u64>(Some(7)), Some(7));
/// assert_eq!(row::<u64>(None::<u64>), None);
/// ```
pub trait IntoRow<V> {
    /// The row; `None` to remove the one of the key.
    ///
    /// ```
    /// use suiro::IntoRow;
    ///
    /// assert_eq!(IntoRow::<u64>::into_row(None), None);
    /// ```
    fn into_row(self) -> Option<V>;
}

impl<V> IntoRow<V> for V {
    fn into_row(self) -> Option<V> {
        Some(self)
    }
}

impl<V> IntoRow<V> for Option<V> {
    fn into_row(self) -> Self {
        self
    }
}

/// The key of a record in a topic without keys.
///
/// It is no [`Key`]: a stream of such records has no stateful steps until `key_by` gives it
/// keys.
///
/// ```
/// use suiro::{Log, NoKey, Producer, Reader, Topic};
///
/// const VISITS: Topic<NoKey, String> = Topic::unkeyed("visits");
///
/// let log = Log::in_memory();
/// let mut visits = Producer::open(&log, &VISITS)?;
/// visits.create(1)?;
/// visits.send(NoKey, "home".into(), 0)?;
/// visits.flush()?;
/// assert_eq!(Reader::open(&log, &VISITS)?.read_to_end()?[0].key, NoKey);
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoKey;
