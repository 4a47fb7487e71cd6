//! What `Plan::diff` says of two versions of a program.

use std::time::Duration;
use suiro::{Plan, PlanDiff, Policy, Result, Topic, Topology, Tumbling};

const WORDS: Topic<String, String> = Topic::json("words");
const LINES: Topic<String, String> = Topic::json("lines");
const COUNTS: Topic<String, u64> = Topic::json("counts");

fn build(name: &str, program: impl FnOnce(&Topology)) -> Result<Plan> {
    let topology = Topology::new(name);
    program(&topology);
    topology.build()
}

/// The version that all others are compared with.
fn first(it: &Topology) {
    let words = it.stream(&WORDS).filter(|word| !word.is_empty()).key_by(|word| word.clone());
    words.count("counts").to(&COUNTS);
}

/// What changes if this comes in its place.
fn next(program: impl FnOnce(&Topology)) -> Result<PlanDiff> {
    build("app", program)?.diff(&build("app", first)?.describe())
}

#[test]
fn the_same_program_changes_nothing() -> Result<()> {
    let diff = next(first)?;
    assert!(diff.is_empty() && diff.keeps_state(), "{diff}");
    assert_eq!(diff.to_string(), "nothing changes\n");
    Ok(())
}

#[test]
fn stateless_steps_rename_nothing() -> Result<()> {
    let diff = next(|it| {
        it.on_error(Policy::DeadLetter("dead"));
        let words = it.stream(&WORDS).map(|word| word + "!").map(|word| word + "?");
        words.key_by(|word| word.clone()).count("counts").to(&COUNTS);
    })?;
    let expected = PlanDiff {
        steps_added: vec!["dead letters to dead".into(), "map".into(), "map".into()],
        steps_removed: vec!["filter".into()],
        ..PlanDiff::default()
    };
    assert_eq!(diff, expected);
    assert!(diff.keeps_state());
    Ok(())
}

#[test]
fn stores_that_come_go_and_seem_renamed_are_told() -> Result<()> {
    let renamed = next(|it| {
        let words = it.stream(&WORDS).filter(|word| !word.is_empty());
        words.key_by(|word| word.clone()).count("totals").to(&COUNTS);
    })?;
    assert_eq!(renamed.stores_added, ["totals"]);
    assert_eq!(renamed.stores_removed, ["counts"]);
    assert_eq!(renamed.stores_renamed, [("counts".into(), "totals".into())]);
    assert_eq!(renamed.topics_added, ["app.totals.changelog", "app.totals.repartition"]);
    assert_eq!(renamed.topics_removed, ["app.counts.changelog", "app.counts.repartition"]);
    assert!(!renamed.keeps_state());
    let text = renamed.to_string();
    assert!(text.contains("store counts may be store totals now"), "{text}");

    let added = next(|it| {
        first(it);
        it.stream(&LINES).count("lines").to(&Topic::json("line-counts"));
    })?;
    assert_eq!((added.stores_added, added.topics_added), {
        (vec!["lines".to_owned()], vec!["app.lines.changelog".to_owned()])
    });
    assert!(added.stores_moved.is_empty(), "another sub-topology moves nothing");
    Ok(())
}

#[test]
fn another_form_is_told_with_both() -> Result<()> {
    let diff = next(|it| {
        let words = it.stream(&WORDS).filter(|word| !word.is_empty());
        let words = words.key_by(|word| word.clone());
        let windows = words.window(Tumbling::of(Duration::from_secs(1))).count("counts");
        windows.on_close().map(|window| window.value).to(&COUNTS);
    })?;
    let [(store, old, new)] = &diff.stores_changed[..] else { panic!("one store: {diff}") };
    assert_eq!(store, "counts");
    assert!(old.starts_with("table; keys json-key text; values u64; form "), "{old}");
    assert!(new.starts_with("windows of 1000 ms; "), "{new}");
    assert!(!diff.keeps_state());
    Ok(())
}

#[test]
fn a_store_that_is_fed_by_others_has_moved() -> Result<()> {
    let diff = next(|it| {
        let words = it.stream(&WORDS).merge(it.stream(&LINES)).filter(|word| !word.is_empty());
        words.count("counts").to(&COUNTS);
    })?;
    let moved = ("counts".into(), "receive counts".into(), "source lines, source words".into());
    assert_eq!(diff.stores_moved, [moved]);
    assert_eq!(diff.topics_removed, ["app.counts.repartition"]);
    Ok(())
}

#[test]
fn another_name_begins_anew_and_other_text_is_refused() -> Result<()> {
    let plan = build("new", first)?;
    let diff = plan.diff(&build("app", first)?.describe())?;
    assert_eq!(diff.app, Some(("app".into(), "new".into())));
    assert!(!diff.keeps_state());
    for text in ["", "shopping list: tea", "app x\n     store counts"] {
        let report = plan.diff(text).expect_err("it is no plan").report();
        assert!(report.contains("no description of a plan"), "{report}");
    }
    Ok(())
}

#[test]
fn a_ttl_is_seen_and_moves_nothing() -> Result<()> {
    let diff = next(|it| {
        let words = it.stream(&WORDS).filter(|word| !word.is_empty());
        let counts = words.key_by(|word| word.clone()).count("counts");
        counts.ttl(Duration::from_secs(9)).to(&COUNTS);
    })?;
    assert_eq!(diff.steps_added, ["fold counts, ttl 9000 ms"]);
    assert_eq!(diff.steps_removed, ["fold counts"]);
    assert!(diff.keeps_state(), "{diff}");
    Ok(())
}
