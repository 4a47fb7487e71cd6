//! What the command line says.

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The first seed.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// On how many threads.
    pub threads: usize,
    /// Whether what happens is shown.
    pub trace: bool,
    /// Whether failures are made small.
    pub shrinks: bool,
    /// After so many failures no further seed is begun.
    pub failures: usize,
}

pub(crate) const USAGE: &str =
    "usage: suiro-sim [--seeds N] [--from S] [--threads N] [--failures N] [--no-shrink]
       suiro-sim --seed X [--trace] [--no-shrink]
       suiro-sim kafka [THE SAME]
       suiro-sim mutants [PART OF A NAME]
       suiro-sim chaos [--minutes N] [--seed X]";

impl Default for Options {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { from: 0, seeds: 1000, threads, trace: false, shrinks: true, failures: 3 }
    }
}

impl Options {
    /// Reads the words of the command line.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))
            };
            match word.as_str() {
                "--seeds" => options.seeds = number()?,
                "--from" => options.from = number()?,
                "--threads" => options.threads = number()?.max(1) as usize,
                "--seed" => (options.from, options.seeds) = (number()?, 1),
                "--failures" => options.failures = number()? as usize,
                "--trace" => options.trace = true,
                "--no-shrink" => options.shrinks = false,
                _ => return Err(format!("unknown option {word}\n{USAGE}")),
            }
        }
        Ok(options)
    }
}
