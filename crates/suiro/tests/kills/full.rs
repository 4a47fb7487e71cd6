//! A disk that is full, and has room again.

use crate::audit::{Audit, assert_stores};
use crate::lives::{References, logged};
use crate::process::{Process, run};
use crate::setting::{Program, Setting, Store};
use crate::small_disk::SmallDisk;
use std::fs;
use suiro::{Result, Seed};

/// How large the disk is when it is large enough.
const ENOUGH: u64 = 512 << 10;

/// With less room than this a commit may not find its place.
const LOW: u64 = 1 << 20;

/// Runs every program on a disk that is too small, and gives it more room again and again, while
/// it runs or when it has ended, until it comes to its end.
pub fn fill_and_go_on(
    test: &str,
    cells: &[(Program, Store)],
    seeds: &[u64],
    shrink: fn(Setting) -> Setting,
) -> Result<()> {
    let Some(disk) = SmallDisk::for_test(test, ENOUGH) else { return Ok(()) };
    let (dir, out) = (disk.path().join("log"), disk.path().join("out"));
    let mut references = References::default();
    for (program, store) in cells.iter().copied() {
        let (mut ended_full, mut waited, mut lives, mut compared) = (0, 0, 0, 0);
        for seed in seeds {
            let setting = shrink(Setting::of(program, store, *seed));
            let whole = references.of(setting)?;
            let case = format!("{setting:?}, seed {seed}");
            let args = setting.args(&dir, &out);
            let mut seed = Seed::new(*seed);
            for old in [&dir, &out] {
                fs::remove_dir_all(old).ok();
            }
            let mut size = 1 << 10;
            loop {
                disk.resize(size);
                let mut process = Process::start(&args);
                lives += 1;
                // A program whose log is full waits. It is given room after some patience.
                let mut patience = 50 + seed.below(300);
                while process.wait_until(|| {
                    patience -= u64::from(disk.free() < LOW);
                    patience == 0
                }) {
                    waited += 1;
                    size += 64 + seed.below(1 << 10);
                    disk.resize(size);
                    patience = 50 + seed.below(300);
                }
                let ended = process.finish();
                if ended.code == Some(0) {
                    break;
                }
                ended_full += 1;
                assert_eq!(ended.code, Some(1), "{case}: {}", ended.said);
                let told = ["No space left on device", "as on a full disk"];
                let is_clear = told.iter().any(|text| ended.said.contains(text));
                assert!(is_clear && !ended.said.contains("delete"), "{case}: {}", ended.said);
                size += 256 + seed.below(2 << 10);
                assert!(size < ENOUGH, "{case}: it says that the disk is full: {}", ended.said);
            }
            compared += Audit::read(setting, &dir)?.assert_same(&whole.audit, &case);
            disk.resize(ENOUGH);
            run(&args).assert_success();
            assert_stores(setting, &dir, &case)?;
            assert!(logged(&dir) > 0);
        }
        println!(
            "{program} {store:?}: {lives} lives, of which {ended_full} ended with a full disk; \
             {waited} times it was given room while it waited; {compared} outputs compared"
        );
        assert!(ended_full + waited > 0, "{program} {store:?}: the disk was never full");
    }
    Ok(())
}
