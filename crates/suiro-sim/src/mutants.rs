//! Planted bugs: each is a `cfg` of the product, compiled only here, and must be caught.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The planted bugs, each with the value of `suiro_mutant` that compiles it.
pub const MUTANTS: &[(&str, &str)] = &[
    ("positions_before_outputs", "positions are committed before the outputs"),
    ("changelog_after_commit", "the changelog is written after the commit"),
    ("store_applied_before_commit", "stores take a commit for done before it is"),
    ("before_image_dropped", "a roll-back does not put rows back"),
    ("tombstone_not_logged", "removals are not in the changelog"),
    ("torn_tail_not_cut", "recovery takes frames whose data is torn"),
    ("uncommitted_tail_replayed", "a table is restored past the committed position"),
    ("merged_session_not_removed", "sessions that were merged stay"),
    ("stream_time_not_restored", "stream time begins anew after a start"),
    ("retry_after_unknown", "a commit of unknown outcome is done again"),
    ("fence_not_checked", "who was fenced may commit"),
    ("live_key_dropped", "compaction drops a key that lives"),
    ("tombstone_dropped_early", "compaction drops a tombstone too early"),
    ("exchange_drained_partly", "a commit leaves out rows under way"),
    ("lane_mark_lost", "marks without rows are not sent"),
    ("stale_mark_believed", "a mark of an earlier generation ends a lane"),
    ("second_meeting_overlooked", "paths that meet behind a meeting are taken in batches"),
    ("aborted_end_believed", "a bounded run ends though its last commit was aborted"),
    ("due_rows_not_restored", "after a start no row goes by time that was there before"),
    ("time_goes_last", "a removal by time meets the update that it comes before"),
    ("failed_sync_believed", "recovery believes what a failed sync left behind"),
    ("dirty_row_dropped", "a row that is not below yet is dropped from memory"),
    ("refused_changes_skipped", "a store below takes changes after those that it refused"),
    ("store_below_before_commit", "stores below take changes before they are committed"),
    ("snapshot_without_position", "what is behind a snapshot in the changelog is not replayed"),
    ("snapshot_of_uncommitted", "what is not committed is visible, to snapshots too"),
    ("lanes_lost_in_roll_back", "how far lanes of other processes are is lost in a roll-back"),
    ("accepted_record_dropped_early", "a record goes with the window that ends with it"),
    ("letter_after_position", "a commit passes a record before its letter is written"),
    ("global_not_whole", "a global table is not read to its end before the start"),
    ("call_given_twice", "a call whose result was committed is made again after a crash"),
    ("timers_not_restored", "after a start no timer fires that was set before"),
    ("timers_lost_in_roll_back", "what a roll-back sets again does not fire"),
    ("timers_not_put_back", "a turn that fails sets and cancels timers all the same"),
    ("absence_overlooked", "a task goes on here though another process had it meanwhile"),
    ("copy_believed_whole", "a task that comes where a copy of it is replays nothing"),
    ("flight_not_taken_back", "a roll-back leaves what a commit in flight had changed"),
    ("next_generation_forgotten", "what is done on a commit in flight is in no commit"),
    ("late_answer_believed", "a row has the pair of a key that it has left"),
];

/// Those of the client of Kafka.
const OF_KAFKA: &[(&str, &str)] = &[
    ("sequence_reused", "a batch that is sent again is sent as a new one"),
    ("epoch_not_bumped", "after an abort the next transaction has the same epoch"),
    ("aborted_batch_delivered", "a reader gets batches of aborted transactions"),
    ("revoked_position_committed", "a commit names no generation of its group"),
    ("unstable_read", "a reader gets batches of transactions that have not ended"),
];

/// So many seeds are tried with each.
const SEEDS: u64 = 2000;

/// Builds each planted bug whose name contains `part`, and tells after how many seeds it is
/// caught. Gives whether all were.
pub fn hunt(part: &str) -> bool {
    let mut all_caught = true;
    let own = MUTANTS.iter().map(|mutant| (mutant, None));
    let all = own.chain(OF_KAFKA.iter().map(|mutant| (mutant, Some("kafka"))));
    for ((name, what), sweep) in all.filter(|((name, _), _)| name.contains(part)) {
        let caught = match build(name) {
            Ok(program) => first_failure(&program, sweep),
            Err(error) => Err(error),
        };
        let line = match &caught {
            Ok(Some((seeds, how))) => format!("caught after {seeds} seeds: {how}"),
            Ok(None) => format!("NOT caught in {SEEDS} seeds"),
            Err(error) => format!("cannot be tried: {error}"),
        };
        println!("{name} ({what}): {line}");
        all_caught &= matches!(caught, Ok(Some(_)));
    }
    all_caught
}

/// Where planted bugs are built: apart from everything else.
fn target() -> PathBuf {
    let own = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let own =
        own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    own.join("mutants")
}

/// Builds the workspace with a bug. A copy of this program, named as the bug, stands in the
/// place of the compiler: so what is not of the workspace is built once for all of them.
fn build(name: &str) -> Result<PathBuf, String> {
    let (target, text) = (target(), |error: std::io::Error| error.to_string());
    let compilers = target.join("compilers");
    std::fs::create_dir_all(&compilers).map_err(text)?;
    let compiler = compilers.join(name);
    std::fs::copy(std::env::current_exe().map_err(text)?, &compiler).map_err(text)?;
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--profile", "mutant", "-p", "suiro-sim"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_WORKSPACE_WRAPPER", compiler.canonicalize().map_err(text)?)
        .status()
        .map_err(text)?;
    let program = target.join("mutant").join("suiro-sim");
    if built.success() { Ok(program) } else { Err("it does not compile".to_owned()) }
}

/// If this program was started in the place of the compiler, to plant a bug: has the compiler
/// do it, and gives whether that went well.
pub fn compile(mut words: impl Iterator<Item = OsString>) -> Option<bool> {
    let own = PathBuf::from(words.next()?);
    let name = own.file_name()?.to_str()?;
    MUTANTS.iter().chain(OF_KAFKA).find(|(mutant, _)| *mutant == name)?;
    let mut compiler = Command::new(words.next()?);
    let planted = format!("suiro_mutant=\"{name}\"");
    compiler.args(words).args(["--cfg", &planted, "--cap-lints", "allow"]);
    Some(compiler.status().is_ok_and(|status| status.success()))
}

/// The number of seeds until one fails, and how it does.
fn first_failure(
    program: &PathBuf,
    sweep: Option<&str>,
) -> Result<Option<(u64, String)>, String> {
    let ran = Command::new(program)
        .args(sweep)
        .args(["--seeds", &SEEDS.to_string(), "--failures", "1", "--no-shrink"])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let failure = text.lines().find_map(|line| {
        let (seed, how) = line.strip_prefix("seed ")?.split_once(" fails: ")?;
        Some((seed.parse::<u64>().ok()? + 1, how.chars().take(100).collect()))
    });
    Ok(failure)
}
