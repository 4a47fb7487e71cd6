//! How small and how quick a program is: the size of the `word_count` example, the time from
//! its start to its first output, and the memory of a program that waits for input.

use super::Outcome;
use crate::measure::memory_mb;
use crate::options::Options;
use crate::percentiles::Durations;
use crate::report::Line;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use suiro::{App, Log, NoKey, Topic, Topology};

/// The first word of a command line that makes this binary the program that waits.
pub const IDLE: &str = "idle";

const LINES: Topic<NoKey, String> = Topic::unkeyed("lines");
const COUNTS: Topic<String, u64> = Topic::json("word-counts");

pub fn run(options: &Options) -> Outcome<()> {
    let runs = options.records.unwrap_or(20);
    let program = word_count()?;
    let dir = tempfile::tempdir()?;
    let stripped = dir.path().join("word_count");
    run_tool(Command::new("strip").arg("-o").arg(&stripped).arg(&program))?;
    let mut starts = Durations::default();
    for _ in 0..runs {
        starts.add(first_output(&stripped)?);
    }
    let mut line = Line::new("start", "suiro");
    line.number("runs", runs as f64, 0);
    let bytes = std::fs::metadata(&stripped)?.len();
    line.number("stripped_mb", bytes as f64 / 1e6, 2);
    line.number("first_output_ms", starts.percentile_ms(0.5), 1);
    line.number("first_output_max_ms", starts.percentile_ms(1.0), 1);
    line.number("idle_rss_mb", idle_memory()?, 1);
    line.print();
    Ok(())
}

/// The program that waits: `word_count` without input, until its own input ends.
pub fn idle() -> Outcome<()> {
    let topology = Topology::new("word-count");
    topology
        .stream(&LINES)
        .flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .count("counts")
        .to(&COUNTS);
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path())?;
    let running = App::new(topology.build()?, log).partitions(1).start()?;
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(running.shutdown()?)
}

/// Builds the example, as an optimized program.
fn word_count() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    run_tool(
        Command::new(cargo)
            .args(["build", "--quiet", "--release", "--package", "suiro"])
            .args(["--example", "word_count"]),
    )?;
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).ok_or("the target directory is gone")?;
    Ok(target.join("release/examples/word_count"))
}

fn run_tool(command: &mut Command) -> Outcome<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("cannot run {tool}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{tool} failed").into()) }
}

/// From the start of a process to the first byte that it writes.
fn first_output(program: &Path) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut child = Command::new(program).stdout(Stdio::piped()).spawn()?;
    let took = first_byte(&mut child).map(|()| begun.elapsed());
    let status = child.wait()?;
    if status.success() { took } else { Err("the program failed".into()) }
}

fn first_byte(child: &mut Child) -> Outcome<()> {
    let output = child.stdout.as_mut().ok_or("the program has no output")?;
    Ok(output.read_exact(&mut [0])?)
}

/// The memory of the program that waits, when it has waited for a second.
fn idle_memory() -> Outcome<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(IDLE).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let ready = first_byte(&mut child);
    std::thread::sleep(Duration::from_secs(1));
    let memory = memory_mb(&child.id().to_string(), "VmRSS");
    drop(child.stdin.take());
    child.wait()?;
    ready?;
    memory.ok_or_else(|| "the system does not tell the memory of a process".into())
}
