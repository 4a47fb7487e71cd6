//! The example `word_count`, run as a reader runs it.

use std::path::Path;
use std::process::Command;

/// What the example prints when it counts into the log in `dir`.
fn printed(dir: &Path) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "--quiet"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.args(["--example", "word_count", "--"]).arg(dir).output();
    let output = output.expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("the example prints text")
}

#[test]
fn words_are_counted_and_the_counts_go_on() {
    let dir = tempfile::tempdir().expect("the system has a directory for temporary files");
    let first = "  5 be\n  4 do\n  1 is\n  1 not\n  1 or\n  4 to\n";
    assert_eq!(printed(dir.path()), first);
    let second = " 10 be\n  8 do\n  2 is\n  2 not\n  2 or\n  8 to\n";
    assert_eq!(printed(dir.path()), second);
}
