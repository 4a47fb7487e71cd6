//! Clock, randomness and threads are used in their own rooms only.

use super::Violation;
use super::code::find_word;
use super::source::{Place, Source};

/// Something that has a room of its own.
struct Room {
    rule: &'static str,
    /// The words that give its use away.
    words: &'static [&'static str],
    /// The files, or directories, where it may be used.
    files: &'static [&'static str],
    /// Whether tests may use it anywhere.
    free_in_tests: bool,
}

const ROOMS: &[Room] = &[
    Room {
        rule: "clock",
        words: &["SystemTime", "Instant::now"],
        files: &["crates/suiro-core/src/time.rs"],
        free_in_tests: true,
    },
    Room {
        rule: "random",
        words: &["rand::", "fastrand", "getrandom", "RandomState::new"],
        files: &[],
        free_in_tests: true,
    },
    Room {
        rule: "thread",
        words: &["thread::spawn", "thread::Builder", "thread::scope"],
        files: &[
            "crates/suiro-core/src/conformance/broker/concurrency.rs",
            "crates/suiro-engine/src/snapshot_thread.rs",
            "crates/suiro-engine/src/worker.rs",
            "crates/suiro-log/src/writer.rs",
            "crates/suiro-sim/src/sweep.rs",
        ],
        free_in_tests: true,
    },
    Room {
        rule: "sleep",
        words: &["thread::sleep", "time::sleep", "sleep_until"],
        files: &["crates/suiro/src/tokio_executor.rs"],
        free_in_tests: false,
    },
];

/// Crates that live outside the rules of rooms.
const OUTSIDE: &[&str] = &["suiro-bench"];

/// Uses of the clock, of randomness and of threads outside the room of each. Examples are free,
/// and so are tests, but no test sleeps.
pub fn outside_their_room(source: &Source) -> Vec<Violation> {
    if OUTSIDE.contains(&source.krate.as_str()) || source.place == Place::Examples {
        return Vec::new();
    }
    let file = source.raw.file.as_str();
    let mut violations = Vec::new();
    for room in ROOMS.iter().filter(|room| !room.files.contains(&file)) {
        for (index, line) in source.code.iter().enumerate() {
            if room.free_in_tests && source.test[index] {
                continue;
            }
            let used = room.words.iter().filter(|word| find_word(line, word).is_some());
            violations.extend(used.map(|word| {
                source.raw.violation(
                    room.rule,
                    index,
                    format!("{word} is used outside its room"),
                )
            }));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::outside_their_room;

    fn rules(file: &str, text: &str) -> Vec<&'static str> {
        let found = outside_their_room(&Source::parse(file, text));
        found.into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn planted_uses_are_found() {
        let text = "let a = Instant::now();\nlet b: SystemTime;\nlet c = rand::random();\n\
                    let d = RandomState::new();\nstd::thread::spawn(f);\nthread::sleep(d);\n";
        let expected = ["clock", "clock", "random", "random", "thread", "sleep"];
        assert_eq!(rules("crates/suiro/src/app.rs", text), expected);
        assert_eq!(rules("crates/suiro/tests/app.rs", text), ["sleep"]);
        assert_eq!(rules("crates/suiro/examples/app.rs", text), [""; 0]);
        assert_eq!(rules("crates/suiro-bench/src/main.rs", text), [""; 0]);
    }

    #[test]
    fn rooms_are_free_within() {
        assert_eq!(rules("crates/suiro-core/src/time.rs", "Instant::now()"), [""; 0]);
        assert_eq!(rules("crates/suiro-core/src/time.rs", "thread::spawn(f)"), ["thread"]);
        assert_eq!(rules("crates/suiro-engine/src/worker.rs", "thread::spawn(f)"), [""; 0]);
        assert_eq!(rules("crates/suiro-engine/src/worker.rs", "thread::sleep(d)"), ["sleep"]);
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        let text = "// Instant::now\nlet a = \"Instant::now\";\nlet b = operand::c;\n\
                    #[cfg(test)]\nmod tests {\n    fn f() { Instant::now(); }\n}\n";
        assert_eq!(rules("crates/suiro/src/app.rs", text), [""; 0]);
    }
}
