//! Floors call downwards only.

use super::Violation;
use super::manifest::Manifest;

/// The floor of each crate, from the ground up. A crate sees the floors below its own.
const FLOORS: &[(&str, u8)] = &[
    ("suiro-core", 0),
    ("suiro-kafka", 1),
    ("suiro-log", 1),
    ("suiro-store", 1),
    ("suiro-engine", 2),
    ("suiro", 3),
];

/// Crates that belong to no floor: they see everybody, and nobody sees them.
const OUTSIDE: &[&str] = &["suiro-bench", "suiro-sim"];

/// Crates that tests stand on: any crate's tests see them, and they see none of ours.
const GROUND_OF_TESTS: &[&str] = &["suiro-kafka-harness"];

/// Neighbours on one floor that tests may use: (who, whom).
const NEIGHBOURS_IN_TESTS: &[(&str, &str)] = &[];

/// Dependencies on a crate of the same floor, of a higher one, or of none.
pub fn upward_edges(manifests: &[Manifest]) -> Vec<Violation> {
    let floor = |name: &str| FLOORS.iter().find(|(other, _)| *other == name).map(|(_, it)| *it);
    let mut violations = Vec::new();
    for Manifest { raw, name, dependencies } in manifests {
        let ground = GROUND_OF_TESTS.contains(&name.as_str());
        if OUTSIDE.contains(&name.as_str()) {
            continue;
        }
        let Some(own) = floor(name).or(ground.then_some(0)) else {
            violations.push(raw.violation("floor", 0, format!("{name} has no floor")));
            continue;
        };
        for dependency in dependencies {
            let package = dependency.package.as_str();
            let ours = package.starts_with("suiro");
            let neighbour =
                dependency.dev && NEIGHBOURS_IN_TESTS.contains(&(name.as_str(), package));
            let stood_on = dependency.dev && !ground && GROUND_OF_TESTS.contains(&package);
            if ours
                && !neighbour
                && !stood_on
                && floor(package).is_none_or(|other| other >= own)
            {
                let what = format!("{name} depends on {package}, which is not below it");
                violations.push(raw.violation("floor", dependency.index, what));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Manifest;
    use super::upward_edges;

    fn found(name: &str, dependencies: &str) -> usize {
        let text = format!("[package]\nname = \"{name}\"\n{dependencies}");
        upward_edges(&[Manifest::parse("crates/x/Cargo.toml", &text)]).len()
    }

    #[test]
    fn downward_edges_are_allowed() {
        assert_eq!(found("suiro", "[dependencies]\nsuiro-engine.workspace = true\n"), 0);
        assert_eq!(
            found("suiro-log", "[dependencies]\nsuiro-core = \"1\"\nbytes = \"1\"\n"),
            0
        );
        assert_eq!(found("suiro-engine", "[dev-dependencies]\nsuiro-log = \"1\"\n"), 0);
        assert_eq!(found("suiro-bench", "[dependencies]\nsuiro = \"1\"\n"), 0);
    }

    #[test]
    fn tests_alone_stand_on_their_ground() {
        let on_ground = "suiro-kafka-harness = \"1\"\n";
        assert_eq!(found("suiro-core", &format!("[dev-dependencies]\n{on_ground}")), 0);
        assert_eq!(found("suiro-core", &format!("[dependencies]\n{on_ground}")), 1);
        assert_eq!(found("suiro-kafka-harness", ""), 0);
        assert_eq!(found("suiro-kafka-harness", "[dependencies]\nsuiro-core = \"1\"\n"), 1);
    }

    #[test]
    fn planted_upward_edges_are_found() {
        assert_eq!(found("suiro-core", "[dependencies]\nsuiro-log.workspace = true\n"), 1);
        assert_eq!(found("suiro-log", "[dependencies.suiro-store]\nversion = \"1\"\n"), 1);
        assert_eq!(found("suiro-store", "[dev-dependencies]\nsuiro-log = \"1\"\n"), 1);
        assert_eq!(
            found("suiro-engine", "[build-dependencies]\nx = { package = \"suiro\" }\n"),
            1
        );
        assert_eq!(found("suiro", "[dependencies]\nsuiro-bench = \"1\"\n"), 1);
        assert_eq!(found("suiro", "[dependencies]\nsuiro-cellar = \"1\"\n"), 1);
        assert_eq!(found("suiro-cellar", ""), 1);
    }
}
