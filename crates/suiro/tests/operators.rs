//! Holds `docs/operators.md`: no operator is missing there, each has an example that runs, and what
//! a row says that it is held by is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the tables: their cells.
fn rows() -> Vec<Vec<String>> {
    let page = read(&root().join("../../docs/operators.md"));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(cells).collect()
}

/// The words in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The files of a directory of sources, and of the directories in it.
fn sources(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("a directory can be read").path());
    let inner = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    inner.collect()
}

/// The public methods of a source that are documented, each with its documentation.
fn methods(source: &str) -> Vec<(String, String)> {
    let (mut found, mut docs) = (Vec::new(), String::new());
    for line in source.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push_str(doc);
            docs.push('\n');
        } else if let Some(rest) = line.strip_prefix("pub fn ") {
            let name = rest.split(['(', '<']).next().expect("a split has a first part");
            found.push((name.to_owned(), std::mem::take(&mut docs)));
        } else if !line.starts_with("#[") {
            docs.clear();
        }
    }
    found.retain(|(_, docs)| !docs.is_empty());
    found
}

/// What makes windows and reaches, and is no operator by itself.
const PARTS: [&str; 5] = ["of", "with_gap", "before", "after", "push"];

#[test]
fn no_operator_is_missing() {
    let rows = rows();
    let told: BTreeSet<&str> = rows.iter().flat_map(|row| names(&row[0])).collect();
    let source = root().join("src");
    let mut missing = BTreeSet::new();
    for of in ["stream", "table", "window"] {
        let mut files = sources(&source.join(of));
        files
            .extend([source.join(format!("{of}.rs"))].into_iter().filter(|file| file.exists()));
        for file in files {
            for (name, docs) in methods(&read(&file)) {
                assert!(docs.contains("```"), "{name} of {} has no example", file.display());
                if !told.contains(name.as_str()) && !PARTS.contains(&name.as_str()) {
                    missing.insert(name);
                }
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/operators.md: {missing:?}");
}

#[test]
fn every_row_is_held_by_what_it_names() {
    let tests = root().join("tests");
    let rows = rows();
    assert!(rows.len() > 30, "the tables are read");
    for row in rows {
        let [operators, _, _, _, _, held] = &row[..] else {
            panic!("a row has six cells: {row:?}");
        };
        assert!(row.iter().all(|cell| !cell.is_empty()), "{operators}: a cell is empty");
        match held.split_once(": ") {
            Some((file, test)) => {
                let text = read(&tests.join(file));
                let found = text.split(&format!("fn {test}(")).next().filter(|it| *it != text);
                let above = found.unwrap_or_else(|| panic!("no test {test} in {file}"));
                // What is in the braces of the macro is tried with anything that may come.
                let is_tried = above
                    .rfind("\nproptest! {")
                    .is_some_and(|from| !above[from..].contains("\n}\n"));
                assert!(is_tried, "{operators}: {test} in {file} is an example");
            }
            None => assert!(tests.join(held).exists(), "{operators}: {held} is not there"),
        }
    }
}

/// Rules that a row names are those of the cases, or of the operators that follow them.
#[test]
fn rows_name_rules_that_are_known() {
    let is_rule = |word: &&str| {
        let mut letters = word.chars();
        let first = letters.next().is_some_and(|letter| letter.is_ascii_uppercase());
        let digits = letters.as_str();
        first && !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit())
    };
    let files = [sources(&root().join("tests/cases")), sources(&root().join("src"))].concat();
    let texts: Vec<String> = files.iter().map(|file| read(file)).collect();
    let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    let known: BTreeSet<&str> = words.filter(is_rule).collect();
    for row in rows() {
        for rule in row[2].split([',', ' ']).filter(is_rule) {
            assert!(known.contains(rule), "{}: nobody knows {rule}", row[0]);
        }
    }
}
