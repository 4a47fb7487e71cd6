//! One JSON line per subject, and the agreement of their answers.

use crate::benches::Outcome;
use crate::digest::Digest;
use crate::measure::Cost;
use crate::options::{Emit, Setup, durability_name};
use std::fmt::Write;

/// The lines of one bench.
pub struct Report {
    bench: &'static str,
    setup: Setup,
    /// Rate and answer of the first subject, the loop.
    baseline: Option<(f64, Digest)>,
}

impl Report {
    pub fn new(bench: &'static str, setup: Setup) -> Self {
        Self { bench, setup, baseline: None }
    }

    /// Prints the line of a subject. The first is the baseline, with which the others must
    /// agree.
    pub fn subject(
        &mut self,
        subject: &str,
        emit: Option<Emit>,
        answer: (Digest, Cost),
    ) -> Outcome<()> {
        self.subject_with(subject, emit, answer, &[])
    }

    /// As [`Report::subject`], with more figures.
    pub fn subject_with(
        &mut self,
        subject: &str,
        emit: Option<Emit>,
        (digest, cost): (Digest, Cost),
        more: &[(&str, f64)],
    ) -> Outcome<()> {
        let rate = self.setup.records as f64 / cost.cpu.as_secs_f64();
        let mut line = Line::new(self.bench, subject);
        if let Some(emit) = emit {
            line.text("emit", emit.name());
        }
        line.number("records", self.setup.records as f64, 0);
        line.number("keys", self.setup.keys as f64, 0);
        line.number("threads", f64::from(self.setup.threads), 0);
        line.number("wall_s", cost.wall.as_secs_f64(), 3);
        line.number("cpu_s", cost.cpu.as_secs_f64(), 3);
        line.number("records_per_cpu_s", rate, 0);
        let (baseline, answer) = *self.baseline.get_or_insert((rate, digest));
        line.number("of_loop", rate / baseline, 3);
        line.number("peak_rss_mb", cost.peak_rss_mb, 1);
        more.iter().for_each(|(name, figure)| line.number(name, *figure, 1));
        line.text("durability", durability_name(self.setup.durability));
        line.number("commit_ms", self.setup.commit_ms as f64, 0);
        line.text("checksum", &format!("{:016x}", digest.0));
        line.print();
        if digest == answer {
            return Ok(());
        }
        Err(format!("{subject} and the loop disagree, see their checksums").into())
    }
}

/// A JSON object on one line.
pub struct Line(String);

impl Line {
    pub fn new(bench: &str, subject: &str) -> Self {
        let mut line = Self(String::from("{"));
        line.text("bench", bench);
        line.text("subject", subject);
        line
    }

    /// Adds a text, which needs no escapes.
    pub fn text(&mut self, name: &str, value: &str) {
        self.field(name, format_args!("\"{value}\""));
    }

    pub fn number(&mut self, name: &str, value: f64, digits: usize) {
        self.field(name, format_args!("{value:.digits$}"));
    }

    pub fn print(self) {
        println!("{}}}", self.0);
    }

    fn field(&mut self, name: &str, value: std::fmt::Arguments<'_>) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_is_json() {
        let mut line = Line::new("count", "loop");
        line.number("wall_s", 1.25, 3);
        let expected = r#"{"bench":"count","subject":"loop","wall_s":1.250"#;
        assert_eq!(line.0, expected);
    }
}
