//! Writing and reading runs: files of v2 record batches, in order of the keys.

use super::manifest::{Run, RunFile};
use super::place::Place;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use suiro_core::batch::{BatchWriter, Batches, Compression, batches};
use suiro_core::{Error, Headers, Result, Timestamp, TopicPartition};

/// What a file of a run begins with; its last byte is the format.
const MAGIC: &[u8; 8] = b"suirorn1";

/// A batch ends when it is larger: few enough bytes for the caches of a core, many enough that
/// its head does not count.
const BATCH_BYTES: usize = 64 << 10;

/// The last record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: Bytes,
    /// `None` is a tombstone.
    pub(crate) value: Option<Bytes>,
    pub(crate) at: Timestamp,
    pub(crate) headers: Headers,
}

/// Writes a run, file after file.
pub(crate) struct RunWriter<'a> {
    place: &'a Place,
    of: &'a TopicPartition,
    batch: BatchWriter,
    file: Vec<u8>,
    rows: u64,
    run: Run,
}

impl<'a> RunWriter<'a> {
    pub(crate) fn new(place: &'a Place, of: &'a TopicPartition) -> Self {
        let (batch, file) = (BatchWriter::new(Compression::None), MAGIC.to_vec());
        Self { place, of, batch, file, rows: 0, run: Run::default() }
    }

    /// Adds a record, whose key is larger than those before it. Gives whether a file was filled.
    pub(crate) fn push(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        at: Timestamp,
        headers: &Headers,
    ) -> Result<bool> {
        self.batch.push(at, Some(key), value, headers);
        self.rows += 1;
        if self.batch.size() < BATCH_BYTES.min(self.place.tuning.file_bytes) {
            return Ok(false);
        }
        self.batch.finish_into(&mut self.file)?;
        let is_full = self.file.len() >= self.place.tuning.file_bytes;
        if is_full {
            self.upload()?;
        }
        Ok(is_full)
    }

    pub(crate) fn finish(mut self) -> Result<Run> {
        self.batch.finish_into(&mut self.file)?;
        if self.rows > 0 {
            self.upload()?;
        }
        Ok(self.run)
    }

    /// A file that is there already is written all the same: then it counts as new, and nobody
    /// takes it for one that is not needed any more.
    fn upload(&mut self) -> Result<()> {
        let content = Bytes::from(std::mem::replace(&mut self.file, MAGIC.to_vec()));
        let digest = Sha256::digest(&content);
        let hash: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let (bytes, rows) = (content.len() as u64, std::mem::take(&mut self.rows));
        self.place.objects.put(&self.place.file(self.of, &hash), content)?;
        self.run.files.push(RunFile { hash, bytes, rows });
        Ok(())
    }
}

/// The batches of a file of a run. That all bytes are there is checked here, and each batch where
/// it is read ([`batches`]); an error of kind `Corrupt` names the file.
///
/// ```
/// use suiro_core::batch::batches;
/// use suiro_core::{Result, TopicPartition};
/// use suiro_store::snapshot::{Manifest, Place, open_file};
///
/// fn rows(place: &Place, of: &TopicPartition, manifest: &Manifest) -> Result<usize> {
///     let mut rows = 0;
///     for file in manifest.runs.iter().flat_map(|run| &run.files) {
///         for batch in batches(open_file(place, of, file)?) {
///             rows += batch?.records()?.count();
///         }
///     }
///     Ok(rows)
/// }
/// ```
pub fn open_file(place: &Place, of: &TopicPartition, file: &RunFile) -> Result<Bytes> {
    let name = place.file(of, &file.hash);
    let bytes = place.objects.get(&name)?;
    let mut bytes = bytes
        .ok_or_else(|| Error::corrupt("file of a snapshot is gone").with("file", &name))?;
    if bytes.len() as u64 != file.bytes || !bytes.starts_with(MAGIC) {
        let error = Error::corrupt("file of a snapshot is damaged").with("file", &name);
        return Err(error.with("bytes", bytes.len()).with("expected", file.bytes));
    }
    Ok(bytes.split_off(MAGIC.len()))
}

/// Reads a run, batch after batch.
pub(crate) struct RunReader<'a> {
    place: &'a Place,
    of: &'a TopicPartition,
    files: std::slice::Iter<'a, RunFile>,
    file: Option<&'a RunFile>,
    batches: Batches,
    rows: std::vec::IntoIter<Row>,
    /// How many rows of the file are still to come.
    left: u64,
}

impl<'a> RunReader<'a> {
    pub(crate) fn new(place: &'a Place, of: &'a TopicPartition, run: &'a Run) -> Self {
        let (files, rows) = (run.files.iter(), Vec::new().into_iter());
        let batches = batches(Bytes::new());
        Self { place, of, files, file: None, batches, rows, left: 0 }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            if let Some(batch) = self.batches.next() {
                self.rows = batch
                    .and_then(|batch| rows(&batch.records()?))
                    .map_err(|error| self.damaged().caused_by(error))?
                    .into_iter();
                let count = self.rows.len() as u64;
                self.left = self.left.checked_sub(count).ok_or_else(|| self.damaged())?;
                continue;
            }
            if self.left > 0 {
                return Err(self.damaged());
            }
            self.file = self.files.next();
            let Some(file) = self.file else { return Ok(None) };
            self.batches = batches(open_file(self.place, self.of, file)?);
            self.left = file.rows;
        }
    }

    fn damaged(&self) -> Error {
        let hash = self.file.map_or("", |file| &file.hash);
        Error::corrupt("file of a snapshot is damaged")
            .with("file", self.place.file(self.of, hash))
    }
}

/// The rows of a batch; their bytes stay where they are.
fn rows(records: &suiro_core::batch::Records) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(records.count());
    for record in records {
        let record = record?;
        let slice = |bytes: &[u8]| records.payload().slice_ref(bytes);
        let key = record.key.map(slice);
        let key = key.ok_or_else(|| Error::corrupt("row of a snapshot has no key"))?;
        let (value, at) = (record.value.map(slice), record.at);
        rows.push(Row { key, value, at, headers: record.headers.to_headers()? });
    }
    Ok(rows)
}
