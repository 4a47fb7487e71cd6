//! Runs the conformance cases: what each operator sends, as data (see `cases/README.md`).
//!
//! `SUIRO_CASES=DIR` runs the cases of another directory. `SUIRO_REPORT=FILE` writes one line
//! of JSON per case: `{"case", "file", "passed", "why"}`.

#[path = "conformance/build.rs"]
mod build;
#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/function.rs"]
mod function;
#[path = "conformance/output.rs"]
mod output;
#[path = "conformance/run.rs"]
mod run;

use case::Found;
use std::path::PathBuf;

/// How many cases of its own the project has, so that none can get lost.
const RUN: usize = 485;

/// What became of a case.
enum Verdict {
    Passed { variants: usize },
    Failed { why: String },
}

fn judge(found: &Found) -> Verdict {
    let case = match &found.case {
        Ok(case) => case,
        Err(error) => return Verdict::Failed { why: format!("cannot read it: {error}") },
    };
    let variants = run::variants(case);
    let mut failures = variants.iter().filter_map(|variant| {
        let error = run::run(case, *variant).err()?;
        Some(format!("{variant}: {error}"))
    });
    let Some(first) = failures.next() else {
        return Verdict::Passed { variants: variants.len() };
    };
    let others = failures.count();
    let mut why = format!("{}; {}\n{}\n", case.rules.join(", "), case.why, first.trim_end());
    if others > 0 {
        why += &format!("    and {others} variants more\n");
    }
    Verdict::Failed { why }
}

fn report_line(found: &Found, verdict: &Verdict) -> String {
    let (passed, why) = match verdict {
        Verdict::Passed { .. } => (true, String::new()),
        Verdict::Failed { why } => (false, why.clone()),
    };
    let line = serde_json::json!({
        "case": found.name, "file": found.file, "passed": passed, "why": why,
    });
    line.to_string() + "\n"
}

#[test]
fn cases() {
    let other = std::env::var_os("SUIRO_CASES").map(PathBuf::from);
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let directory = other.as_ref().unwrap_or(&own);
    let all = case::load(directory);
    assert!(!all.is_empty(), "no case was found in {}", directory.display());

    let (mut ran, mut variants, mut report) = (0, 0, String::new());
    let mut failed = Vec::new();
    for found in &all {
        let verdict = judge(found);
        report += &report_line(found, &verdict);
        match verdict {
            Verdict::Passed { variants: more } => (ran, variants) = (ran + 1, variants + more),
            Verdict::Failed { why } => {
                ran += 1;
                failed.push(format!("{} ({}): {why}", found.name, found.file));
            }
        }
    }
    if let Some(path) = std::env::var_os("SUIRO_REPORT") {
        std::fs::write(path, report).expect("the report can be written");
    }
    println!("{ran} of {} cases ran, {variants} passing variants", all.len());
    assert!(failed.is_empty(), "{} cases failed\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 0, "no case was run");
    if other.is_none() {
        assert_eq!(ran, RUN, "cases came or went; if that is right, change RUN");
    }
}
