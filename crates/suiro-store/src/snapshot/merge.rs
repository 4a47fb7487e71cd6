//! Many runs to one: of the records of a key, that of the latest run stays.

use super::manifest::Run;
use super::place::Place;
use super::run::{Row, RunReader, RunWriter};
use super::snapshotter::Pause;
use suiro_core::{Result, TopicPartition};

/// From which run on `runs` are to be merged into one, so that each is at least `ratio` times
/// larger than all above it; nothing if they are so already.
pub(crate) fn due(runs: &[Run], ratio: u64) -> Option<usize> {
    let (mut from, mut above) = (runs.len().checked_sub(1)?, runs.last()?.bytes());
    while from > 0 && runs[from - 1].bytes() < above.saturating_mul(ratio) {
        from -= 1;
        above += runs[from].bytes();
    }
    (from + 1 < runs.len()).then_some(from)
}

/// Merges `runs`, the later of which win; nothing if it was asked to stop. If there is no run
/// below them, tombstones have nothing left to hide, and go.
pub(crate) fn merge(
    place: &Place,
    of: &TopicPartition,
    runs: &[Run],
    lowest: bool,
    pause: &mut Pause<'_>,
) -> Result<Option<Run>> {
    let mut heads = Vec::with_capacity(runs.len());
    for run in runs {
        heads.push(Head::new(RunReader::new(place, of, run))?);
    }
    let mut writer = RunWriter::new(place, of);
    while let Some(row) = take(&mut heads)? {
        if lowest && row.value.is_none() {
            continue;
        }
        let filled = writer.push(&row.key, row.value.as_deref(), row.at, &row.headers)?;
        if filled && !pause() {
            return Ok(None);
        }
    }
    writer.finish().map(Some)
}

/// A run, and the row that comes next.
struct Head<'a> {
    reader: RunReader<'a>,
    row: Option<Row>,
}

impl<'a> Head<'a> {
    fn new(mut reader: RunReader<'a>) -> Result<Self> {
        let row = reader.next()?;
        Ok(Self { reader, row })
    }

    fn take(&mut self) -> Result<Option<Row>> {
        let next = self.reader.next()?;
        Ok(std::mem::replace(&mut self.row, next))
    }
}

/// Takes the row of the smallest key: that of the latest run, while those of the others go.
fn take(heads: &mut [Head<'_>]) -> Result<Option<Row>> {
    let keys = heads.iter().filter_map(|head| Some(&head.row.as_ref()?.key));
    let Some(key) = keys.min().cloned() else { return Ok(None) };
    let mut taken = None;
    for head in heads {
        if head.row.as_ref().is_some_and(|row| row.key == key) {
            taken = head.take()?;
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::RunFile;
    use super::*;

    /// Sizes become a geometric series, and what is one already is left alone.
    #[test]
    fn small_runs_are_merged_into_those_that_are_not_much_larger() {
        let runs = |sizes: &[u64]| -> Vec<Run> {
            let file = |bytes: &u64| RunFile { hash: String::new(), bytes: *bytes, rows: 1 };
            sizes.iter().map(|bytes| Run { files: vec![file(bytes)] }).collect()
        };
        for (sizes, expected) in [
            (&[][..], None),
            (&[5], None),
            (&[40, 10], None),
            (&[39, 10], Some(0)),
            (&[1000, 39, 10], Some(1)),
            (&[100, 39, 10], Some(0)),
            (&[1000, 200, 50], None),
        ] {
            assert_eq!(due(&runs(sizes), 4), expected, "{sizes:?}");
        }
    }
}
