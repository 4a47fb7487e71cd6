//! Holds what came out against what a case expects.

use super::case::{Case, Row};
use std::collections::BTreeMap;

/// Where order counts: a whole topic, or one key and window of it.
type Sequence<'a> = (&'a str, Option<&'a Option<String>>, Option<(i64, i64)>);

/// How the records of a run were collected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    /// After each step.
    ByStep,
    /// Once, after all inputs had been there from the start.
    AsOne,
}

/// The first difference, in words.
pub fn difference(case: &Case, actual: &[Vec<Row>], collected: Collected) -> Option<String> {
    let mut expected = vec![Vec::new(); case.steps.len()];
    for entry in &case.expect {
        match expected.get_mut(entry.after) {
            Some(step) => *step = entry.out.clone(),
            None => return Some(format!("expects something after step {}", entry.after)),
        }
    }
    let as_one = collected == Collected::AsOne;
    let at_rest = |mode: &Option<String>| mode.as_deref() == Some("at_rest");
    if at_rest(&case.compare) || (as_one && at_rest(&case.batch_compare)) {
        let (expected, actual) = (expected.concat(), actual.concat());
        return (last(case, &expected) != last(case, &actual))
            .then(|| format!("at rest\n{}", both(&expected, &actual)));
    }
    if as_one {
        let (expected, actual) = (expected.concat(), actual.concat());
        return (sequences(case, &expected) != sequences(case, &actual))
            .then(|| format!("in all\n{}", both(&expected, &actual)));
    }
    if expected.len() != actual.len() {
        return Some(format!("ran {} of {} steps", actual.len(), expected.len()));
    }
    let mut steps = expected.iter().zip(actual).enumerate();
    steps.find_map(|(number, (expected, actual))| {
        (sequences(case, expected) != sequences(case, actual)).then(|| {
            format!("step {number} {:?}\n{}", case.steps[number], both(expected, actual))
        })
    })
}

fn name<'a>(row: &'a Row, ordered: bool) -> Sequence<'a> {
    if ordered {
        return (&row.topic, None, None);
    }
    (&row.topic, Some(&row.key), row.window)
}

fn without_headers(row: &Row, keep: bool) -> Row {
    let mut row = row.clone();
    if !keep {
        row.headers.clear();
    }
    row
}

fn sequences<'a>(case: &Case, rows: &'a [Row]) -> BTreeMap<Sequence<'a>, Vec<Row>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        let sequence = all.entry(name(row, case.ordered)).or_default();
        sequence.push(without_headers(row, case.has_headers()));
    }
    all
}

fn last<'a>(case: &Case, rows: &'a [Row]) -> BTreeMap<Sequence<'a>, Row> {
    let last = |row: &'a Row| (name(row, false), without_headers(row, case.has_headers()));
    rows.iter().map(last).collect()
}

fn both(expected: &[Row], actual: &[Row]) -> String {
    let lines = |word: &str, rows: &[Row]| -> String {
        let line = |row: &Row| format!("    {word} {}\n", shown(row));
        match rows {
            [] => format!("    {word} nothing\n"),
            rows => rows.iter().map(line).collect(),
        }
    };
    lines("expected", expected) + &lines("got     ", actual)
}

fn shown(row: &Row) -> String {
    let Row { topic, key, value, at, window, headers } = row;
    let window = window.map(|(start, end)| format!(" [{start},{end}]")).unwrap_or_default();
    let headers = if headers.is_empty() { String::new() } else { format!(" {headers:?}") };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    format!("{topic}: {}{window} = {} @ {at}{headers}", text(key), text(value))
}
