//! The examples as real processes on a real disk, killed with SIGKILL at any moment, and given a
//! disk that is full: their outputs are those of a run that nobody disturbed.
//!
//! The long form, for a release build: `SUIRO_KILLS=600 cargo test --release -p suiro --features
//! disk --test kills -- --include-ignored --nocapture`. Without `SUIRO_KILLS` it kills 510 times,
//! and the flights some 160 times more.

mod ad_engagements {
    #[path = "../../examples/ad_engagements/options.rs"]
    pub mod options;
    #[path = "../../examples/ad_engagements/program.rs"]
    pub mod program;
    #[path = "../../examples/ad_engagements/service.rs"]
    pub mod service;
    #[path = "../../examples/ad_engagements/traffic.rs"]
    pub mod traffic;
}
mod count {
    #[path = "../../examples/count/options.rs"]
    pub mod options;
    #[path = "../../examples/count/program.rs"]
    pub mod program;
}
#[path = "../examples/flights/calendar.rs"]
mod calendar;
#[path = "../examples/flights/domain.rs"]
mod domain;
#[path = "../examples/flights/export.rs"]
mod export;
#[path = "../examples/flights/load.rs"]
mod load;
#[path = "../examples/flights/options.rs"]
mod options;
#[path = "../examples/flights/outputs.rs"]
mod outputs;
#[path = "../examples/flights/program.rs"]
mod program;
#[path = "../examples/flights/progress.rs"]
mod progress;
#[path = "../examples/flights/report.rs"]
mod report;
#[path = "../examples/shared/mod.rs"]
mod shared;
#[path = "../examples/flights/sheet.rs"]
mod sheet;
#[path = "../examples/flights/topology.rs"]
mod topology;

#[path = "kills/audit.rs"]
mod audit;
#[path = "kills/figures.rs"]
mod figures;
#[path = "kills/full.rs"]
mod full;
#[path = "kills/lives.rs"]
mod lives;
#[path = "support/process.rs"]
mod process;
#[path = "kills/setting.rs"]
mod setting;
#[path = "support/small_disk.rs"]
mod small_disk;

use figures::Figures;
use lives::{References, survive};
use process::args_of_child;
use setting::{Program, Setting, Store};
use suiro::Result;

/// Does nothing, unless this process was started by a test: then it is one of the programs.
#[test]
fn child() {
    let Some(args) = args_of_child("kills") else { return };
    let args: Vec<_> = args.into_iter().skip(1).collect();
    let code = match args[0].to_str() {
        Some("count") => count::program::main(args),
        Some("ad_engagements") => ad_engagements::service::main(args),
        Some("flights") => program::main(args),
        other => panic!("there is no program {other:?}"),
    };
    std::process::exit(code.into());
}

/// All pairs of a program and a kind of store that this build has.
fn cells() -> Vec<(Program, Store)> {
    let pair = |program| Store::built().iter().map(move |store| (program, *store));
    Program::ALL.into_iter().flat_map(pair).collect()
}

#[test]
fn kills_change_nothing() -> Result<()> {
    let (mut references, mut figures) = (References::default(), Figures::default());
    for (program, store) in cells() {
        // Both kinds of store have the same undisturbed run.
        let seed = 1 + program as u64;
        let setting = Setting::of(program, store, seed).small();
        survive(setting, (2, seed), &mut references, &mut figures)?;
    }
    println!("{figures}");
    Ok(())
}

#[test]
#[ignore = "takes minutes"]
fn many_kills_change_nothing() -> Result<()> {
    assert!(Store::built().len() > 1, "the long form needs --features disk");
    let all = std::env::var("SUIRO_KILLS").map_or(510, |text| text.parse().expect("a number"));
    let (mut references, mut figures) = (References::default(), Figures::default());
    let cells = cells();
    let each = usize::div_ceil(all, cells.len());
    for (number, (program, store)) in (0..).zip(cells) {
        let mut seed = 1_000 * (number + 1);
        while figures.kills(program, store) < each {
            let setting = Setting::of(program, store, seed);
            survive(setting, (each, seed), &mut references, &mut figures)?;
            seed += 1;
        }
        println!("{figures}");
    }
    figures.assert_all_phases();
    Ok(())
}

/// The main job by each way in which its rows cross: killed at least forty times, of which
/// twenty between the first commit of a process and the last.
#[test]
#[ignore = "takes minutes"]
fn many_kills_of_flights_change_nothing() -> Result<()> {
    let mut references = References::default();
    for (partitions, exchange) in [(1, "memory"), (1, "topic"), (4, "memory"), (4, "topic")] {
        let (mut figures, mut seed) = (Figures::default(), 20_000);
        loop {
            let cell = figures.cell(Program::Flights, Store::Memory);
            if cell.total() >= 40 && cell.running() >= 20 {
                break;
            }
            let setting = Setting::flights(partitions, exchange, seed);
            survive(setting, (40, seed), &mut references, &mut figures)?;
            seed += 1;
        }
        println!("{partitions} partitions, exchange {exchange}\n{figures}");
    }
    Ok(())
}

#[test]
fn a_full_disk_changes_nothing() -> Result<()> {
    let stores = Store::built().iter().map(|store| (Program::Count, *store));
    let (test, stores) = ("a_full_disk_changes_nothing", stores.collect::<Vec<_>>());
    full::fill_and_go_on(test, &stores, &[1], Setting::small)
}

#[test]
#[ignore = "takes minutes"]
fn many_full_disks_change_nothing() -> Result<()> {
    let test = "many_full_disks_change_nothing";
    full::fill_and_go_on(test, &cells(), &[2, 3, 4, 5], |setting| setting)
}
