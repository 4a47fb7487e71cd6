//! How the records of a batch are compressed: one file per kind, each behind a feature.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

use crate::{Error, Result};

/// The most bytes that the records of a compressed batch may take: 1 GiB. The writer makes no
/// larger ones and the reader stops there, so that a small hostile batch cannot fill memory.
const LIMIT: usize = 1 << 30;

/// How the records of a batch are compressed.
///
/// Each kind but `None` is behind the cargo feature of its name in lower case; `gzip`, `lz4`
/// and `snappy` are on by default. Using one that is not built in is an error of kind `Invalid`
/// that says so.
///
/// ```
/// use suiro_core::batch::{BatchWriter, Compression};
///
/// assert_eq!(Compression::default(), Compression::None);
/// let writer = BatchWriter::new(Compression::Lz4);
/// # drop(writer);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// They are not.
    #[default]
    None,
    /// Gzip: small and slow.
    Gzip,
    /// Snappy in blocks, as Kafka frames it.
    Snappy,
    /// LZ4 frames: the fastest.
    Lz4,
    /// Zstandard: smaller than LZ4, slower.
    Zstd,
}

impl Compression {
    /// The compression that Kafka calls so (`compression.type`): `none`, `gzip`, `snappy`, `lz4`
    /// or `zstd`. Another name, or one that is not built in, is an error of kind `Invalid`.
    ///
    /// ```
    /// use suiro_core::batch::Compression;
    ///
    /// assert_eq!(Compression::named("none")?, Compression::None);
    /// assert!(Compression::named("rar").is_err());
    /// # Ok::<(), suiro_core::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Self> {
        let all = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];
        let found = all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let text = "compression is not known; there are none, gzip, snappy, lz4 and zstd";
            Error::invalid(text).with("compression", name)
        })?;
        found.compress(&[], &mut Vec::new()).map(|()| found)
    }

    /// The number in a batch's attributes.
    pub(super) const fn id(self) -> i16 {
        self as i16
    }

    pub(super) fn from_id(id: i16) -> Result<Self> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return Err(Error::corrupt("batch has an unknown compression").with("id", id)),
        })
    }

    /// Appends `payload` to `out`, compressed.
    pub(super) fn compress(self, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if payload.len() > LIMIT {
            return Err(Error::invalid("batch is too large to be compressed")
                .with("bytes", payload.len())
                .with("limit", LIMIT));
        }
        match self {
            Self::None => {
                out.extend_from_slice(payload);
                Ok(())
            }
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::compress(payload, out),
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::compress(payload, out),
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4::compress(payload, out),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::compress(payload, out),
            #[allow(unreachable_patterns, reason = "all features may be on")]
            other => Err(other.missing()),
        }
    }

    /// What `bytes` decompress to.
    pub(super) fn decompress(self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.decompress_within(bytes, LIMIT)
    }

    /// What `bytes` decompress to, which must not be more than `limit` bytes. Memory is taken
    /// as it is filled, never by what the input claims.
    pub(super) fn decompress_within(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
        match self {
            Self::None => checked(bytes.len(), limit).map(|_| bytes.to_vec()),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::decompress(bytes, limit),
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::decompress(bytes, limit),
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4::decompress(bytes, limit),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::decompress(bytes, limit),
            #[allow(unreachable_patterns, reason = "all features may be on")]
            other => Err(other.missing()),
        }
    }

    /// What Kafka calls it, and the cargo feature that it is behind.
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    #[allow(dead_code, reason = "all features may be on")]
    fn missing(self) -> Error {
        Error::invalid("compression is not built in: enable the cargo feature of suiro")
            .with("feature", self.name())
    }
}

/// `length`, if it is at most `limit`.
fn checked(length: usize, limit: usize) -> Result<usize> {
    if length > limit {
        return Err(Error::corrupt("batch decompresses to too many bytes").with("limit", limit));
    }
    Ok(length)
}

/// The error for input that cannot be decompressed.
#[allow(dead_code, reason = "all features may be off")]
fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt("batch cannot be decompressed").caused_by(cause)
}

/// The error for a compressor that fails, which none does on memory.
#[allow(dead_code, reason = "all features may be off")]
fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid("batch cannot be compressed").caused_by(cause)
}

/// The kinds that are built in.
#[cfg(test)]
pub(super) const BUILT_IN: &[Compression] = &[
    Compression::None,
    #[cfg(feature = "gzip")]
    Compression::Gzip,
    #[cfg(feature = "snappy")]
    Compression::Snappy,
    #[cfg(feature = "lz4")]
    Compression::Lz4,
    #[cfg(feature = "zstd")]
    Compression::Zstd,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn compressed(compression: Compression, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compression.compress(payload, &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_compressed_comes_back_and_no_more_than_the_limit() {
        let mut payload = b"stream and table ".repeat(20_000);
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= if at % 97 == 0 { (at >> 8) as u8 } else { 0 };
        }
        for &compression in BUILT_IN {
            let bytes = compressed(compression, &payload);
            let back = compression.decompress_within(&bytes, payload.len()).unwrap();
            assert!(back == payload, "{compression:?}");
            let error = compression.decompress_within(&bytes, payload.len() - 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{compression:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let payload = vec![0; 16 << 20];
        for &compression in BUILT_IN {
            let bytes = compressed(compression, &payload);
            let error = compression.decompress_within(&bytes, 1 << 20).unwrap_err();
            assert!(error.to_string().contains("too many bytes"), "{compression:?}: {error}");
        }
    }

    #[test]
    fn a_compression_that_is_not_built_in_names_its_feature() {
        for id in 0..5 {
            let compression = Compression::from_id(id).unwrap();
            assert_eq!(compression.id(), id);
            if !BUILT_IN.contains(&compression) {
                let error = compression.compress(b"", &mut Vec::new()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                let name = format!("{compression:?}").to_lowercase();
                assert!(error.to_string().ends_with(&format!("feature=`{name}`")), "{error}");
                let error = compression.decompress(b"").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
            }
        }
        assert!(Compression::from_id(5).is_err());
    }
}
