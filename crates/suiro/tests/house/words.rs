//! Words that do not stay in the house: markers of unfinished work, unwraps, unsafe code.

use super::Violation;
use super::code::find_word;
use super::source::{Raw, Source};

// Put together here, so that this file does not break its own rule.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
const MACROS: &[&str] = &["todo!", "unimplemented!"];

/// Markers of unfinished work, anywhere in the text.
pub fn unfinished(raw: &Raw) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in raw.text.lines().enumerate() {
        let found = MARKERS.iter().filter(|word| find_word(line, word).is_some());
        violations
            .extend(found.map(|word| raw.violation("unfinished", index, word.to_string())));
    }
    violations
}

/// Macros that stand for unfinished work, in tests too.
pub fn unfinished_macros(source: &Source) -> Vec<Violation> {
    let lines = source.code.iter().map(String::as_str).enumerate();
    find_all(source, "unfinished", MACROS, lines)
}

/// Unwraps outside tests; an `expect` states why it cannot fail.
pub fn unwraps(source: &Source) -> Vec<Violation> {
    find_all(source, "unwrap", &[".unwrap()", "::unwrap)"], source.product())
}

/// Unsafe code, in tests too.
pub fn unsafe_code(source: &Source) -> Vec<Violation> {
    let lines = source.code.iter().map(String::as_str).enumerate();
    find_all(source, "unsafe", &["unsafe"], lines)
}

fn find_all<'a>(
    source: &Source,
    rule: &'static str,
    words: &[&str],
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in lines {
        let found = words.iter().filter(|word| find_word(line, word).is_some());
        violations
            .extend(found.map(|word| source.raw.violation(rule, index, word.to_string())));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::{MARKERS, Violation, unfinished, unfinished_macros, unsafe_code, unwraps};

    fn lines(violations: Vec<Violation>) -> Vec<usize> {
        violations.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn planted_markers_are_found() {
        let text = format!("fine\n// {}: later\nlet a = \"{}\";\n", MARKERS[0], MARKERS[1]);
        let source = Source::parse("crates/x/tests/a.rs", &text);
        assert_eq!(lines(unfinished(&source.raw)), [2, 3]);
    }

    #[test]
    fn planted_macros_are_found() {
        let text = "todo!()\nunimplemented!(\"x\")\n// todo!()\nmytodo!()\n";
        let source = Source::parse("crates/x/tests/a.rs", text);
        assert_eq!(lines(unfinished_macros(&source)), [1, 2]);
    }

    #[test]
    fn planted_unwraps_are_found() {
        let text = "a.unwrap();\nb.unwrap_or(1);\n/// c.unwrap()\nd.map(Option::unwrap);\n\
                    #[cfg(test)]\nmod tests {\n    fn f() { e.unwrap(); }\n}\n";
        for (file, expected) in [
            ("crates/x/src/a.rs", vec![1, 4]),
            ("crates/x/examples/a.rs", vec![1, 4]),
            ("crates/x/tests/a.rs", vec![]),
        ] {
            assert_eq!(lines(unwraps(&Source::parse(file, text))), expected, "{file}");
        }
    }

    #[test]
    fn planted_unsafe_code_is_found() {
        let text = "unsafe { f() }\n#![forbid(unsafe_code)]\n// unsafe\nunsafe fn f() {}\n";
        let source = Source::parse("crates/x/tests/a.rs", text);
        assert_eq!(lines(unsafe_code(&source)), [1, 4]);
    }
}
