//! The numbers that records are made of: zigzag varints of at most 32 or 64 bits.
//!
//! The readers take a number off the front of a slice; one byte is by far the most common
//! length, so it is the only one that is inlined.

/// Maps a signed number to an unsigned one that is small if the number is near 0.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// How many bytes `zigzagged` takes. Small numbers are told by comparing, because counting
/// bits is slow on some processors.
#[inline]
pub(super) const fn size(zigzagged: u64) -> usize {
    if zigzagged < 1 << 7 {
        1
    } else if zigzagged < 1 << 14 {
        2
    } else {
        (u64::BITS - zigzagged.leading_zeros()).div_ceil(7) as usize
    }
}

/// Writes `zigzagged` to `to` from byte `at` on and returns where it ended.
#[inline]
pub(super) fn put(to: &mut [u8], mut at: usize, mut zigzagged: u64) -> usize {
    while zigzagged >= 0x80 {
        to[at] = zigzagged as u8 | 0x80;
        zigzagged >>= 7;
        at += 1;
    }
    to[at] = zigzagged as u8;
    at + 1
}

/// Takes a number of at most 32 bits; `None` if it is cut off or larger.
#[inline(always)]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let (&first, rest) = bytes.split_first()?;
    let raw = if first < 0x80 {
        *bytes = rest;
        u32::from(first)
    } else {
        u32::try_from(take_long(bytes, 5)?).ok()?
    };
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes a number of at most 64 bits; `None` if it is cut off or larger.
#[inline(always)]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let (&first, rest) = bytes.split_first()?;
    let raw = if first < 0x80 {
        *bytes = rest;
        u64::from(first)
    } else {
        take_long(bytes, 10)?
    };
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Takes a length and that many bytes; length -1 is an absent value. `None` if there are
/// fewer bytes or the length is below -1.
#[inline(always)]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_i32(bytes)?;
    if length < 0 {
        return (length == -1).then_some(None);
    }
    let (taken, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(Some(taken))
}

/// Takes a raw number of at most `longest` bytes.
fn take_long(bytes: &mut &[u8], longest: usize) -> Option<u64> {
    let mut raw = 0_u64;
    for (index, &byte) in bytes.iter().take(longest).enumerate() {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        raw |= part << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(raw);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{put, size, take_bytes, take_i32, take_i64, zigzag};
    use proptest::prelude::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut bytes = [0; 10];
        let end = put(&mut bytes, 0, zigzag(value));
        assert_eq!(end, size(zigzag(value)));
        bytes[..end].to_vec()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64, shift in 0..64_u32) {
            let value = value >> shift;
            let bytes = encoded(value);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_i64(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
            let mut rest = &bytes[..];
            prop_assert_eq!(take_i32(&mut rest), i32::try_from(value).ok());
            for cut in 0..bytes.len() {
                prop_assert_eq!(take_i64(&mut &bytes[..cut]), None);
                prop_assert_eq!(take_i32(&mut &bytes[..cut]), None);
            }
        }
    }

    #[test]
    fn the_ends_of_the_ranges_fit() {
        for value in [0, -1, 63, -64, 64, -65, i64::MIN, i64::MAX] {
            assert_eq!(take_i64(&mut &encoded(value)[..]), Some(value));
        }
        for value in [i32::MIN, i32::MAX] {
            assert_eq!(take_i32(&mut &encoded(i64::from(value))[..]), Some(value));
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x10][..]), None);
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), None);
        let mut long = [0xff; 10];
        long[9] = 0x02;
        assert_eq!(take_i64(&mut &long[..]), None);
        long[9] = 0x01;
        assert_eq!(take_i64(&mut &long[..]), Some(i64::MIN));
        assert_eq!(take_i64(&mut &[0xff; 11][..]), None);
    }

    #[test]
    fn bytes_may_be_absent_but_not_cut_off() {
        assert_eq!(take_bytes(&mut &[0x01][..]), Some(None));
        assert_eq!(take_bytes(&mut &[0x00][..]), Some(Some(&[][..])));
        assert_eq!(take_bytes(&mut &[0x02, 9][..]), Some(Some(&[9][..])));
        assert_eq!(take_bytes(&mut &[0x04, 9][..]), None);
        assert_eq!(take_bytes(&mut &[0x03][..]), None);
    }
}
