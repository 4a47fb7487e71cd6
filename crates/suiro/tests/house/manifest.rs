//! As much of a manifest as the rules need: its name and what it depends on.

use super::source::Raw;

/// A manifest.
pub struct Manifest {
    pub raw: Raw,
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

/// One line of a section of dependencies, or a section of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name of the package, also where it is renamed.
    pub package: String,
    /// Whether only tests, examples and benches see it.
    pub dev: bool,
    /// Its line, from 0.
    pub index: usize,
}

impl Manifest {
    pub fn parse(file: &str, text: &str) -> Self {
        let mut name = String::new();
        let mut dependencies: Vec<Dependency> = Vec::new();
        let (mut section, mut dev, mut alone) = (String::new(), false, false);
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(header) = line.strip_prefix('[') {
                let header = header.trim_end_matches(']');
                dev = header.split('.').any(|part| part == "dev-dependencies");
                alone = false;
                section = header.to_owned();
                if let Some((rest, package)) = header.rsplit_once('.')
                    && rest.ends_with("dependencies")
                {
                    alone = true;
                    let package = package.trim_matches('"').to_owned();
                    dependencies.push(Dependency { package, dev, index });
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            if section == "package" && key.trim() == "name" {
                name = unquoted(value);
            } else if alone && key.trim() == "package" {
                if let Some(last) = dependencies.last_mut() {
                    last.package = unquoted(value);
                }
            } else if section.ends_with("dependencies") {
                let renamed = value.split_once("package").map(|(_, rest)| rest);
                let renamed = renamed.and_then(|rest| rest.split('"').nth(1));
                let key = key.trim().split('.').next().unwrap_or_default();
                let package = renamed.unwrap_or(key).trim_matches('"').to_owned();
                dependencies.push(Dependency { package, dev, index });
            }
        }
        Self { raw: Raw { file: file.to_owned(), text: text.to_owned() }, name, dependencies }
    }
}

fn unquoted(value: &str) -> String {
    value.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn every_form_of_dependency_is_seen() {
        let text = "[package]\nname = \"x\" # the name\n[dependencies]\na.workspace = true\n\
                    b = { path = \"../b\" }\nc = { package = \"d\", version = \"1\" }\n\
                    [dependencies.e]\nversion = \"1\"\n[dev-dependencies]\nf = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\ng = \"1\"\n\
                    [build-dependencies.h]\npackage = \"i\"\n[features]\nj = []\n";
        let manifest = Manifest::parse("crates/x/Cargo.toml", text);
        assert_eq!(manifest.name, "x");
        let found: Vec<_> =
            manifest.dependencies.iter().map(|it| (it.package.as_str(), it.dev)).collect();
        let expected = [("a", false), ("b", false), ("d", false), ("e", false), ("f", true)];
        assert_eq!(found[..5], expected);
        assert_eq!(found[5..], [("g", false), ("i", false)]);
        assert_eq!(manifest.dependencies[0].index, 3);
    }
}
