//! The suite passes the reference, and notices every flaw that the reference can have.

use super::reference::{Flaw, Reference};
use super::{CHECKS, Subject, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

fn subject(flaw: Flaw) -> Subject {
    let broker = Reference::new(flaw);
    Subject::new(move || {
        broker.restart();
        Arc::new(broker.clone())
    })
}

#[test]
fn the_reference_conforms() {
    run(&mut || subject(""));
}

#[test]
fn a_prefix_and_gaps_are_allowed() {
    run(&mut || Subject { prefix: "some/prefix.".into(), gapless: false, ..subject("") });
}

/// A flaw, and a check that must notice it.
const FLAWS: &[(Flaw, &str)] = &[
    ("create changes topics", "create_is_idempotent"),
    ("create ignores counts", "create_refuses_another_count"),
    ("unknown topics are empty", "unknown_topic_is_invalid"),
    ("only the first append happens", "commit_is_atomic"),
    ("appends are visible at once", "open_commit_is_invisible"),
    ("abort commits", "aborted_commit_leaves_no_trace"),
    ("drop commits", "dropped_session_leaves_no_trace"),
    ("drop commits", "restart_forgets_open_commits"),
    ("refused commits leave records", "refused_commit_leaves_no_trace"),
    ("offsets are sorted", "offsets_answer_appends"),
    ("base offsets are kept", "log_assigns_offsets"),
    ("outcomes are reversed", "commits_resolve_in_order"),
    ("fetch cuts batches", "fetch_returns_whole_batches"),
    ("fetch may give nothing", "fetch_returns_whole_batches"),
    ("fetch is unbounded", "fetch_is_bounded"),
    ("seek skips the time itself", "seek_finds_offsets"),
    ("trim deletes too much", "trim_deletes_only_what_is_older"),
    ("trim does not move the start", "trim_deletes_only_what_is_older"),
    ("groups share positions", "positions_belong_to_a_group"),
    ("notes are lost", "positions_carry_notes"),
    ("generations do not fence", "older_generation_is_fenced"),
    ("generations do not fence", "former_member_is_fenced"),
    ("fenced commits leave positions", "older_generation_is_fenced"),
    ("names do not fence", "older_session_is_fenced"),
    ("everybody runs everything", "members_share_tasks"),
    ("the first member runs everything", "members_share_tasks"),
    ("only the newest member is told", "members_share_tasks"),
    ("generations stand still", "members_share_tasks"),
    ("generations stand still", "lone_member_runs_every_task"),
    ("nobody takes over", "leaving_hands_over"),
    ("groups are one", "groups_are_apart"),
    ("members are not counted", "members_are_counted"),
    ("what lives is removed", "what_lives_is_not_removed"),
    ("removed positions stay", "what_is_removed_begins_anew"),
    ("positions of all groups are removed", "what_is_removed_begins_anew"),
    ("removed records come back", "what_is_removed_begins_anew"),
    ("restart forgets generations", "restart_keeps_generations"),
    ("restart forgets positions", "restart_keeps_what_was_committed"),
    ("restart forgets the end", "restart_keeps_what_was_committed"),
    ("poll blocks", "poll_never_blocks"),
    ("wait ignores its time", "wait_ends_in_time"),
    ("wake is lost", "wait_ends_at_a_wake"),
    ("wait misses commits", "wait_ends_at_a_commit"),
    ("wake is lost", "wake_comes_from_another_thread"),
    ("only the first append happens", "commits_of_threads_stay_whole"),
];

#[test]
fn every_flaw_is_noticed_by_its_check() {
    let mut missed = Vec::new();
    for (flaw, name) in FLAWS {
        let (_, check) = CHECKS.iter().find(|(other, _)| other == name).unwrap();
        let patience = Duration::from_millis(200);
        let subject = Subject { patience, ..subject(flaw) };
        let cause = catch_unwind(AssertUnwindSafe(|| check(subject)));
        let message = cause.err().and_then(|cause| cause.downcast::<String>().ok());
        if message.is_none_or(|message| !message.contains(name)) {
            missed.push(format!("{name} does not say that {flaw}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
