//! Cases as data: what `tests/cases/README.md` describes, read strictly.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(rename = "name")]
    _name: String,
    pub rules: Vec<String>,
    pub why: String,
    #[serde(default, rename = "origin")]
    _origin: Option<String>,
    #[serde(default, rename = "recorded")]
    _recorded: Option<String>,
    #[serde(default, rename = "departs")]
    _departs: Option<Vec<String>>,
    #[serde(default, rename = "departs_why")]
    _departs_why: Option<String>,
    pub topology: Program,
    pub steps: Vec<Step>,
    pub expect: Vec<Expected>,
    /// Rows of tables at the end; the test driver reads topics only.
    #[serde(default, rename = "store_after")]
    _store_after: Option<serde_json::Value>,
    #[serde(default)]
    pub ordered: bool,
    pub compare: Option<String>,
    #[serde(default)]
    pub batchable: bool,
    pub batch_compare: Option<String>,
    pub interleave: Option<String>,
}

/// The topology of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    pub nodes: Vec<Node>,
    pub idle_after_ms: Option<u64>,
}

/// One node of a topology.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub id: String,
    pub op: String,
    #[serde(default)]
    pub from: Vec<String>,
    pub topic: Option<String>,
    #[serde(default)]
    pub unkeyed: bool,
    pub timed_by: Option<String>,
    pub history_ms: Option<u64>,
    pub ttl_ms: Option<u64>,
    #[serde(rename = "fn")]
    pub function: Option<String>,
    pub pred: Option<String>,
    #[serde(default)]
    pub preds: Vec<String>,
    pub init: Option<String>,
    pub add: Option<String>,
    pub subtract: Option<String>,
    pub by: Option<String>,
    pub window: Option<Window>,
    pub emit: Option<String>,
    pub kind: Option<String>,
    pub before_ms: Option<u64>,
    pub after_ms: Option<u64>,
    pub grace_ms: Option<u64>,
}

/// The windows of a fold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub kind: String,
    pub size_ms: Option<u64>,
    pub gap_ms: Option<u64>,
    #[serde(default)]
    pub grace_ms: u64,
    pub merge: Option<String>,
    pub advance_ms: Option<u64>,
    pub span_ms: Option<u64>,
    pub n: Option<u64>,
}

/// What a runner does at one step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Step {
    #[serde(rename = "in")]
    In(Row),
    #[serde(rename = "idle_ms")]
    Idle(i64),
}

/// A record that goes in or comes out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub topic: String,
    pub key: Option<String>,
    pub value: Option<String>,
    pub at: i64,
    pub window: Option<(i64, i64)>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// What comes out after a step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub after: usize,
    pub out: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    family: String,
    cases: Vec<serde_json::Value>,
}

/// A case as it stands in its file, or why it cannot be read.
pub struct Found {
    pub file: String,
    pub name: String,
    pub case: Result<Case, String>,
}

impl Case {
    /// Whether headers count.
    pub fn has_headers(&self) -> bool {
        let with =
            |step: &Step| matches!(step, Step::In(Row { headers, .. }) if !headers.is_empty());
        self.steps.iter().any(with)
    }

    /// Whether all inputs are put into their topics before the program starts.
    pub fn is_by_time(&self) -> bool {
        self.interleave.is_some()
    }
}

/// All cases of a directory, file by file.
pub fn load(directory: &Path) -> Vec<Found> {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a directory that opens can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| load_file(path)).collect()
}

fn load_file(path: &Path) -> Vec<Found> {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let file = file.unwrap_or_default();
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let family = text.and_then(|text| {
        serde_json::from_str::<Family>(&text).map_err(|error| error.to_string())
    });
    let family = match family {
        Ok(family) => family,
        Err(error) => {
            return vec![Found { name: file.clone(), file, case: Err(error) }];
        }
    };
    let found = |value: serde_json::Value| Found {
        file: file.clone(),
        name: format!("{} / {}", family.family, value["name"].as_str().unwrap_or("?")),
        case: serde_json::from_value(value).map_err(|error| error.to_string()),
    };
    family.cases.into_iter().map(found).collect()
}
