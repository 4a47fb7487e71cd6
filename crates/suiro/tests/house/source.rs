//! A source file as the rules see it: where it lives, and which of its lines are tests.

use super::Violation;
use super::code::{is_word, strip};

/// Which part of a crate a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Src,
    Tests,
    Examples,
}

/// A parsed source file.
pub struct Source {
    /// The text as it stands in the file.
    pub raw: Raw,
    /// The name of its crate.
    pub krate: String,
    /// The part of the crate.
    pub place: Place,
    /// The lines without comments and literals.
    pub code: Vec<String>,
    /// For each line, whether it is compiled for tests only.
    pub test: Vec<bool>,
}

/// A file and its text.
pub struct Raw {
    /// The path from the root of the workspace, with slashes.
    pub file: String,
    pub text: String,
}

impl Raw {
    pub fn violation(&self, rule: &'static str, index: usize, what: String) -> Violation {
        Violation { rule, file: self.file.clone(), line: index + 1, what }
    }
}

impl Source {
    /// Parses the file at `crates/<crate>/<place>/..`.
    pub fn parse(file: &str, text: &str) -> Self {
        let parts: Vec<_> = file.split('/').collect();
        let place = match parts[2] {
            "tests" | "benches" => Place::Tests,
            "examples" => Place::Examples,
            _ => Place::Src,
        };
        let code: Vec<_> = strip(text).lines().map(str::to_owned).collect();
        let test = match place {
            Place::Tests => vec![true; code.len()],
            _ => test_lines(&code),
        };
        let raw = Raw { file: file.to_owned(), text: text.to_owned() };
        Self { raw, krate: parts[1].to_owned(), place, code, test }
    }

    /// The lines of code that are not tests, with their indexes.
    pub fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter(|(_, (_, test))| !**test).map(|(index, (line, _))| (index, line.as_str()))
    }

    /// The files that `#[cfg(test)] mod name;` declares: either path of each.
    pub fn test_modules(&self) -> Vec<String> {
        let (dir, name) = self.raw.file.rsplit_once('/').unwrap_or(("", &self.raw.file));
        let home = match name {
            "lib.rs" | "main.rs" | "mod.rs" => dir.to_owned(),
            _ => self.raw.file.trim_end_matches(".rs").to_owned(),
        };
        let lines = self.code.iter().zip(&self.test).filter(|(_, test)| **test);
        let declared = lines.filter_map(|(line, _)| {
            let (_, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
            name.chars().all(is_word).then(|| name.to_owned())
        });
        declared
            .flat_map(|it| [format!("{home}/{it}.rs"), format!("{home}/{it}/mod.rs")])
            .collect()
    }

    /// Whether this file is, or lies below, one of the modules that are compiled for tests.
    pub fn becomes_test_if_in(&mut self, modules: &[String]) {
        let below = |module: &String| {
            let stem = module.trim_end_matches("/mod.rs").trim_end_matches(".rs");
            self.raw.file == *module || self.raw.file.starts_with(&format!("{stem}/"))
        };
        if modules.iter().any(below) {
            self.test.fill(true);
        }
    }
}

/// Marks the items under `#[cfg(test)]`: from the attribute to the end of the item's braces,
/// or to its semicolon.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut test = vec![false; code.len()];
    let mut start = None;
    let mut depth = 0_i64;
    for (index, line) in code.iter().enumerate() {
        let mut rest = line.as_str();
        if start.is_none() {
            let Some(at) = line.find("#[cfg(test)]") else { continue };
            rest = &line[at + "#[cfg(test)]".len()..];
            (start, depth) = (Some(index), 0);
        }
        for c in rest.chars() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                test[start.take().unwrap_or(index)..=index].fill(true);
                break;
            }
        }
    }
    if let Some(start) = start {
        test[start..].fill(true);
    }
    test
}

#[cfg(test)]
mod tests {
    use super::{Place, Source};

    #[test]
    fn test_items_are_marked_to_their_end() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\" }\n}\nfn c() {}\n\
                    #[cfg(test)]\n#[rustfmt::skip]\nmod other;\nfn d() {}\n";
        let source = Source::parse("crates/x/src/y/mod.rs", text);
        let product: Vec<_> = source.product().map(|(index, _)| index).collect();
        assert_eq!(product, [0, 5, 9]);
        assert_eq!(
            source.test_modules(),
            ["crates/x/src/y/other.rs", "crates/x/src/y/other/mod.rs"]
        );
    }

    #[test]
    fn a_test_module_takes_its_files_with_it() {
        let modules = ["crates/x/src/y/other.rs".to_owned()];
        for (file, test) in [
            ("crates/x/src/y/other.rs", true),
            ("crates/x/src/y/other/deep.rs", true),
            ("crates/x/src/y/another.rs", false),
        ] {
            let mut source = Source::parse(file, "fn a() {}\n");
            source.becomes_test_if_in(&modules);
            assert_eq!(source.test, [test], "{file}");
        }
    }

    #[test]
    fn places_are_known_by_their_directory() {
        for (file, place) in [
            ("crates/x/src/tests.rs", Place::Src),
            ("crates/x/tests/a/b.rs", Place::Tests),
            ("crates/x/examples/a.rs", Place::Examples),
        ] {
            assert_eq!(Source::parse(file, "").place, place, "{file}");
        }
    }
}
