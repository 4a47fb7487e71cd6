//! What tests of windows send and what they look at, whatever the windows are.

use proptest::prelude::*;
use suiro::{Bytes, Headers, InWindow, Raw, Record, Result, TestDriver, TestOptions, Topic};

pub const IN: Topic<String, u64> = Topic::json("in");
pub const OUT: Topic<String, InWindow<Vec<usize>>> = Topic::json("out");
pub const LATE: Topic<String, u64> = Topic::json("late");
pub const CHANGELOG: Topic<Bytes, Option<Bytes>> =
    Topic::of("near.windows.changelog", &Raw, &Raw);
pub const DEAD: &str = "dead";

/// A record that came.
#[derive(Clone, Debug)]
pub struct Came {
    pub key: String,
    pub at: i64,
}

/// A result: its window, what is in it, and whose headers it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub key: String,
    pub start: i64,
    pub end: i64,
    /// The numbers of the records in it, as the fold lists them.
    pub value: Vec<usize>,
    pub at: i64,
    /// The number of the record whose headers it has.
    pub headers: usize,
}

/// What came of a run: all that is sent, and the numbers of what was late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub sent: Vec<Sent>,
    pub late: Vec<usize>,
}

pub fn manners() -> impl Iterator<Item = TestOptions> {
    [1, 2, 8192].into_iter().flat_map(|batch_rows| {
        [false, true].into_iter().map(move |lean| TestOptions {
            batch_rows,
            lean,
            run_at_send: false,
            ..TestOptions::default()
        })
    })
}

pub fn send(driver: &mut TestDriver, came: &Came, number: usize) -> Result<()> {
    let headers: Headers = [("number", number.to_string())].into_iter().collect();
    let record = Record::new(came.key.clone(), number as u64, came.at);
    driver.send_record(&IN, Record { headers, ..record })
}

pub fn outcome(driver: &mut TestDriver) -> Result<Outcome> {
    let sent = driver.read(&OUT)?.into_iter().map(|row| {
        let InWindow { start, end, value } = row.value;
        let number = row.headers.get("number").expect("headers come along");
        let number = std::str::from_utf8(number).expect("a number is text");
        Sent {
            key: row.key,
            start: start.as_millis(),
            end: end.as_millis(),
            value,
            at: row.at.as_millis(),
            headers: number.parse().expect("a number was sent"),
        }
    });
    let sent = sent.collect();
    let late = driver.read(&LATE)?.into_iter().map(|row| row.value as usize).collect();
    Ok(Outcome { sent, late })
}

pub fn came() -> impl Strategy<Value = Came> {
    (0..3_u8, 0..16_i64).prop_map(|(key, at)| Came { key: key.to_string(), at })
}

#[derive(Clone, Copy, Debug)]
pub enum Then {
    Nothing,
    Crash,
    End,
}
