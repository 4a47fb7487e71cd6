//! The files that the program has written, and what must hold of them.

use super::model::{Line, Model};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The text of each file.
#[derive(Debug, PartialEq)]
pub struct Exports {
    hours: String,
    late: String,
    storms: String,
    rotations: String,
    airlines: String,
}

impl Exports {
    pub fn read(dir: &Path) -> Self {
        let read = |topic: &str| {
            let path = dir.join(format!("{topic}.jsonl"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{topic}: {error}"))
        };
        Self {
            hours: read("hourly-departures"),
            late: read("late-flights"),
            storms: read("stormy-departures"),
            rotations: read("aircraft-rotations"),
            airlines: read("airline-totals"),
        }
    }

    /// What holds whatever the number of partitions: rotations as a set, the last row of each
    /// airline.
    pub fn assert_tables(&self, model: &Model) {
        let sorted = |mut lines: Vec<Line>| {
            lines.sort_by_key(|line| (line.at, line.value["tailnum"].to_string()));
            lines
        };
        assert_lines(&sorted(lines(&self.rotations)), &sorted(model.rotations.clone()));
        assert_eq!(last(&self.airlines), model.airlines);
    }

    /// What holds with one partition, in order and content.
    pub fn assert_streams(&self, model: &Model) {
        assert_lines(&lines(&self.hours), &model.hours);
        assert_lines(&lines(&self.late), &model.late);
        assert_lines(&lines(&self.storms), &model.storms);
    }
}

fn lines(text: &str) -> Vec<Line> {
    let line = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("a line of json");
        let key = value["key"].as_str().expect("keys are text").to_owned();
        let at = value["at"].as_i64().expect("times are numbers");
        Line { key, at, value: value["value"].clone() }
    };
    text.lines().map(line).collect()
}

fn last(text: &str) -> BTreeMap<String, Line> {
    lines(text).into_iter().map(|line| (line.key.clone(), line)).collect()
}

/// Shows the first line that differs, not all of them.
fn assert_lines(found: &[Line], expected: &[Line]) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "line {number}");
    }
    assert_eq!(found.len(), expected.len(), "number of lines");
}
