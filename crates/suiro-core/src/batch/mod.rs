//! Kafka v2 record batches: the unit of the log, in files and on the wire alike.
//!
//! A batch is a header of [`HEADER_LEN`] bytes and its records, which may be compressed. It is
//! written record by record into one buffer and read without copying.
//!
//! | room | what it holds |
//! |---|---|
//! | `writer` | [`BatchWriter`]: records in, one encoded batch out |
//! | `batches` | [`batches`] and [`Batch`]: the batches in a piece of a log, checked |
//! | `records` | [`Records`] and [`RecordView`]: the records of one batch, borrowed |
//! | `headers` | [`HeaderViews`]: the headers of one record, borrowed |
//! | `header` | [`BatchHeader`]: what is known of a batch without touching its records |
//! | `producer` | [`Producer`]: who wrote a batch |
//! | `marker` | [`Marker`]: how a transaction ended |
//! | `compression` | [`Compression`]: one file per kind, each behind a cargo feature |
//! | `compressed` | [`compressed`]: compressing a batch that is written already |
//! | `varint` | the numbers that records are made of |
//!
//! ```
//! use suiro_core::batch::{BatchWriter, Compression, batches};
//! use suiro_core::{Headers, Timestamp};
//!
//! let mut writer = BatchWriter::new(Compression::None);
//! writer.push(Timestamp::from_millis(7), Some(b"ann"), Some(b"1"), &Headers::NONE);
//! writer.push(Timestamp::from_millis(9), Some(b"bob"), None, &Headers::NONE);
//!
//! let mut read = Vec::new();
//! for batch in batches(writer.finish()?) {
//!     for record in batch?.records()?.iter() {
//!         let record = record?;
//!         read.push((record.offset, record.at.as_millis(), record.value.map(<[u8]>::to_vec)));
//!     }
//! }
//! assert_eq!(read, [(0, 7, Some(b"1".to_vec())), (1, 9, None)]);
//! # Ok::<(), suiro_core::Error>(())
//! ```

mod batches;
mod compressed;
mod compression;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod headers;
mod marker;
mod producer;
mod records;
mod varint;
mod writer;

pub use batches::{Batch, Batches, batches};
pub use compressed::compressed;
pub use compression::Compression;
pub use header::{BatchHeader, HEADER_LEN, check_crc, set_base_offset, set_producer};
pub use headers::HeaderViews;
pub use marker::{Marker, write_marker};
pub use producer::Producer;
pub use records::{RecordIter, RecordView, Records};
pub use writer::BatchWriter;
