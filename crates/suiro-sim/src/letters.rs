//! Letters against the model: of each record that failed there is one, with where it comes from.

use crate::audit::{Verdict, arrival};
use crate::ledger::{Ledger, Raw};
use crate::model::{Failed, Model};
use crate::program::Program;
use suiro_engine::letter_header;

/// The topic of the letters.
pub(crate) const LETTERS: &str = "letters";

/// Holds the letters against the records that were passed. Whether `all` who fail are known is
/// said by whoever knows how far the model is; of the records that no source could take the
/// positions say it.
pub(crate) fn hold(ledger: &Ledger, program: &Program, model: &Model, all: bool) -> Verdict {
    let mut refused = Vec::new();
    for topic in program.sources() {
        for (partition, records) in ledger.topic(topic) {
            let next = ledger.next(topic, partition);
            let passed = records.iter().filter(|record| record.offset < next);
            let passed = passed.filter(|record| arrival(topic, record).is_none());
            refused.extend(passed.map(|record| Failed {
                origin: Some((topic.to_owned(), partition, record.offset)),
                key: record.key.as_ref().map(|key| key.to_vec()),
                at: record.at,
            }));
        }
    }
    let written = ledger.topic(LETTERS).flat_map(|(_, records)| records);
    let mut written: Vec<Failed> = written.map(letter).collect::<Result<_, _>>()?;
    if all {
        refused.extend(model.failures.iter().cloned());
    } else {
        // Where a record is from is enough: a step can fail only at what a source has taken.
        written.retain(|letter| refused.iter().any(|it| it.origin == letter.origin));
    }
    refused.sort();
    written.sort();
    let differs = (0..refused.len().max(written.len()))
        .find(|place| refused.get(*place) != written.get(*place));
    match differs {
        None => Ok(()),
        Some(place) => Err(format!(
            "there are {} letters and not {}: expected {:?}, got {:?}",
            written.len(),
            refused.len(),
            refused.get(place),
            written.get(place)
        )),
    }
}

/// What a letter says.
fn letter(record: &Raw) -> Result<Failed, String> {
    let header = |name: &str| {
        let value = record.headers.get(name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let number = |name: &str| header(name).and_then(|text| text.parse().ok());
    if header(letter_header::APP).as_deref() != Some("program")
        || header(letter_header::STEP).is_none()
        || header(letter_header::CAUSE).is_none()
    {
        return Err(format!("the letter at {} does not tell its story", record.offset));
    }
    let origin = header(letter_header::TOPIC)
        .zip(number(letter_header::PARTITION).zip(number(letter_header::OFFSET)));
    let origin = origin.map(|(topic, (partition, offset))| (topic, partition as u32, offset));
    if origin.is_none() && header(letter_header::ROW).is_none() {
        return Err(format!("the letter at {} says of no record", record.offset));
    }
    Ok(Failed { origin, key: record.key.as_ref().map(|key| key.to_vec()), at: record.at })
}
