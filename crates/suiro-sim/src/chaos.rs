//! Chaos on three brokers of Kafka: the test of it, for as long, and of a seed, as one likes.

use crate::options::USAGE;
use std::process::Command;

/// Runs it as the words of the command line say, and gives whether all was as it must be.
pub fn run(words: impl Iterator<Item = String>) -> Result<bool, String> {
    let test = ["test", "--locked", "--package", "suiro", "--test", "kafka_chaos"];
    let mut command = Command::new("cargo");
    command.args(test).args(["--features", "disk", "--", "--nocapture"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Who asks for chaos wants no test that is left out.
    command.env("SUIRO_KAFKA", "required").envs(variables(words)?);
    command.status().map(|status| status.success()).map_err(|error| error.to_string())
}

/// What the test is told of the command line.
fn variables(
    mut words: impl Iterator<Item = String>,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut variables = Vec::new();
    while let Some(word) = words.next() {
        let variable = match word.as_str() {
            "--minutes" => "SUIRO_CHAOS_MINUTES",
            "--seed" => "SUIRO_CHAOS_SEED",
            _ => return Err(format!("unknown option {word}\n{USAGE}")),
        };
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))?;
        variables.push((variable, value.to_string()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn the_command_line_becomes_variables() {
        let parse = |line: &str| variables(line.split_whitespace().map(String::from));
        let expected = [("SUIRO_CHAOS_MINUTES", "5".into()), ("SUIRO_CHAOS_SEED", "7".into())];
        assert_eq!(parse("--minutes 5 --seed 7"), Ok(expected.to_vec()));
        assert_eq!(parse(""), Ok(Vec::new()));
        for line in ["--minutes", "--minutes x", "--seed -1", "--minute 5", "5"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
