//! A frame: one commit as the journal holds it.
//!
//! ```text
//! magic u32 | crc u32 | format u32 | meta length u32 | data length u64
//! commit number u64 | journal u64 | position u64 | durable u64 | meta | data
//! ```
//!
//! The CRC-32C covers everything from `format` to the end of the meta; the data are record
//! batches, which have a CRC each. A frame names its own journal and position, so that a copy of
//! one inside of somebody's record is never taken for a frame. `durable` is the position up to
//! which the journal was known to be durable when the frame was written: if a frame before it
//! is bad, that is damage and not a torn write.

use crate::wire::{Put, Take};
use std::sync::Arc;
use suiro_core::broker::{Cleanup, Position, TopicSpec};
use suiro_core::{Offset, Timestamp};

const MAGIC: [u8; 4] = *b"SUIF";
/// The format of a frame.
const FORMAT: u32 = 1;
/// That of one which takes something away: what comes last in its meta is new in it.
const FORMAT_REMOVING: u32 = 2;
/// Bytes of a frame before its meta.
pub(crate) const HEAD: usize = 56;

/// A partition by the number of its topic and its own.
pub(crate) type Place = (u32, u32);

/// What one commit says, but for its data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// When it was committed.
    pub at: Timestamp,
    /// Topics that come into being.
    pub topics: Vec<TopicSpec>,
    /// What is appended; the data follow in this order.
    pub appends: Vec<Append>,
    /// Positions of a group.
    pub positions: Option<(Arc<str>, Vec<Progress>)>,
    /// A group's new generation.
    pub generation: Option<(Arc<str>, u64)>,
    /// Partitions whose records before an offset may go.
    pub trims: Vec<(Place, Offset)>,
    /// A group whose positions go.
    pub forgotten: Option<Arc<str>>,
    /// Topics that go, by their numbers.
    pub removed: Vec<u32>,
}

/// Batches that go to one partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Append {
    pub place: Place,
    pub base: Offset,
    pub next: Offset,
    pub bytes: u64,
}

/// How far a group has read one partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    pub place: Place,
    pub next: Offset,
    pub note: String,
}

impl Progress {
    pub fn new(place: Place, position: Position) -> Self {
        Self { place, next: position.next, note: position.note }
    }
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stamp {
    pub number: u64,
    pub journal: u64,
    pub position: u64,
    pub durable: u64,
}

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub stamp: Stamp,
    pub entry: Entry,
    /// Bytes before the data.
    pub data_at: usize,
    /// Bytes of the data.
    pub data: u64,
}

impl Entry {
    /// Writes the frame up to its data, which the caller adds.
    pub fn encode(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.put_u32(0);
        out.put_u32(if self.removes() { FORMAT_REMOVING } else { FORMAT });
        out.put_u32(0);
        out.put_u64(self.appends.iter().map(|append| append.bytes).sum());
        out.put_u64(stamp.number);
        out.put_u64(stamp.journal);
        out.put_u64(stamp.position);
        out.put_u64(stamp.durable);
        self.put_meta(out);
        let meta =
            u32::try_from(out.len() - start - HEAD).expect("a commit names fewer things");
        out[start + 12..start + 16].copy_from_slice(&meta.to_le_bytes());
        let crc = crc32c::crc32c(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    fn removes(&self) -> bool {
        self.forgotten.is_some() || !self.removed.is_empty()
    }

    fn put_meta(&self, out: &mut Vec<u8>) {
        out.put_time(self.at);
        out.put_len(self.topics.len());
        for topic in &self.topics {
            put_topic(out, topic);
        }
        out.put_len(self.appends.len());
        for append in &self.appends {
            put_place(out, append.place);
            out.put_i64(append.base);
            out.put_i64(append.next);
            out.put_u64(append.bytes);
        }
        out.put_u8(u8::from(self.positions.is_some()));
        if let Some((group, positions)) = &self.positions {
            out.put_str(group);
            put_positions(out, positions.len(), positions.iter());
        }
        out.put_u8(u8::from(self.generation.is_some()));
        if let Some((group, generation)) = &self.generation {
            out.put_str(group);
            out.put_u64(*generation);
        }
        out.put_len(self.trims.len());
        for (place, offset) in &self.trims {
            put_place(out, *place);
            out.put_i64(*offset);
        }
        if self.removes() {
            out.put_u8(u8::from(self.forgotten.is_some()));
            if let Some(group) = &self.forgotten {
                out.put_str(group);
            }
            out.put_len(self.removed.len());
            self.removed.iter().for_each(|topic| out.put_u32(*topic));
        }
    }

    fn take_meta(format: u32, mut from: Take) -> Option<Self> {
        let mut entry = Self {
            at: from.time()?,
            topics: from.list(take_topic)?,
            appends: from.list(|from| {
                Some(Append {
                    place: take_place(from)?,
                    base: from.i64()?,
                    next: from.i64()?,
                    bytes: from.u64()?,
                })
            })?,
            positions: match from.u8()? {
                0 => None,
                _ => Some((from.str()?, from.list(take_progress)?)),
            },
            generation: match from.u8()? {
                0 => None,
                _ => Some((from.str()?, from.u64()?)),
            },
            trims: from.list(|from| Some((take_place(from)?, from.i64()?)))?,
            ..Self::default()
        };
        if format == FORMAT_REMOVING {
            entry.forgotten = match from.u8()? {
                0 => None,
                _ => Some(from.str()?),
            };
            entry.removed = from.list(Take::u32)?;
        }
        from.is_empty().then_some(entry)
    }
}

impl Frame {
    /// The bytes that [`Frame::decode`] must be given to read the frame that begins here.
    pub fn needs(head: &[u8]) -> Option<usize> {
        let mut from = Take(head);
        (from.bytes(4)? == MAGIC).then_some(())?;
        from.u32()?;
        matches!(from.u32()?, FORMAT | FORMAT_REMOVING).then_some(())?;
        Some(HEAD + from.u32()? as usize)
    }

    /// The frame at the start of `bytes`, which lie at `position` of `journal`; `None` if there
    /// is none. Its data need not be there.
    pub fn decode(bytes: &[u8], journal: u64, position: u64) -> Option<Self> {
        let whole = bytes.get(..Self::needs(bytes)?)?;
        let crc = u32::from_le_bytes(whole[4..8].try_into().ok()?);
        (crc == crc32c::crc32c(&whole[8..])).then_some(())?;
        let mut from = Take(&whole[16..]);
        let data = from.u64()?;
        let stamp = Stamp {
            number: from.u64()?,
            journal: from.u64()?,
            position: from.u64()?,
            durable: from.u64()?,
        };
        let format = u32::from_le_bytes(whole[8..12].try_into().ok()?);
        let entry = Entry::take_meta(format, from)?;
        let ours = stamp.journal == journal && stamp.position == position;
        let fits = entry.appends.iter().try_fold(0u64, |sum, next| sum.checked_add(next.bytes));
        (ours && fits == Some(data)).then_some(Self {
            stamp,
            entry,
            data_at: whole.len(),
            data,
        })
    }

    /// Bytes of the whole frame.
    pub fn len(&self) -> u64 {
        (self.data_at as u64).saturating_add(self.data)
    }

    /// Where a frame may begin in `bytes`, from `from` on.
    pub fn candidate(bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        rest.windows(MAGIC.len()).position(|window| window == MAGIC).map(|found| from + found)
    }
}

pub(crate) fn put_place(out: &mut Vec<u8>, (topic, partition): Place) {
    out.put_u32(topic);
    out.put_u32(partition);
}

pub(crate) fn take_place(from: &mut Take) -> Option<Place> {
    Some((from.u32()?, from.u32()?))
}

pub(crate) fn put_positions<'a>(
    out: &mut Vec<u8>,
    count: usize,
    positions: impl Iterator<Item = &'a Progress>,
) {
    out.put_len(count);
    for position in positions {
        put_place(out, position.place);
        out.put_i64(position.next);
        out.put_str(&position.note);
    }
}

pub(crate) fn take_progress(from: &mut Take) -> Option<Progress> {
    Some(Progress {
        place: take_place(from)?,
        next: from.i64()?,
        note: from.str()?.as_ref().to_owned(),
    })
}

pub(crate) fn put_topic(out: &mut Vec<u8>, topic: &TopicSpec) {
    out.put_str(&topic.name);
    out.put_u32(topic.partitions);
    match topic.cleanup {
        Cleanup::Keep => out.put_u8(0),
        Cleanup::Compact => out.put_u8(1),
        Cleanup::Delete { after, bytes } => {
            out.put_u8(2);
            out.put_i64(after.map_or(-1, suiro_core::time::millis));
            out.put_i64(bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)));
        }
    }
}

pub(crate) fn take_topic(from: &mut Take) -> Option<TopicSpec> {
    let name = from.str()?;
    let partitions = from.u32()?;
    let cleanup = match from.u8()? {
        0 => Cleanup::Keep,
        1 => Cleanup::Compact,
        2 => Cleanup::Delete {
            after: u64::try_from(from.i64()?).ok().map(std::time::Duration::from_millis),
            bytes: u64::try_from(from.i64()?).ok(),
        },
        _ => return None,
    };
    Some(TopicSpec { name, partitions, cleanup })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let topic = ("[a-z]{1,9}", 1u32..9, any::<Option<(u32, u32)>>()).prop_map(
            |(name, partitions, delete)| TopicSpec {
                name: name.into(),
                partitions,
                cleanup: delete.map_or(Cleanup::Compact, |(after, bytes)| Cleanup::Delete {
                    after: Some(std::time::Duration::from_millis(after.into())),
                    bytes: Some(bytes.into()),
                }),
            },
        );
        let place = (0u32..9, 0u32..9);
        let append =
            (place.clone(), any::<u32>(), any::<u16>()).prop_map(|(place, base, bytes)| {
                Append {
                    place,
                    base: base.into(),
                    next: i64::from(base) + 1,
                    bytes: bytes.into(),
                }
            });
        let progress = (place.clone(), any::<i64>(), ".{0,9}")
            .prop_map(|(place, next, note)| Progress { place, next, note });
        (
            any::<i64>(),
            prop::collection::vec(topic, 0..3),
            prop::collection::vec(append, 0..4),
            prop::option::of(("[a-z]{0,5}", prop::collection::vec(progress, 0..3))),
            prop::option::of(("[a-z]{0,5}", any::<u64>())),
            prop::collection::vec((place, any::<i64>()), 0..3),
            (prop::option::of("[a-z]{0,5}"), prop::collection::vec(any::<u32>(), 0..3)),
        )
            .prop_map(
                |(at, topics, appends, positions, generation, trims, removal)| Entry {
                    at: Timestamp::from_millis(at),
                    topics,
                    appends,
                    positions: positions.map(|(group, list)| (group.into(), list)),
                    generation: generation.map(|(group, number)| (group.into(), number)),
                    trims,
                    forgotten: removal.0.map(Into::into),
                    removed: removal.1,
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entry in entry(), number: u64, flip: prop::sample::Index) {
            let stamp = Stamp { number, journal: 3, position: 70, durable: 40 };
            let mut bytes = Vec::new();
            entry.encode(stamp, &mut bytes);
            let frame = Frame::decode(&bytes, 3, 70).unwrap();
            prop_assert_eq!(&frame.entry, &entry);
            prop_assert_eq!(frame.stamp, stamp);
            prop_assert_eq!(frame.data_at, bytes.len());
            prop_assert!(Frame::decode(&bytes, 3, 71).is_none());
            prop_assert!(Frame::decode(&bytes, 4, 70).is_none());
            let at = flip.index(bytes.len());
            prop_assert!(Frame::decode(&bytes[..at], 3, 70).is_none());
            bytes[at] ^= 1;
            prop_assert!(Frame::decode(&bytes, 3, 70).is_none());
        }

        #[test]
        fn noise_is_never_a_frame(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Frame::decode(&bytes, 0, 0).is_none());
        }
    }
}
