//! What a snapshot consists of.

use super::place::Place;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use suiro_core::{Error, Offset, Result, TopicPartition};

/// What a manifest begins with; then its format, its checksum and its text.
const MAGIC: &str = "suiro-snapshot";

/// The format that this version writes, and the only one that it reads.
const FORMAT: &str = "1";

/// What a snapshot of a partition consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which snapshotter wrote it: each that begins has a larger number than those before it.
    pub epoch: u64,
    /// Restoring goes on with the record of this offset.
    pub offset: Offset,
    /// When it was taken, in milliseconds since the epoch: what the log got later was appended
    /// later.
    pub taken: i64,
    /// Checksums of the last records before the offset: a log that has other records in their
    /// places is another log.
    pub seen: Vec<(Offset, u32)>,
    /// The lowest, which is the oldest and largest, first. A later one wins.
    pub runs: Vec<Run>,
}

/// The last record of each key in a stretch of a changelog, in order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// In order of the keys.
    pub files: Vec<RunFile>,
}

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The hash of its content.
    pub hash: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many records it has, tombstones among them.
    pub rows: u64,
}

impl Run {
    /// How many records it has.
    ///
    /// ```
    /// assert_eq!(suiro_store::snapshot::Run::default().rows(), 0);
    /// ```
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// How many bytes it has.
    ///
    /// ```
    /// assert_eq!(suiro_store::snapshot::Run::default().bytes(), 0);
    /// ```
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Manifest {
    pub(crate) fn encode(&self) -> Result<Bytes> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::corrupt("a manifest cannot be written").caused_by(error))?;
        let crc = crc32c::crc32c(text.as_bytes());
        Ok(format!("{MAGIC} {FORMAT} {crc:08x}\n{text}\n").into())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("manifest of a snapshot is damaged");
        let text = std::str::from_utf8(bytes).map_err(|error| damaged().caused_by(error))?;
        let (head, text) = text.split_once('\n').ok_or_else(damaged)?;
        let text = text.strip_suffix('\n').ok_or_else(damaged)?;
        let mut words = head.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(damaged());
        }
        let format = words.next().unwrap_or_default();
        if format != FORMAT {
            let error = Error::invalid("snapshot has a format that this version does not read");
            return Err(error.with("format", format).with("expected", FORMAT));
        }
        let crc = words.next().and_then(|crc| u32::from_str_radix(crc, 16).ok());
        if crc != Some(crc32c::crc32c(text.as_bytes())) {
            return Err(damaged());
        }
        serde_json::from_str(text).map_err(|error| damaged().caused_by(error))
    }
}

/// The number at the end of the name of a manifest.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.rsplit('/').next()?.parse().ok()
}

/// Reads a manifest.
pub(crate) fn read(place: &Place, of: &TopicPartition, number: u64) -> Result<Manifest> {
    let name = place.manifest(of, number);
    let bytes = place.objects.get(&name).map_err(|error| {
        Error::new(error.kind(), "cannot read a manifest").with("file", &name).caused_by(error)
    })?;
    let gone = || Error::corrupt("manifest of a snapshot is gone").with("file", &name);
    Manifest::decode(&bytes.ok_or_else(gone)?).map_err(|error| error.with("file", &name))
}

/// The numbers of the manifests that there are, the newest first.
pub(crate) fn list(place: &Place, of: &TopicPartition) -> Result<Vec<u64>> {
    let listed = place.objects.list(&place.manifests(of))?;
    let mut numbers: Vec<_> = listed.iter().filter_map(|info| number(&info.name)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = RunFile { hash: "ab".into(), bytes: 7, rows: 1 };
        let runs = vec![Run { files: vec![file.clone(), file] }];
        Manifest { epoch: 3, offset: 41, taken: 1_700_000_000_000, seen: vec![(40, 9)], runs }
    }

    /// The text of format 1 is read for ever, or refused by name.
    #[test]
    fn the_text_of_format_1_stays() {
        let kept = "suiro-snapshot 1 0de1eb48\n{\"epoch\":3,\"offset\":41,\
                    \"taken\":1700000000000,\"seen\":[[40,9]],\"runs\":[{\"files\":[\
                    {\"hash\":\"ab\",\"bytes\":7,\"rows\":1},\
                    {\"hash\":\"ab\",\"bytes\":7,\"rows\":1}]}]}\n";
        assert_eq!(manifest().encode().unwrap(), kept);
        assert_eq!(Manifest::decode(kept.as_bytes()).unwrap(), manifest());
        let newer = kept.replacen(" 1 ", " 2 ", 1);
        let error = Manifest::decode(newer.as_bytes()).unwrap_err();
        assert!(error.report().contains("format=`2` expected=`1`"), "{}", error.report());
    }

    /// No byte can be changed or cut off unseen.
    #[test]
    fn damage_is_seen() {
        let bytes = manifest().encode().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(Manifest::decode(&changed).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
