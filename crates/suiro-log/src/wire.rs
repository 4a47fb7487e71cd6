//! How numbers and texts are laid out in the files of the log: little endian, length first.

use std::sync::Arc;
use suiro_core::Timestamp;

/// Appends values to a buffer.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_str(&mut self, value: &str);

    fn put_i64(&mut self, value: i64) {
        self.put_u64(value as u64);
    }

    fn put_len(&mut self, value: usize) {
        self.put_u32(u32::try_from(value).expect("lists and texts are shorter than 4 GiB"));
    }

    fn put_time(&mut self, value: Timestamp) {
        self.put_i64(value.as_millis());
    }
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_str(&mut self, value: &str) {
        self.put_len(value.len());
        self.extend_from_slice(value.as_bytes());
    }
}

/// Takes values from the front of a slice; `None` where the slice is too short or wrong.
pub(crate) struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Option<i64> {
        Some(self.u64()? as i64)
    }

    pub fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.i64()?))
    }

    pub fn str(&mut self) -> Option<Arc<str>> {
        let length = self.u32()? as usize;
        Some(std::str::from_utf8(self.bytes(length)?).ok()?.into())
    }

    /// A list whose items `item` takes. What it allocates is bounded by the input.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
