//! The order of keys by their bytes (rule W5), without a heap allocation per key.

use crate::format::Format;
use crate::state::encode_key;
use suiro_core::Result;

/// The bytes of some keys, to put what belongs to them in order.
pub(crate) struct KeyOrder {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where the bytes of a key are. The first eight of them decide most comparisons.
#[derive(Clone, Copy)]
struct Place {
    head: u64,
    from: usize,
    to: usize,
    number: usize,
}

impl KeyOrder {
    pub(crate) fn of<'a, K: 'static>(
        format: &dyn Format<K>,
        keys: impl Iterator<Item = &'a K>,
    ) -> Result<Self> {
        let mut order = Self { bytes: Vec::new(), places: Vec::new() };
        for (number, key) in keys.enumerate() {
            let from = order.bytes.len();
            encode_key(format, key, &mut order.bytes)?;
            let to = order.bytes.len();
            let mut head = [0; 8];
            let known = (to - from).min(8);
            head[..known].copy_from_slice(&order.bytes[from..from + known]);
            order.places.push(Place { head: u64::from_be_bytes(head), from, to, number });
        }
        Ok(order)
    }

    /// Puts `rows` in order; they are what the keys were taken from, in the same order.
    pub(crate) fn sort<T>(self, rows: &mut Vec<T>) {
        self.sort_by(rows, |_| ());
    }

    /// Puts `rows` in order of what `first` says, and then of their keys. Rows that are equal in
    /// both stay in their order.
    pub(crate) fn sort_by<T, F: Ord>(self, rows: &mut Vec<T>, first: impl Fn(&T) -> F) {
        let bytes = &self.bytes;
        let places = self.places.into_iter().map(|place| (first(&rows[place.number]), place));
        let mut places: Vec<(F, Place)> = places.collect();
        places.sort_unstable_by(|(first, left), (other, right)| {
            first
                .cmp(other)
                .then_with(|| left.head.cmp(&right.head))
                .then_with(|| bytes[left.from..left.to].cmp(&bytes[right.from..right.to]))
                .then_with(|| left.number.cmp(&right.number))
        });
        let mut unsorted: Vec<Option<T>> = std::mem::take(rows).into_iter().map(Some).collect();
        rows.extend(places.iter().filter_map(|(_, place)| unsorted[place.number].take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;
    use proptest::prelude::*;

    proptest! {
        /// The order is that of the keys' bytes.
        #[test]
        fn keys_are_in_order_of_their_bytes(
            keys in prop::collection::vec("[a-c\\x00é]{0,12}", 0..40),
            firsts in prop::collection::vec(0..3_u8, 40),
        ) {
            let mut rows: Vec<(u8, String)> =
                firsts.into_iter().zip(keys.iter().cloned()).collect();
            let mut expected = rows.clone();
            expected.sort_by(|a, b| (a.0, a.1.as_bytes()).cmp(&(b.0, b.1.as_bytes())));
            let order = KeyOrder::of::<String>(&Text, keys.iter()).unwrap();
            order.sort_by(&mut rows, |row| row.0);
            prop_assert_eq!(rows, expected);
        }
    }
}
