//! A digest of rows that does not depend on their order.

/// The sum of the mixed rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    /// Adds a row, given as numbers.
    #[inline]
    pub fn add(&mut self, row: &[u64]) {
        self.0 = self.0.wrapping_add(mixed(row));
    }
}

/// The share of one row.
#[inline]
pub fn mixed(row: &[u64]) -> u64 {
    row.iter().fold(0x5375_6972_6f00, |so_far, part| splitmix(so_far ^ part))
}

/// A number made of bytes, to stand for them in a row.
pub fn of_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |so_far, byte| {
        (so_far ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The output function of the generator SplitMix64.
#[inline]
pub fn splitmix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn order_does_not_matter_and_rows_do() {
        let of = |rows: &[[u64; 2]]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|row| digest.add(row));
            digest
        };
        assert_eq!(of(&[[1, 2], [3, 4]]), of(&[[3, 4], [1, 2]]));
        assert_ne!(of(&[[1, 2], [3, 4]]), of(&[[1, 4], [3, 2]]));
    }
}
