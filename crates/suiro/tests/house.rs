//! The house rules, held against the manifests and sources of the whole workspace.
//!
//! Each rule is a function from what it looks at to the [`Violation`]s it finds, and sits with
//! a test that plants one.

#[path = "house/code.rs"]
mod code;
#[path = "house/files.rs"]
mod files;
#[path = "house/floors.rs"]
mod floors;
#[path = "house/manifest.rs"]
mod manifest;
#[path = "house/rooms.rs"]
mod rooms;
#[path = "house/shapes.rs"]
mod shapes;
#[path = "house/source.rs"]
mod source;
#[path = "house/words.rs"]
mod words;

use std::fmt;

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    rule: &'static str,
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}:{}: {}", self.rule, self.file, self.line, self.what)
    }
}

#[test]
fn the_house_stands() {
    let workspace = files::read_workspace();
    assert!(workspace.sources.len() > 10, "the house test sees no house");
    let mut violations = floors::upward_edges(&workspace.manifests);
    violations.extend(workspace.manifests.iter().flat_map(|it| words::unfinished(&it.raw)));
    violations.extend(workspace.sources.iter().flat_map(|source| {
        let rules = [
            words::unfinished(&source.raw),
            words::unfinished_macros(source),
            words::unwraps(source),
            words::unsafe_code(source),
            rooms::outside_their_room(source),
            shapes::too_long(source),
            shapes::without_opening_sentence(source),
            shapes::misshapen_operator(source),
        ];
        rules.into_iter().flatten()
    }));
    violations.extend(shapes::unlisted_operators(&workspace.sources));
    violations.sort();
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "{} house rules are broken:\n{}", lines.len(), lines.join("\n"));
}
