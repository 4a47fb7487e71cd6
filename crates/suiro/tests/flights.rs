//! The example `flights` as real processes: against plain loops over its input, and given bad
//! input.

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

#[path = "flights/bad_input.rs"]
mod bad_input;
#[path = "flights/exports.rs"]
mod exports;
#[path = "flights/model.rs"]
mod model;
#[path = "support/process.rs"]
mod process;
#[path = "flights/rows.rs"]
mod rows;

use exports::Exports;
use model::Model;
use process::{args_of_child, run, temporary, text};

/// Does nothing, unless this process was started by a test: then it is the program.
#[test]
fn child() {
    if let Some(args) = args_of_child("flights") {
        std::process::exit(program::main(args).into());
    }
}

#[test]
fn one_partition_is_what_plain_loops_compute() {
    let model = Model::of(1);
    for exchange in ["memory", "topic"] {
        let out = temporary();
        let args = ["--partitions", "1", "--exchange", exchange, "--out", text(out.path())];
        run(&args)
            .assert_prints(&["Busiest hours", "32,568 records read, 205 late, 0 skipped"]);
        let exports = Exports::read(out.path());
        exports.assert_streams(&model);
        exports.assert_tables(&model);
    }
}

#[test]
fn rotations_and_totals_do_not_depend_on_partitions() {
    let model = Model::of(1);
    for exchange in ["memory", "topic"] {
        let out = temporary();
        let args = ["--partitions", "4", "--exchange", exchange, "--out", text(out.path())];
        run(&args).assert_success();
        Exports::read(out.path()).assert_tables(&model);
    }
}

#[test]
fn copies_are_a_month_apart() {
    let out = temporary();
    run(&["--partitions", "1", "--copies", "2", "--out", text(out.path())]).assert_success();
    let exports = Exports::read(out.path());
    let model = Model::of(2);
    exports.assert_streams(&model);
    exports.assert_tables(&model);
}

#[test]
fn a_second_run_writes_nothing() {
    let (dir, first, second) = (temporary(), temporary(), temporary());
    for out in [&first, &second] {
        let ended = run(&["--dir", text(dir.path()), "--out", text(out.path())]);
        ended.assert_success();
        let resumed = ended.printed.contains("0 records read, 0 late, 0 skipped, 0 written");
        assert_eq!(resumed, std::ptr::eq(out, &second), "{}", ended.printed);
    }
    assert_eq!(Exports::read(first.path()), Exports::read(second.path()));
}
