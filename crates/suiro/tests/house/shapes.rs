//! The shape of a file: how long it is, how it opens, what an operator's file holds.

use super::Violation;
use super::code::find_word;
use super::source::{Place, Source};

const MAX_LINES: usize = 600;
const OPERATORS: &str = "crates/suiro/src/operators/";

/// A file that is too long for one idea.
pub fn too_long(source: &Source) -> Vec<Violation> {
    let lines = source.raw.text.lines().count();
    let what = || format!("{lines} lines, more than {MAX_LINES}");
    (lines > MAX_LINES)
        .then(|| source.raw.violation("length", MAX_LINES, what()))
        .into_iter()
        .collect()
}

/// A source that does not say at its top what it is.
pub fn without_opening_sentence(source: &Source) -> Vec<Violation> {
    let opening = source.raw.text.lines().map_while(|line| line.strip_prefix("//! "));
    let ends =
        opening.last().is_some_and(|last| last.trim_end().ends_with(['.', ':', '!', '?']));
    let what = || "the file does not open with a sentence in //!".to_owned();
    let broken = source.place == Place::Src && !ends;
    broken.then(|| source.raw.violation("opening", 0, what())).into_iter().collect()
}

/// An operator's file that does not hold exactly one operator.
pub fn misshapen_operator(source: &Source) -> Vec<Violation> {
    if operator_name(source).is_none() {
        return Vec::new();
    }
    let code: Vec<_> = source.product().map(|(_, line)| line).collect();
    let count = operators_in(&code.join("\n"));
    let what = || format!("{count} implementations of Operator, not one");
    (count != 1).then(|| source.raw.violation("operator", 0, what())).into_iter().collect()
}

/// Operators that the module of operators does not name.
pub fn unlisted_operators(sources: &[Source]) -> Vec<Violation> {
    let list = sources.iter().find(|source| source.raw.file == format!("{OPERATORS}mod.rs"));
    let named = |name: &str| {
        let declaration = format!("mod {name};");
        list.is_some_and(|list| {
            list.code.iter().any(|it| find_word(it, &declaration).is_some())
        })
    };
    let unlisted = sources
        .iter()
        .filter(|source| operator_name(source).is_some_and(|name| !named(name)))
        .map(|source| source.raw.violation("operator", 0, "mod.rs does not name it".into()));
    unlisted.collect()
}

/// The name of the operator that a file is for.
fn operator_name(source: &Source) -> Option<&str> {
    let name = source.raw.file.strip_prefix(OPERATORS)?.strip_suffix(".rs")?;
    (name != "mod" && !name.contains('/')).then_some(name)
}

/// How many headers `impl .. Operator for ..` there are.
fn operators_in(code: &str) -> usize {
    let heads = code.split(['{', '}', ';']);
    let is = |head: &&str| {
        let words: Vec<_> = head.split_whitespace().collect();
        let of = words.iter().position(|word| *word == "for");
        let of = of.and_then(|at| at.checked_sub(1)).map(|at| words[at]);
        let operator =
            of.is_some_and(|word| word.rsplit(['>', ':']).next() == Some("Operator"));
        operator && find_word(head, "impl").is_some()
    };
    heads.filter(is).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "//! Keeps some.\nimpl<K: Ord, V> Operator\n    for Filter<K, V>\n{\n}\n";

    #[test]
    fn a_planted_long_file_is_found() {
        let lines = |count: usize| Source::parse("crates/x/tests/a.rs", &"x\n".repeat(count));
        assert_eq!(too_long(&lines(600)), []);
        assert_eq!(too_long(&lines(601)).len(), 1);
    }

    #[test]
    fn a_planted_missing_sentence_is_found() {
        let found = |file, text| without_opening_sentence(&Source::parse(file, text)).len();
        assert_eq!(found("crates/x/src/a.rs", "//! One idea.\nfn f() {}\n"), 0);
        assert_eq!(found("crates/x/src/a.rs", "//! One idea,\n//! at length.\n//!\n"), 0);
        assert_eq!(found("crates/x/src/a.rs", "fn f() {}\n"), 1);
        assert_eq!(found("crates/x/src/a.rs", "//! one idea\nfn f() {}\n"), 1);
        assert_eq!(found("crates/x/src/a.rs", ""), 1);
        assert_eq!(found("crates/x/tests/a.rs", "fn f() {}\n"), 0);
    }

    #[test]
    fn a_planted_misshapen_operator_is_found() {
        let file = format!("{OPERATORS}filter.rs");
        let found =
            |file: &str, text: &str| misshapen_operator(&Source::parse(file, text)).len();
        assert_eq!(found(&file, ONE), 0);
        assert_eq!(found(&file, "impl suiro_engine::Operator for Filter {}"), 0);
        assert_eq!(found(&file, &ONE.repeat(2)), 1);
        assert_eq!(found(&file, "impl Display for Operator {}"), 1);
        assert_eq!(found(&file, "#[cfg(test)]\nimpl Operator for Filter {}"), 1);
        assert_eq!(found(&format!("{OPERATORS}mod.rs"), ""), 0);
        assert_eq!(found("crates/suiro/src/stream.rs", ""), 0);
    }

    #[test]
    fn a_planted_unlisted_operator_is_found() {
        let list = Source::parse(&format!("{OPERATORS}mod.rs"), "mod filter;\n// mod map;\n");
        let [filter, map] =
            ["filter", "map"].map(|name| Source::parse(&format!("{OPERATORS}{name}.rs"), ONE));
        let found = unlisted_operators(&[list, filter, map]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, format!("{OPERATORS}map.rs"));
    }
}
