//! Finding and reading the manifests and sources of the workspace.

use super::manifest::Manifest;
use super::source::Source;
use std::fs;
use std::path::Path;

/// All that the rules look at.
pub struct Workspace {
    pub manifests: Vec<Manifest>,
    pub sources: Vec<Source>,
}

/// Reads the workspace that this crate is part of.
pub fn read_workspace() -> Workspace {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut workspace = Workspace { manifests: Vec::new(), sources: Vec::new() };
    for krate in children(&root.join("crates")) {
        let file = format!("crates/{krate}/Cargo.toml");
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        workspace.manifests.push(Manifest::parse(&file, &text));
        for part in ["src", "tests", "examples", "benches"] {
            read_sources(&root, &format!("crates/{krate}/{part}"), &mut workspace.sources);
        }
    }
    let modules: Vec<_> = workspace.sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut workspace.sources {
        source.becomes_test_if_in(&modules);
    }
    workspace
}

fn read_sources(root: &Path, dir: &str, sources: &mut Vec<Source>) {
    for name in children(&root.join(dir)) {
        let file = format!("{dir}/{name}");
        let path = root.join(&file);
        if path.is_dir() {
            read_sources(root, &file, sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
            sources.push(Source::parse(&file, &text));
        }
    }
}

/// The names in a directory, in order; none if it does not exist.
fn children(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
